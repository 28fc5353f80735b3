"""Which output of a network each class of the images is; said, and refused where a number could only be wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from .passes.data.errors import DataError, InputError, ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from .passes.data.model import Images, Model
    from .zoo.class_names import Vocabulary

_ORDER = (
    "Give a file with the name of a class in each line, in the order of the outputs: ?classes=FILE. If the outputs are "
    "these classes in alphabetical order, say so: ?classes=alphabetical."
)


_SIMILAR = 0.3  # of the classes are in a known set: enough to doubt that they are others


@dataclass(frozen=True)
class Match:
    """labels: int64 [images], outputs of the network. images: how many classes they are of. outputs: the network's.

    by: "number" (the labels were written as numbers), "position" (of a class's name in alphabetical order), or whose
    names were matched. note: what a report must say; "" where nothing. positions: the output of each class that has a
    name.
    """

    labels: Tensor
    images: int
    outputs: int
    by: str
    note: str = ""
    positions: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, int | str]:
        return {"images": self.images, "outputs": self.outputs, "by": self.by}


def match(images: Images, outputs: int, names: Sequence[str] | None = None, *, learning: bool = False) -> Match:
    """What the labels of `images` mean among `outputs`. names: what the network calls its outputs, where that is known.

    learning: they are to be trained on, which gives outputs a meaning: fewer classes than outputs are then positions.

    Raises:
        DataError: no labels, or some that are no outputs; classes that cannot be those of the network.
    """
    if names is not None and len(names) != outputs:
        found = match(images, outputs, learning=learning)
        unused = f"the {len(names):,} names that the network gives its {outputs:,} outputs are not used"
        return replace(found, note="; ".join(filter(None, [found.note, unused])))
    labels = checked(images)
    classes: tuple[str, ...] | None = getattr(images, "class_names", None)
    if classes is None:
        return _numbers(images.name, labels, getattr(images, "classes", None) or 0, outputs)
    from .zoo.class_names import vocabularies

    known = vocabularies(outputs, names)
    for vocabulary in known:
        positions = vocabulary.positions(classes)
        if None not in positions and len(set(positions)) == len(classes):
            return _named(images.name, labels, outputs, classes, vocabulary, [at for at in positions if at is not None])
    own = known[0] if known and names is not None else None
    return _positions(images.name, labels, outputs, classes, own, learning)


def outputs_of(model: Model) -> int | None:
    """How many outputs a model has, found out by running it where it does not say; None where that fails, which
    whoever runs it next explains."""
    if model.classes is not None or model.module is None:
        return model.classes
    import torch

    try:
        return model.scores(torch.zeros(2, *model.input.size)).shape[-1]
    except ModelError:
        return None


def check_alike(models: Sequence[Model], verb: str) -> None:
    """Refuses models that cannot be scored by one measure: chains end in any of them.

    verb: what is to be done with them, a noun.

    Raises:
        InputError: they have different numbers of outputs.
    """
    known = {model.name: count for model in models if (count := outputs_of(model)) is not None}
    first, count = next(iter(known.items()), ("", 0))
    other = next((name for name in known if known[name] != count), None)
    if other is not None:
        raise InputError(
            f"{first} has {count:,} outputs and {other} {known[other]:,}, and a {verb} compares networks that tell the "
            "same classes apart",
            "Give all models one `head`, or name those of the same classes. `compile` joins two of different classes.",
        )


def for_models(images: Images, models: Sequence[Model]) -> tuple[Images, tuple[str, ...]]:
    """The images with labels that are outputs of the models, for whoever compares and ranks; without labels, and a
    note, where they are not."""
    if images.labels is None or getattr(images, "class_names", None) is None:
        return images, ()
    matches, reasons = [], []
    for model in models:
        outputs = outputs_of(model)
        try:
            if outputs is not None:
                matches.append(match(images, outputs, model.class_names))
        except DataError as error:
            reasons.append(f"The labels are not used for {model.name}: {error.message}.")
    found = {tuple(found.labels.tolist()) for found in matches}
    if len(found) == 1:
        return relabelled(images, matches[0].labels), (*_notes(matches), *reasons)
    if len(found) > 1:
        reasons.append("The labels are not used: the models order the classes differently.")
    return relabelled(images, None), tuple(reasons)


def check(images: Images, models: Sequence[Model]) -> None:
    """Raises:
    DataError: the classes of the images are those of none of the models.
    """
    wrong = None
    for model in models:
        outputs = outputs_of(model)
        if outputs is None:
            return
        try:
            match(images, outputs, model.class_names)
            return
        except DataError as error:
            wrong = wrong or error
    if wrong is not None:
        raise wrong


def relabelled(images: Images, labels: Tensor | None) -> Images:
    """The same images with other labels."""
    return images.relabelled(labels)  # type: ignore[attr-defined] # whatever has names of classes has it


def _notes(matches: Sequence[Match]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(found.note for found in matches if found.note))


def checked(images: Images) -> Tensor:
    """The labels of images, int64 [images].

    Raises:
        DataError: there are none, or other than one integer an image.
    """
    labels = images.labels
    if labels is None:
        raise DataError(
            f"the images of '{images.name}' have no labels",
            "Accuracy needs class subfolders, labels=prefix, or labels in the file.",
        )
    if len(images) == 0:
        raise DataError(f"'{images.name}' holds no images", "Name another folder or file.")
    if labels.shape != (len(images),) or labels.is_floating_point() or labels.is_complex():
        raise DataError(
            f"the labels of '{images.name}' are {labels.dtype} of shape {tuple(labels.shape)}",
            f"They must be integers, one for each of the {len(images)} images.",
        )
    return labels.long()


def _numbers(data: str, labels: Tensor, classes: int, outputs: int) -> Match:
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= outputs:
        from_one = " They seem to count from 1: subtract 1." if low >= 1 and high == outputs else ""
        raise DataError(
            f"'{data}' has a label {low if low < 0 else high}, but the network has {outputs} outputs",
            f"Measure it on images of the classes that it was trained on; labels count from 0.{from_one}",
        )
    note, classes = "", max(classes, high + 1)
    if classes < outputs:
        note = f"the labels {low} to {high} are taken for numbers of the network's {outputs:,} outputs"
    return Match(labels, classes, outputs, "number", note)


def _named(
    data: str, labels: Tensor, outputs: int, classes: tuple[str, ...], vocabulary: Vocabulary, positions: list[int]
) -> Match:
    import torch

    mapped = torch.tensor(positions)[labels]
    if positions == list(range(outputs)):
        return Match(mapped, len(classes), outputs, "position", positions=tuple(positions))
    by = f"the names of {vocabulary.name}"
    note = f"the {len(classes):,} classes of '{data}' are matched to the network's {outputs:,} outputs by {by}"
    return Match(mapped, len(classes), outputs, by, note, tuple(positions))


def _positions(
    data: str, labels: Tensor, outputs: int, classes: tuple[str, ...], own: Vocabulary | None, learning: bool
) -> Match:
    """Each class is the output of its place in alphabetical order, where that can be."""
    from .zoo.classes import counted

    count, said = len(classes), f"'{data}' has {counted(classes, 'class', 'classes')}"
    strangers = [name for name, at in zip(classes, own.positions(classes), strict=True) if at is None] if own else []
    if count > outputs:
        raise DataError(f"{said}, and the network has {outputs:,} outputs", _ORDER)
    if learning:
        note = f"training makes the first {count:,} of {outputs:,} outputs mean {counted(classes, 'class', 'classes')}"
        note = note if count < outputs or own is not None else ""
        return Match(labels, count, outputs, "position", note, tuple(range(count)))
    if count < outputs:
        raise DataError(
            f"{said}, and the network has {outputs:,} outputs: which of them these are cannot be known",
            f"Add the missing classes, as empty folders if need be. {_ORDER}",
        )
    if own is not None and strangers:
        first = ", ".join(own.lists[0][:3])
        said = counted(strangers, "class", "classes")
        raise DataError(f"{said} of '{data}' are none of the network's ({first}, ...)", _ORDER)
    _check_order(data, classes, outputs)
    return Match(labels, count, outputs, "position", positions=tuple(range(count)))


def _check_order(data: str, classes: tuple[str, ...], outputs: int) -> None:
    """Refuses classes that have more than one order in which the network may have been trained on them: that of a known
    set of which many are, or those of torchvision and of timm where the two differ."""
    from .zoo.class_names import natural_order, vocabularies

    for vocabulary in vocabularies(outputs):
        elsewhere = sum(at not in (None, place) for place, at in enumerate(vocabulary.positions(classes)))
        if elsewhere >= _SIMILAR * outputs:
            raise DataError(
                f"{elsewhere:,} of the classes of '{data}' have another place in {vocabulary.name} than in "
                "alphabetical order, and some are not in it: whether the network was trained on it cannot be known",
                _ORDER,
            )
    if list(classes) != (natural := natural_order(classes)):
        place = next(at for at, name in enumerate(natural) if name != classes[at])
        raise DataError(
            f"the classes of '{data}' have two orders: output {place} is '{classes[place]}' in alphabetical order, and "
            f"'{natural[place]}' where numbers are sorted by number and capitals passed over; which of them the "
            "network was trained on cannot be known",
            "Say it: ?classes=alphabetical as torchvision's ImageFolder, ?classes=natural as timm and by number.",
        )
