"""Accuracy: top-1 and top-5 of a network on labelled images, in one pass over them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .keywords import with_options
from .options import EvaluateOptions
from .passes.data.errors import DataError
from .progress import Progress, Silent, stage

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .passes.data.model import Images, InputSpec, Model

BATCH = 64  # images; the peak of memory, not the result, depends on it


@dataclass(frozen=True)
class Accuracy:
    """data: the words that name the images. images: how many. top1, top5: fractions in [0, 1]."""

    data: str
    images: int
    top1: float
    top5: float

    @classmethod
    def of(cls, data: str, right: Tensor) -> Accuracy:
        """right: what `answers` gives."""
        top1, top5 = (int(column.sum()) / len(right) for column in right.T)
        return cls(data, len(right), top1, top5)


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
        model = model_of(subject, trust=options.trust, arch=options.arch)
        images = images_of(options.data if options.data is not None else model.data, f"to measure {model.name} on")
    with stage(watcher, f"measuring {model.name}"):
        if note := _observe(model, images):
            watcher.tell(f"{model.name}: {note}")
        return accuracy(model.network, model.input, images, device=options.device, batch=batch, progress=watcher)


def _observe(model: Model, images: Images) -> str:
    """Refuses a network whose accuracy would depend on how its images are batched, or on chance. Returns what is to be
    said of the output that is taken for its scores."""
    import torch

    from .passes.trace.observe import IMAGES, observe

    few = next(iter(images.batches(model.input, IMAGES, 0, IMAGES)), None) if images.labels is not None else None
    if few is None:
        return ""
    few = torch.cat([few, *(few.roll(shift, -1) for shift in range(1, IMAGES))])[:IMAGES]  # of one image, five
    return observe(model.network, few, model.name).note


def accuracy(
    network: nn.Module,
    spec: InputSpec,
    images: Images,
    *,
    device: str = "auto",
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Accuracy:
    """Top-1 and top-5 of a network that takes what `spec` says and returns scores [n, classes]."""
    return Accuracy.of(images.name, answers(network, spec, images, device=device, batch=batch, progress=progress))


def answers(
    network: nn.Module,
    spec: InputSpec,
    images: Images,
    *,
    device: str = "auto",
    batch: int = BATCH,
    progress: Progress | None = None,
) -> Tensor:
    """bool [images, 2]: of which images the network names the class first, and of which among its first five."""
    import torch

    from .device import resolve
    from .passes.data.scores import ready, scores

    if images.labels is None:
        raise DataError(
            f"the images of '{images.name}' have no labels",
            "Accuracy needs class subfolders, labels=prefix, or labels in the file.",
        )
    if len(images) == 0:
        raise DataError(f"'{images.name}' holds no images", "Name another folder or file.")
    place, watcher = resolve(device), progress or Silent()
    network = ready(network).to(place)
    right: list[Tensor] = []
    done = 0
    with torch.no_grad():  # not inference_mode: a model may keep what it computes here
        for x in images.batches(spec, batch):
            found = scores(network, x.to(place))
            labels = images.labels[done : done + len(x)].to(place)
            _check(found, labels, images.name)
            ranks = found.topk(min(5, found.shape[1]), dim=1).indices == labels[:, None]
            right.append(torch.stack([ranks[:, 0], ranks.any(dim=1)], dim=1).cpu())
            done += len(x)
            watcher.update(done, len(images))
    return torch.cat(right)


def _check(scores: Tensor, labels: Tensor, data: str) -> None:
    if scores.ndim != 2:
        raise DataError(
            f"the network returns {tuple(scores.shape)}, not scores [images, classes]", "Is it a classifier?"
        )
    highest = int(labels.max())
    if highest >= scores.shape[1]:
        raise DataError(
            f"'{data}' has a label {highest}, but the network has {scores.shape[1]} outputs",
            "Measure it on images of the classes that it was trained on.",
        )
