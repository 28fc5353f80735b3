"""Which split a picture is in and which class it is of, by its path.

Within a split every visible folder is a class, its index is the place of its name in alphabetical order among the
classes of all splits, and pictures count for it at any depth: as torchvision's ImageFolder, but that classes without
pictures keep their index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from stitchc.passes.data.errors import DataError, did_you_mean

from .listing import BESIDE, Listing, Parts, note_of
from .pictures import SUFFIXES, Pictures, printable

#: The usual names of splits, in lower case.
SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
    "testing": "test", "dev": "dev", "eval": "eval",
}  # fmt: skip
#: Which split is taken when nobody names one: to learn and compare on, and to measure on.
LEARNING = ("train", "val", "dev", "eval", "test")
MEASURING = ("test", "val", "eval", "dev", "train")
_SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Wanted:
    """split: its name, None for the one that suits. measuring: whether it is for an accuracy. by_prefix: whether the
    class is the number that a file's name begins with."""

    split: str | None = None
    by_prefix: bool = False
    measuring: bool = False

    def of(self, known: dict[str, str], what: str) -> tuple[str, tuple[str, ...]]:
        """Of a set whose splits are known by these names: its own word for the split, and a note where it was chosen.

        Raises:
            DataError: it has no such split.
        """
        if self.split is None:
            first = next(name for name in (MEASURING if self.measuring else LEARNING) if name in known)
            return known[first], chosen_note(known[first], len(known)) if self.measuring else ()
        word = self.split if self.split in known else self.split.lower()
        word = word if word in known else SPLITS.get(word, word)
        if word not in known:
            raise DataError(f"{what} has no split '{self.split}'", f"It has {', '.join(known)}.")
        return known[word], ()


def chosen_note(split: str, of: int) -> tuple[str, ...]:
    return (f"the split '{split}' is measured; split= names another",) if of > 1 else ()


@dataclass(frozen=True)
class Sorted:
    """The pictures of a split. paths, pictures, labels: one a picture; a picture as its listing holds it."""

    paths: list[Parts]
    pictures: list[Any]
    labels: list[int] | None
    classes: int | None
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...]

    def name(self, index: int) -> str:
        return printable("/".join(self.paths[index]))

    def as_pictures(
        self, read: Callable[[int], Image.Image], select: Callable[[Sequence[int]], None] = lambda _: None
    ) -> Pictures:
        return Pictures(
            len(self.paths),
            read,
            self.labels,
            self.classes,
            self.class_names,
            select,
            notes=self.notes,
            where=self.name,
        )


def sorted_out(listing: Listing, wanted: Wanted) -> Sorted:
    """The pictures of the wanted split with their classes.

    Raises:
        DataError: there are no pictures, no such split, or splits and classes side by side.
    """
    if not listing.pictures:
        raise _no_pictures(listing.where, listing)
    base = _below_wrappers(listing, wanted.split)
    split, siblings, notes = _split(listing, base, wanted)
    top = (*base, split) if split is not None else base
    paths = [path for path in listing.pictures if path[: len(top)] == top]
    if not paths:
        raise _no_pictures(f"{listing.where}, in '{printable('/'.join(top))}',", listing)
    if wanted.by_prefix:
        labels = _prefixes(paths, listing.where)
        return _sorted(listing, paths, labels, max(labels) + 1, None, notes)
    loose = [path for path in paths if len(path) == len(top) + 1]
    if len(loose) == len(paths):
        return _sorted(listing, paths, None, None, None, notes)
    paths = [path for path in paths if len(path) > len(top) + 1]
    for path in loose + [path for path in listing.pictures if top != base and len(path) == len(base) + 1]:
        listing.skip(BESIDE, path)
    names = sorted({name for folder in {top, *siblings} for name in listing.inside(folder)})
    index = {name: number for number, name in enumerate(names)}
    filled = {path[len(top)] for path in paths}
    if empty := [name for name in names if name not in filled]:
        where = f" in '{printable(split)}'" if split is not None else ""
        notes += (f"no pictures{where} of {counted(empty, 'class', 'classes')}, which counts all the same",)
    labels = [index[path[len(top)]] for path in paths]
    return _sorted(listing, paths, labels, len(names), tuple(map(printable, names)), notes)


