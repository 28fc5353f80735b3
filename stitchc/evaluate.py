"""Accuracy: top-1 and top-5 of a network on labelled images, in one pass over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .keywords import with_options
from .options import EvaluateOptions
from .passes.data.errors import DataError, InputError, ModelError
from .progress import Progress, Silent, stage

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn

    from .passes.data.model import Images, InputSpec, Model

# Images and pixels of one forward pass: memory and time, not the result, depend on them. A processor is slower on more
# pixels, since what is larger than its C library reuses is fetched from the system for each value.
BATCH, BATCH_PIXELS = 64, 1 << 18


@dataclass(frozen=True)
class Accuracy:
    """data: the words that name the images. images: how many. top1, top5: fractions in [0, 1].

    classes: how many the images have, how many outputs the network, and how they were matched (`classes.Match`).
    notes: what whoever reads the figures must know. right: bool [images], whether the class came first, by which
    networks are compared image by image; it is no part of comparison or of JSON.
    """

    data: str
    images: int
    top1: float
    top5: float
    classes: Mapping[str, int | str] | None = None
    notes: tuple[str, ...] = ()
    right: np.ndarray | None = field(default=None, compare=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        told = asdict(replace(self, right=None))
        del told["right"]
        return {**told, "notes": list(self.notes)}


@with_options(EvaluateOptions, "data")
def evaluate(
    subject: str | Path | Model, *, options: EvaluateOptions, batch: int | None = None, progress: Progress | None = None
) -> Accuracy:
    """Top-1 and top-5 of a model (by its words, or loaded) or of an artifact folder, on labelled images.

    subject: the model or the folder. batch: images of one forward pass; None for what suits the device.

    Raises:
        DataError: no data is known, the images have no labels, or labels that the network has no output for.
        InputError: a batch of no images.
    """
    from .inputs import images_of, model_of, name_of

    if batch is not None and batch < 1:
        raise InputError(f"`batch` is {batch}", "Give a number of images, or leave it out.")
    watcher = progress or Silent()
    with stage(watcher, f"loading {name_of(subject)}"):
        model = model_of(subject, trust=options.trust, arch=options.arch)
        data = options.data if options.data is not None else model.data
        images = images_of(data, f"to measure {model.name} on", measuring=True)
    with stage(watcher, f"measuring {model.name}"):
        note = _observe(model, images)
        found = accuracy(
            model.network, model.input, images,
            names=model.class_names, device=options.device, batch=batch, progress=watcher,
        )  # fmt: skip
        return replace(found, notes=(*((note,) if note else ()), *found.notes))


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
    names: Sequence[str] | None = None,
    device: str = "auto",
    batch: int | None = None,
    progress: Progress | None = None,
) -> Accuracy:
    """Top-1 and top-5 of a network that takes what `spec` says and returns scores [n, classes].

    names: what it calls its outputs, where that is known. batch: as `evaluate`.

    Raises:
        DataError: as `classes.match`. ModelError: as `scores`, or they are not those of a classifier.
    """
    from .device import resolve
    from .passes.data.float32 import in_full_precision
    from .passes.data.out_of_memory import halved_until_it_fits
    from .passes.data.scores import ready
    from .passes.graphs.placement import exactly, on_device

    place = exactly(resolve(device))
    batch = batch or _batch(spec, place)
    there = on_device(ready(network), place)
    with in_full_precision():
        found, used = halved_until_it_fits(
            lambda at_once: _accuracy(there, spec, images, names, at_once, place, progress or Silent()), batch
        )
    if used < batch:
        found = replace(found, notes=(*found.notes, f"{used} images were shown at once: memory has no room for more."))
    return found


def _accuracy(
    network: nn.Module,
    spec: InputSpec,
    images: Images,
    names: Sequence[str] | None,
    batch: int,
    place: torch.device,
    watcher: Progress,
) -> Accuracy:
    """As `accuracy`, of a network on a device."""
    import torch

    from .classes import checked, match
    from .passes.data.scores import scores
    from .passes.data.shown_on import ShownOn

    checked(images)
    shown = images if place.type == "cpu" else ShownOn(images, place)
    matched = None
    right: list[Tensor] = []
    done = 0
    with torch.no_grad():  # not inference_mode: a model may keep what it computes here
        for x in shown.batches(spec, batch):
            found = scores(network, x)
            if found.ndim != 2:
                raise ModelError(
                    f"the network returns {tuple(found.shape)}, not scores [images, classes]",
                    "A classifier returns a row of scores for each image: flatten what its last layer gives.",
                )
            matched = matched or match(images, found.shape[1], names)
            labels = matched.labels[done : done + len(x)].to(x.device)
            ranks = found.topk(min(5, found.shape[1]), dim=1).indices == labels[:, None]
            right.append(torch.stack([ranks[:, 0], ranks.any(dim=1)]).cpu())
            done += len(x)
            watcher.update(done, len(images))
    if matched is None or done != len(images):
        raise DataError(f"'{images.name}' says it holds {len(images)} images, and gave {done}", "Mend its batches().")
    notes = (*((matched.note,) if matched.note else ()), *getattr(images, "notes", ()))
    first, within5 = torch.cat(right, dim=1)
    top1, top5 = int(first.sum()) / done, int(within5.sum()) / done
    return Accuracy(images.name, done, top1, top5, matched.as_dict(), notes, first.numpy())


def _batch(spec: InputSpec, place: torch.device) -> int:
    _, height, width = spec.size
    return BATCH if place.type != "cpu" else max(1, min(BATCH, BATCH_PIXELS // (height * width)))


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
