"""Names of classes: those that many networks share (ImageNet's, CIFAR's), and how one list maps into another."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from stitchc.passes.data.errors import DataError

from .classes import counted
from .pictures import Pictures, printable

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
#: As torch's tutorial calls them.
_CIFAR10_SHORT = ("plane", "car", *CIFAR10[2:])
_CIFAR100_WORDS = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle
caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish
forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle
mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar
sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
willow_tree wolf woman worm
"""
CIFAR100 = tuple(_CIFAR100_WORDS.split())
#: By how many outputs a network has, what its ImageNet is called and timm's list of the synsets it was trained on.
_SYNSETS = {
    1000: ("ImageNet", "imagenet_synsets"),
    11221: ("ImageNet-21k (MIIL)", "imagenet21k_miil_synsets"),
    11821: ("ImageNet-12k", "imagenet12k_synsets"),
    21841: ("ImageNet-22k", "imagenet22k_synsets"),
    21842: ("ImageNet-22k (Microsoft)", "imagenet22k_ms_synsets"),
    21843: ("ImageNet-21k (Google)", "imagenet21k_goog_synsets"),
}
_WNID = re.compile(r"(n\d{8})(?![0-9a-zA-Z])")
_FILE_BYTES = 1 << 22  # of a list of names
_ALIKE = 0.95  # of the names of two lists, to be the same


@dataclass(frozen=True)
class Vocabulary:
    """name: "CIFAR-10", to be shown. lists: each names every output, in other words; any of them may be used."""

    name: str
    lists: tuple[tuple[str, ...], ...]

    def positions(self, names: Iterable[str]) -> list[int | None]:
        """The output of each name; None for one that names none, or several."""
        indices = [_index(known) for known in self.lists]
        return [next((i[key] for i in indices for key in _keys(name) if key in i), None) for name in names]


def vocabularies(outputs: int, own: Sequence[str] | None = None) -> list[Vocabulary]:
    """What the outputs of a network may be called: by its own names where it has some, which may be those of a set that
    is known by other names too; else by those of the sets that have so many classes."""
    known = _known(outputs)
    if own is None or len(own) != outputs:
        return known
    same = [vocabulary for vocabulary in known if any(_alike(own, names) for names in vocabulary.lists)]
    return [Vocabulary("the network", (tuple(own),)), *same]


def in_order(given: Any) -> tuple[str, ...] | None:
    """Names, one an output, from a list of them, or from a mapping of the outputs' numbers (5 or "5") to them, as
    Hugging Face's `id2label` is; None where it is neither, or says no more than the numbers ("LABEL_5", "5")."""
    if isinstance(given, Mapping):
        by_number = {str(number): name for number, name in given.items()}
        given = [by_number.get(str(number)) for number in range(len(given))]
    if not isinstance(given, list | tuple) or not given or not all(isinstance(name, str) and name for name in given):
        return None
    said = any(name not in (str(at), f"LABEL_{at}") for at, name in enumerate(given))
    return tuple(map(printable, given)) if said else None


def of_network(network: object) -> tuple[str, ...] | None:
    """What a network says of its own outputs, as those of Hugging Face (`config.id2label`) and of Ultralytics (`names`)
    do."""
    said = getattr(getattr(network, "config", None), "id2label", None), getattr(network, "names", None)
    return next((names for given in said if isinstance(given, Mapping) and (names := in_order(given))), None)


def natural_order(names: Sequence[str]) -> list[str]:
    """Sorted with the numbers in them as numbers, as timm sorts class folders."""
    return sorted(names, key=lambda name: [(not part.isdigit(), int(part) if part.isdigit() else 0, part)
                                           for part in re.split(r"([0-9]+)", name.lower())])  # fmt: skip


def renumbered(source: Pictures, order: str, words: str) -> Pictures:
    """The pictures with labels that the user vouches for: positions in the `order` that the option `classes=` names.

    Raises:
        DataError: the pictures have no names of classes; an order that is none, or that lacks one of the names.
    """
    if source.class_names is None or source.labels is None:
        raise DataError(f"'{words}': classes= orders names of classes, and there are none", "Leave classes= out.")
    positions = _positions(source.class_names, order, words)
    lacking = [name for name, at in zip(source.class_names, positions, strict=True) if at is None]
    if lacking:
        raise DataError(
            f"'{words}': {counted(lacking, 'class is', 'classes are')} not in {order}",
            "Every class must have one line there, by the name of its folder.",
        )
    found = [at for at in positions if at is not None]
    labels = [found[label] for label in source.labels]
    return replace(source, labels=labels, classes=max(found) + 1, class_names=None)


