"""Where a training stands, in a file that is there whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..passes.data.errors import InputError
from ..passes.data.whole_file import whole_file

SCHEMA = 1


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
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch and zipfile raise errors of many kinds for a broken file
            raise InputError(
                f"the unfinished training in {self.folder} cannot be read: {error}", "Drop it with `restart=True`."
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
        with whole_file(self.path, durable=True) as part, part.open("wb") as file:
            torch.save({"schema": SCHEMA, "identity": self.identity, **state}, file)

    def drop(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