def _sorted(
    listing: Listing,
    paths: list[Parts],
    labels: list[int] | None,
    classes: int | None,
    names: tuple[str, ...] | None,
    notes: tuple[str, ...],
) -> Sorted:
    skipped = note_of(listing.skipped)
    notes = (*notes, *((skipped,) if skipped else ()))
    return Sorted(paths, [listing.pictures[path] for path in paths], labels, classes, names, notes)


def _below_wrappers(listing: Listing, split: str | None) -> Parts:
    """Down the folders that hold a single folder and no picture, as an unpacked archive has one around everything."""
    base: Parts = ()
    depth = min(len(path) for path in listing.pictures)
    while len(inside := listing.inside(base)) == 1:
        if inside[0] == split or inside[0].lower() in SPLITS or depth < len(base) + 3:
            break
        base = (*base, inside[0])
    return base


def _split(listing: Listing, base: Parts, wanted: Wanted) -> tuple[str | None, list[Parts], tuple[str, ...]]:
    """The folder of the wanted split, all folders that are splits, and a note where nobody named the split."""
    folders = listing.inside(base)
    splits = [name for name in folders if name.lower() in SPLITS]
    if wanted.split is not None:
        split = _one(listing, _called(wanted.split, folders), wanted.split)
        if split is None:
            shown = ", ".join(map(printable, folders[:_SHOWN]))
            raise DataError(
                f"{listing.where} has no folder '{wanted.split}' to take that split from",
                did_you_mean(wanted.split, folders) or f"It has {shown or 'no folders'}; or leave split= out.",
            )
        return split, [(*base, name) for name in {*splits, split}], ()
    filled = _filled_splits(listing, len(base), splits)
    if not filled:
        return None, [], ()
    preferred = MEASURING if wanted.measuring else LEARNING
    first = min((SPLITS[name.lower()] for name in filled), key=preferred.index)
    split = _one(listing, [name for name in filled if SPLITS[name.lower()] == first], first)
    assert split is not None
    return split, [(*base, name) for name in splits], chosen_note(split, len(filled)) if wanted.measuring else ()


def _called(split: str, folders: list[str]) -> list[str]:
    """The folders of that name; else those that mean the same split in another case or word."""
    if split in folders:
        return [split]
    same = SPLITS.get(split.lower(), split.lower())
    return [name for name in folders if SPLITS.get(name.lower(), name.lower()) == same]


def _one(listing: Listing, found: list[str], split: str) -> str | None:
    if len(found) > 1:
        raise DataError(
            f"{listing.where} has more than one folder for the split '{split}': {', '.join(found)}",
            f"Name one of them exactly: split={found[0]}.",
        )
    return found[0] if found else None


def _filled_splits(listing: Listing, depth: int, splits: list[str]) -> list[str]:
    """Those of the folders `depth` down that are splits with pictures; none where all are classes, as one of them may
    be called "train".

    Raises:
        DataError: they are both.
    """
    filled = {path[depth] for path in listing.pictures if len(path) > depth + 1}
    direct = {path[depth] for path in listing.pictures if len(path) == depth + 2}
    splits = [name for name in splits if name in filled]
    others = sorted(filled - set(splits))
    if not splits or not others:
        return splits
    if len({SPLITS[name.lower()] for name in splits}) == 1 and direct >= set(splits):
        return []
    raise DataError(
        f"{listing.where} mixes splits ({', '.join(splits)}) with {counted(others, 'other folder', 'other folders')}: "
        "they cannot all be classes, nor all be splits",
        f"Name the split, such as split={splits[0]}, or move the other folders elsewhere.",
    )


def _prefixes(paths: list[Parts], where: str) -> list[int]:
    labels = []
    for path in paths:
        match = re.match(r"[0-9]{1,9}(?![0-9])", path[-1])
        if match is None:
            raise DataError(
                f"{where}: the name of {printable('/'.join(path))} begins with no number to be its class "
                "(labels=prefix)",
                "Leave labels= out, or name the files like 0007_cat.jpg.",
            )
        labels.append(int(match[0]))
    return labels


def _no_pictures(where: str, listing: Listing) -> DataError:
    skipped = note_of(listing.skipped)
    return DataError(
        f"{where} holds no pictures{f' ({skipped})' if skipped else ''}",
        f"It must hold files that end in {', '.join(SUFFIXES)}, or folders of them.",
    )


def counted(names: Sequence[str], one: str, more: str) -> str:
    shown = ", ".join(map(printable, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")
    return f"{len(names)} {one if len(names) == 1 else more} ({shown})"
