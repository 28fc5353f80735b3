"""Where a training stands, in a file that is there whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from ..passes.data.errors import Diverged, InputError, OutputError
from ..passes.data.whole_file import whole_file
from ..zoo import pickled

SCHEMA = 1
_OURS = re.compile(r"(\.[0-9a-f]{8}\.)?checkpoint\.pt|features")


class Checkpoint:
    """The unfinished training of one artifact: a hidden folder beside it. identity: what must be equal to go on."""

    def __init__(self, out: Path, identity: Mapping[str, Any]):
        self.folder = out.with_name(f".{out.name}.tuning")
        self.path = self.folder / "checkpoint.pt"
        self.identity = dict(identity)

    def read(self) -> dict[str, Any] | None:
        """What was written last; None where nothing was.

        Raises:
            InputError: it is of another training, or cannot be read.
        """
        if not self.path.exists():
            return None
        try:
            state = pickled.load(self.path)
            if not isinstance(state, dict) or not isinstance(state.get("identity"), dict):
                raise InputError(f"{self.path} holds no training", "")
        except InputError as error:
            raise InputError(
                f"the unfinished training in {self.folder} cannot be read: {error.message}",
                "Drop it with `restart=True`.",
            ) from error
        theirs = state["identity"] if state.get("schema") == SCHEMA else {"schema": state.get("schema")}
        changed = [key for key in {**theirs, **self.identity} if theirs.get(key) != self.identity.get(key)]
        if changed:
            said = "; ".join(f"{key} was {theirs.get(key)}, now {self.identity.get(key)}" for key in sorted(changed))
            raise InputError(
                f"{self.folder} holds an unfinished training with other options: {said}",
                "Give the same options to finish it, drop it with `restart=True`, or write elsewhere with `out`.",
            )
        return state

    def write(self, state: Mapping[str, Any]) -> None:
        """Raises:
        OutputError: it cannot be written; an earlier one stays as it was.
        """
        try:
            with whole_file(self.path, durable=True) as part, part.open("wb") as file:
                torch.save({"schema": SCHEMA, "identity": self.identity, **state}, file)
        except OutputError:
            self._remove_empty()
            raise

    @contextmanager
    def of_a_training(self) -> Iterator[None]:
        """Around its steps: what diverged leaves no checkpoint, and who interrupts it is told how it goes on."""
        try:
            yield
        except Diverged:
            self.drop()
            raise
        except KeyboardInterrupt as stopped:
            if self.path.exists():
                stopped.add_note(f"The same command goes on from the last checkpoint, in {self.folder}.")
            raise

    def drop(self) -> None:
        """Deletes what a training writes into its folder, and the folder if nothing else lies there."""
        for path in self.folder.glob("*"):
            if path.is_file() and _OURS.fullmatch(path.name):
                path.unlink(missing_ok=True)
        self._remove_empty()

    def _remove_empty(self) -> None:
        with suppress(OSError):  # something else lies there
            self.folder.rmdir()
