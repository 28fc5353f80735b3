"""What came of a training, and what plan.json says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..evaluate import Accuracy
from ..passes.training.worth import Worth
from .job import Job
from .loop import Loop
from .settings import Settings


@dataclass(frozen=True)
class HeldOut:
    """By what the best state of a training was chosen. images: how many were not trained on. start, best: what the
    network was worth on them before, and as it was kept. epoch: after which that was, 0 for the untuned weights."""

    images: int
    start: Worth
    best: Worth
    epoch: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "images": self.images, "by": self.best.by, "epoch": self.epoch,
            "right_before": self.start.right, "right": self.best.right,
            "nats_before": self.start.nats, "nats": self.best.nats,
        }  # fmt: skip


@dataclass(frozen=True)
class Tuned:
    """What came of a training. folder: the tuned artifact; kept: where the untuned one lies now, if it was replaced.

    history: an entry an epoch: loss and accuracy while it trained, held-out accuracy, learning rate. before, after: on
    the same images. held_out: by which images the best state was chosen; None where none were held out. resumed: the
    steps that an earlier, unfinished run had done. record: plan.json of the artifact.
    rank: of this process; those above 0 have only helped, and their record is empty.
    """

    folder: Path
    kept: Path | None
    settings: Settings
    trained_params: int
    history: tuple[Mapping[str, Any], ...]
    before: Accuracy | None
    after: Accuracy | None
    held_out: HeldOut | None
    resumed: int
    record: Mapping[str, Any]
    rank: int = 0


def held_out(loop: Loop) -> HeldOut | None:
    """By what its best state was chosen; None where no images were held out."""
    state = loop.state
    if loop.held is None or state.start is None or state.best is None:
        return None
    return HeldOut(len(loop.held), state.start, state.best.worth, state.best.epoch)


def entry(made: Tuned, job: Job) -> dict[str, Any]:
    """What plan.json says of a training, under `tuned`."""
    top1 = [found.top1 if found else None for found in (made.before, made.after)]
    return told_of(job, made.trained_params, made.history, *top1) | {
        "held_out": made.held_out and made.held_out.as_dict()
    }


def told_of(
    job: Job, trained_params: int, history: Sequence[Mapping[str, Any]], before: float | None, after: float | None
) -> dict[str, Any]:
    """What plan.json says of any training. before, after: top-1 on the images to measure on."""
    options = job.settings.as_dict()
    options.pop("cache")
    return {
        "train": options.pop("train"), "trained_params": trained_params, "data": job.images.name,
        "images": len(job.images), "epochs": len(history),
        "accuracy": {
            "data": job.measured.name if job.measured else None,
            "images": len(job.measured) if job.measured else None,
            "before": before, "after": after,
        },
        "options": options, "history": list(history),
    }  # fmt: skip
