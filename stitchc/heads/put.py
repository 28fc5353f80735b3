"""Heads for classes that the models do not have: what is put behind each model as it is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..passes.data.errors import DataError, InputError
from ..passes.data.model import Images, Model
from ..progress import Progress, stage
from .words import Groups, Words, words_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..families.options import FamilyOptions
    from ..options import CompileOptions
    from ..searches.options import SearchOptions
    from ..shared_options import HeadOptions
    from .few_labels import Learned

_BATCH = 32  # images of a forward pass


def check(options: HeadOptions) -> None:
    """Raises InputError where labelled images are named for a head that has no use for them."""
    if options.head_data is not None and not words_of(options.head).learned:
        raise InputError(
            f"`head_data` names images for a head, and `head={options.head!r}` is made without",
            "Take `head='knn'` or `head='linear'`, or leave `head_data` out.",
        )


def with_heads(
    models: Sequence[Model], options: CompileOptions | SearchOptions | FamilyOptions, progress: Progress,
    beside: Sequence[Model] = (),
) -> tuple[list[Model], tuple[str, ...]]:  # fmt: skip
    """The models, each with the head behind it, and what a report must say of it. A record's accuracy is that of a
    model's own classes, so it is not taken over. beside: the models that these stand beside, whose records name the
    images where nothing else does.

    Raises:
        InputError: a model has no such classes. DataError: there are no labelled images, or too few.
    """
    words = words_of(options.head)
    if words.groups is not None:
        return [_mapped(model, words.groups) for model in models], ()
    if not words.learned or not models:
        return list(models), ()
    from ..inputs import images_of, limited, probe_words

    data = options.head_data if options.head_data is not None else probe_words(beside or models, options.data)
    images = images_of(limited(data, options.head_images), "to make a head from")
    labels, names = _labels(images, words)
    made = []
    for model in models:
        with stage(progress, f"making a head for {model.name}"):
            made.append(_learned(model, words, images, labels, len(names), options.device))
    notes = tuple(f"Its head is right for {one.right:.0%} of them, each left out in turn." for one in made)
    found = [
        replace(model, module=one.network.eval(), classes=len(names), accuracy=None,
                class_names=names if getattr(images, "class_names", None) else None, notes=(*model.notes, note))
        for model, one, note in zip(models, made, notes, strict=True)
    ]  # fmt: skip
    kind = f"the {words.neighbours} nearest" if words.kind == "knn" else "a linear map"
    return found, (f"The head is {kind} of {len(images)} labelled images of '{images.name}', {len(names)} classes.",)


def _mapped(model: Model, groups: Groups) -> Model:
    from ..classes import outputs_of
    from .class_map import ClassMap

    most = max(last for ranges in groups.values() for _, last in ranges)
    outputs = outputs_of(model)
    if outputs is not None and most >= outputs:
        raise InputError(
            f"the head names class {most}, and {model.name} has {outputs}, 0 to {outputs - 1}",
            "Name classes that all models have.",
        )
    network = ClassMap(model.network, groups).eval()
    return replace(model, module=network, classes=len(groups), class_names=tuple(groups), accuracy=None)


def _labels(images: Images, words: Words) -> tuple[Tensor, tuple[str, ...]]:
    """Labels, int64 [images], and the names of the classes.

    Raises:
        DataError: the images have none; there is no image of a class, or one class alone; too few images.
    """
    from ..classes import checked

    labels = checked(images)
    known = getattr(images, "class_names", None)
    names = tuple(known) if known else tuple(str(k) for k in range(int(labels.max()) + 1))
    here = set(labels.tolist())
    missing = [name for k, name in enumerate(names) if k not in here]
    if len(names) < 2 or missing or min(here) < 0:
        said = f"no image of '{missing[0]}'" if missing else "one class alone" if len(names) < 2 else "labels below 0"
        raise DataError(f"a head cannot be made from '{images.name}': it has {said}", "Two classes or more, of each "
                        "an image or more, are needed: name more images, or take more with `head_images`.")  # fmt: skip
    if words.kind == "knn" and words.neighbours >= len(images):
        raise DataError(
            f"{words.neighbours} nearest of {len(images)} labelled images are all of them",
            "Take fewer neighbours, `head='knn=1'`, or more images.",
        )
    return labels, names


def _learned(model: Model, words: Words, images: Images, labels: Tensor, classes: int, device: str) -> Learned:
    from .few_labels import linear, nearest

    features = _features(model.network, model, images, device)
    if words.kind == "knn":
        return nearest(model.network, features, labels, classes, words.neighbours)
    return linear(model.network, features, labels, classes)


def _features(network: nn.Module, model: Model, images: Images, device: str) -> Tensor:
    """The network's own scores of images: float32 [images, scores], on the processor."""
    import torch

    from ..device import resolve
    from ..passes.data.scores import scores
    from ..passes.graphs.placement import exactly, on_device

    place = exactly(resolve(device))
    there = on_device(network, place)
    found = torch.cat([scores(there, x.to(place), model.name).cpu() for x in images.batches(model.input, _BATCH)])
    if found.ndim != 2:
        raise InputError(
            f"{model.name} gives {tuple(found.shape[1:])} for an image, and a head is made from a row of scores",
            "Flatten what its last layer gives.",
        )
    return found