def _positions(names: tuple[str, ...], order: str, words: str) -> Sequence[int | None]:
    if order == "alphabetical":
        return range(len(names))
    if order == "natural":
        place = {name: at for at, name in enumerate(natural_order(names))}
        return [place[name] for name in names]
    sizes = {"imagenet": 1000, "cifar10": 10, "cifar100": 100}
    if order in sizes:
        return _known(sizes[order])[0].positions(names)
    if not os.path.isfile(os.path.expanduser(order)):
        raise DataError(
            f"'{words}': classes='{order}' is no order of classes, and no file",
            f"It is alphabetical, natural, {', '.join(sizes)}, or a text file with the name of a class in each line.",
        )
    lists = _lines(Path(os.path.expanduser(order)))
    return Vocabulary(order, lists).positions(names)


def _lines(path: Path) -> tuple[tuple[str, ...], ...]:
    """The lines of a file, and the first words of them, as in "n01440764 tench, Tinca tinca"."""
    try:
        if path.stat().st_size > _FILE_BYTES:
            raise DataError(f"{path} has more than {_FILE_BYTES:,} bytes", "Give a text file with a name in each line.")
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", "Give a text file with a name in each line.") from error
    while lines and not lines[-1]:
        lines.pop()
    return tuple(lines), tuple(line.split()[0].rstrip(",:") if line else "" for line in lines)


@cache
def _known(outputs: int) -> list[Vocabulary]:
    if outputs == 10:
        return [Vocabulary("CIFAR-10", (CIFAR10, _CIFAR10_SHORT))]
    if outputs == 100:
        return [Vocabulary("CIFAR-100", (CIFAR100,))]
    if outputs in _SYNSETS:
        name, file = _SYNSETS[outputs]
        return [Vocabulary(name, (_synsets(file), *((_imagenet_words(),) if outputs == 1000 else ())))]
    if outputs == 1001:  # as TensorFlow's networks: nothing comes first
        names = (_synsets("imagenet_synsets"), _imagenet_words())
        return [Vocabulary("ImageNet after a background class", tuple(("", *known) for known in names))]
    return []


def _synsets(file: str) -> tuple[str, ...]:
    """A list of synsets that timm comes with, read without importing timm."""
    spec = find_spec("timm")
    assert spec is not None and spec.submodule_search_locations is not None, "timm is a dependency"
    folder = Path(spec.submodule_search_locations[0], "data", "_info")
    return tuple((folder / f"{file}.txt").read_text(encoding="utf-8").split())


def _imagenet_words() -> tuple[str, ...]:
    from torchvision.models import get_weight

    return tuple(get_weight("AlexNet_Weights.IMAGENET1K_V1").meta["categories"])


@cache
def _index(names: tuple[str, ...]) -> dict[str, int]:
    """Name -> position, by the name itself and by the ways to write it; what names several positions is left out."""
    places: dict[str, set[int]] = {}
    for at, name in enumerate(names):
        for key in _keys(name) if name else ():
            places.setdefault(key, set()).add(at)
    return {key: found.pop() for key, found in places.items() if len(found) == 1}


def _keys(name: str) -> list[str]:
    """A name as it is, without differences of case and of what parts its words, and the synset it begins with.
    "tench, Tinca tinca" is "tench" as well."""
    wnid = _WNID.match(name)
    plain = [re.sub(r"[\s_-]+", "_", part.strip().casefold()) for part in (name, name.split(",")[0])]
    return list(dict.fromkeys([name, *plain, *([wnid[1]] if wnid else [])]))


def _alike(own: Sequence[str], known: Sequence[str]) -> bool:
    """Whether two lists name the same in the same order."""
    same = sum(not set(_keys(a)).isdisjoint(_keys(b)) for a, b in zip(own, known, strict=True))
    return same >= _ALIKE * len(known)
