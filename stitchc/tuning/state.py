"""How far a training has got, and what is best so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..passes.training.worth import Worth


@dataclass(frozen=True)
class Kept:
    """What is worth most on the held-out images so far. epoch: how many had gone by, 0 before the first."""

    epoch: int
    worth: Worth
    weights: dict[str, Tensor] = field(repr=False)


@dataclass
class State:
    """How far a training has got: `step` steps into `epoch`. sums: loss, hits and images of the epoch so far.

    history: an entry per finished epoch. start: what the network was worth before, and best: what is kept; None where
    no images are held out.
    """

    epoch: int = 0
    step: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    history: list[dict[str, Any]] = field(default_factory=list)
    start: Worth | None = None
    best: Kept | None = None

    @property
    def stale(self) -> int:
        """Epochs since the best one."""
        return self.epoch - self.best.epoch if self.best else 0

    def as_dict(self) -> dict[str, Any]:
        """As a checkpoint has it: of types that can be read without running code."""
        start, best = (None if kept is None else dict(vars(kept)) for kept in (self.start, self.best))
        if best is not None:
            best["worth"] = dict(vars(best["worth"]))
        return {**vars(self), "start": start, "best": best}

    @classmethod
    def of(cls, said: dict[str, Any]) -> State:
        """From what `as_dict` said."""
        start, best = said["start"], said["best"]
        if best is not None:
            best = Kept(best["epoch"], Worth(**best["worth"]), best["weights"])
        return cls(**{**said, "start": start and Worth(**start), "best": best})


class Sums:
    """Loss, hits and images of an epoch so far. They are summed on the device: to read them is to wait until all that
    was begun there is done."""

    def __init__(self, so_far: Sequence[float], device: torch.device):
        self._dtype = torch.float32 if device.type == "mps" else torch.float64  # there is no float64 there
        self._sums = torch.tensor(so_far, dtype=self._dtype).to(device)

    def add(self, loss: Tensor, scores: Tensor, labels: Tensor) -> None:
        """loss: the mean over the images. scores: [n, classes]; labels: [n]."""
        hits, images = (scores.argmax(1) == labels).sum(), loss.new_tensor(len(labels))
        self._sums += torch.stack([value.to(self._dtype) for value in (loss * images, hits, images)])

    def read(self) -> list[float]:
        return self._sums.tolist()
