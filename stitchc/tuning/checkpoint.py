"""Where a training stands, in a file that is there whole or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..passes.data.errors import Diverged, InputError, OutputError
from ..passes.data.whole_file import whole_file
from ..passes.training.worth import LABELS, TEACHERS
from ..zoo import foreign, pickled
from ..zoo.foreign import Fault, characters, choice, listed, mapping, number, optional, table, whole
from ..zoo.present import require

SCHEMA = 1
_OURS = re.compile(r"(\.[0-9a-f]{8}\.)?checkpoint\.pt|features")


def _tensor(value: Any, place: str) -> Tensor:
    if not isinstance(value, Tensor):
        raise Fault(place, "is no tensor")
    return value


_COUNT = whole(0, 10**12)
_SHARE, _TEXT, _REAL = number(0, 1), characters(), number()
_WORTH = table({"by": choice(LABELS, TEACHERS), "right": _SHARE, "nats": _REAL}, required=("by", "right", "nats"))
_EPOCH = {
    "epoch": _COUNT, "loss": _REAL, "accuracy": optional(_SHARE), "holdout": optional(_SHARE), "lr": _REAL,
    "holdout_nats": optional(_REAL),
}  # fmt: skip
_BEST = {"epoch": _COUNT, "worth": _WORTH, "weights": mapping(_tensor, 10**6, keys=r".{1,1000}")}
_STATE = {
    "epoch": _COUNT, "step": _COUNT, "sums": listed(_REAL, 3, 3),
    "history": listed(table(_EPOCH, required=tuple(_EPOCH)), most=100_000),
    "start": optional(_WORTH), "best": optional(table(_BEST, required=tuple(_BEST))),
}  # fmt: skip
_ACCURACY = table({
    "data": _TEXT, "images": _COUNT, "top1": _SHARE, "top5": _SHARE, "notes": listed(_TEXT),
    "classes": optional(table({"images": _COUNT, "outputs": _COUNT, "by": _TEXT})),
}, required=("data", "images", "top1", "top5"))  # fmt: skip
#: What a file holds: it lies beside the artifact, and may have come with it.
_READ = table(
    {
        "schema": _COUNT, "identity": mapping(lambda value, _: value), "before": optional(_ACCURACY),
        "state": table(_STATE, required=tuple(_STATE)),
    },
    required=("schema", "identity"), others=True,
)  # fmt: skip


class Checkpoint:
    """The unfinished training of one artifact: a hidden folder beside it. identity: what must be equal to go on.

    Raises:
        InputError: there is a link in the place of that folder, which would choose what is written and deleted.
    """

    def __init__(self, out: Path, identity: Mapping[str, Any]):
        self.folder = out.with_name(f".{out.name}.tuning")
        if self.folder.is_symlink():
            raise InputError(
                f"{self.folder}, in which a training keeps how far it got, is a link to somewhere else",
                "Take it away, or write elsewhere with `out`.",
            )
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
            require(self.path)
            state = pickled.load(self.path)
            foreign.read(_READ, state, str(self.path))
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
