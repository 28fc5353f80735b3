"""Accuracy: top-1 and top-5 of a network on labelled images, in one pass over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .keywords import with_options
from .options import EvaluateOptions
from .passes.data.errors import DataError, InputError, ModelError
from .progress import Progress, Silent, stage

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .passes.data.model import Images, InputSpec, Model

BATCH = 64  # images; the peak of memory, not the result, depends on it


@dataclass(frozen=True)
class Accuracy:
    """data: the words that name the images. images: how many. top1, top5: fractions in [0, 1].

    classes: how many the images have, how many outputs the network, and how they were matched (`classes.Match`).
    notes: what whoever reads the figures must know.
    """

    data: str
    images: int
    top1: float
    top5: float
    classes: Mapping[str, int | str] | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "notes": list(self.notes)}


@with_options(EvaluateOptions, "data")
def evaluate(
    subject: str | Path | Model, *, options: EvaluateOptions, batch: int = BATCH, progress: Progress | None = None
) -> Accuracy:
    """Top-1 and top-5 of a model (by its words, or loaded) or of an artifact folder, on labelled images.

    batch: images of one forward pass.

    Raises:
        DataError: no data is known, the images have no labels, or labels that the network has no output for.
    """
    from .inputs import images_of, model_of, name_of

    watcher = progress or Silent()
    with stage(watcher, f"loading {name_of(subject)}"):
        model = model_of(subject, trust_pickle=options.trust_pickle, arch=options.arch)
        data = options.data if options.data is not None else model.data
        images = images_of(data, f"to measure {model.name} on", measuring=True)
    if model.module is None:
        raise InputError(f"{model.name} was loaded without its network", "Load it again.")
    with stage(watcher, f"measuring {model.name}"):
        return accuracy(
            model.module, model.input, images,
            names=model.class_names, device=options.device, batch=batch, progress=watcher,
        )  # fmt: skip


def accuracy(
    network: nn.Module,
    spec: InputSpec,
    images: Images,
    *,
    names: Sequence[str] | None = None,
    device: str = "auto",
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Accuracy:
    """Top-1 and top-5 of a network that takes what `spec` says and returns scores [n, classes].

    names: what it calls its outputs, where that is known.

    Raises:
        DataError: as `classes.match`. ModelError: what the network returns are no scores, or not finite.
    """
    import torch

    from .classes import checked, match
    from .device import resolve

    checked(images)
    matched = None
    place, watcher = resolve(device), progress or Silent()
    network = network.eval().to(place)
    right1 = right5 = done = 0
    with torch.no_grad():  # not inference_mode: a model may keep what it computes here
        for x in images.batches(spec, batch):
            scores = network(x.to(place))
            _check(scores, done)
            matched = matched or match(images, scores.shape[1], names)
            labels = matched.labels[done : done + len(x)].to(place)
            ranks = scores.topk(min(5, scores.shape[1]), dim=1).indices == labels[:, None]
            right1 += int(ranks[:, 0].sum())
            right5 += int(ranks.any(dim=1).sum())
            done += len(x)
            watcher.update(done, len(images))
    if matched is None or done != len(images):
        raise DataError(f"'{images.name}' says it holds {len(images)} images, and gave {done}", "Mend its batches().")
    notes = (*((matched.note,) if matched.note else ()), *getattr(images, "notes", ()))
    return Accuracy(images.name, done, right1 / done, right5 / done, matched.as_dict(), notes)


def accuracy_if_matched(
    network: nn.Module, spec: InputSpec, images: Images, owner: Model, *, device: str, progress: Progress
) -> tuple[Accuracy | None, tuple[str, ...]]:
    """`accuracy` of a network whose outputs are those of `owner`, and what a report must say; None, and why, where the
    classes of the images are not those of its outputs."""
    from .classes import match, outputs_of

    outputs = outputs_of(owner)
    try:
        if outputs is not None:
            match(images, outputs, owner.class_names)
    except DataError as error:
        return None, (f"{owner.name} is not measured: {error.message}",)
    found = accuracy(network, spec, images, names=owner.class_names, device=device, progress=progress)
    return found, found.notes


def _check(scores: Tensor, before: int) -> None:
    """Raises:
    ModelError: they are no scores [images, classes], or some are no finite numbers, which have no order.
    """
    if scores.ndim != 2:
        raise ModelError(
            f"the network returns {tuple(scores.shape)}, not scores [images, classes]", "Is it a classifier?"
        )
    wrong = (~scores.isfinite()).any(dim=1)
    if wrong.any():
        first = before + int(wrong.nonzero()[0])
        raise ModelError(
            f"the network's scores are not finite for {int(wrong.sum())} of {len(scores)} images, the first of them "
            f"image {first}",
            "Look for weights that are NaN or infinite, or for an overflow at a low precision.",
        )
