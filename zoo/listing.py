"""What lies in a folder or an archive: its visible pictures and folders, links followed, and what was passed over.

A folder of a disk and one inside a tar are walked by the same rules, those of torchvision's ImageFolder except in one
thing: what is hidden is not read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stitchc.passes.data.errors import DataError

from .pictures import is_picture, printable

Parts = tuple[str, ...]

#: Folders that are walked, and those of them that are reached through a link.
MOST_FOLDERS = 100_000
MOST_LINKED = 10_000
#: Folders in folders. Beyond, paths take more memory than there is: an archive makes a folder of each `/` in a name.
MOST_DEPTH = 200
# What systems leave among pictures without a dot before its name.
_LEFTOVERS = ("__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", "System Volume Information")
_SHOWN = 3  # names of what was skipped


@dataclass(frozen=True)
class Entry:
    """Something in a folder. kind: "folder", "file", or "unreadable" (a dangling link, a pipe, a device).

    place: what is opened or walked. identity: of a folder, the same however it is reached. linked: through a link.
    """

    name: str
    kind: str
    place: Any = None
    identity: Hashable = None
    linked: bool = False


@dataclass
class Listing:
    """where: names the whole in messages. pictures: path -> what is opened to read it, in the order of the paths.
    folders: paths of all visible ones. skipped: why -> paths."""

    where: str
    pictures: dict[Parts, Any] = field(default_factory=dict)
    folders: set[Parts] = field(default_factory=set)
    skipped: dict[str, list[Parts]] = field(default_factory=dict)

    def skip(self, why: str, path: Parts) -> None:
        self.skipped.setdefault(why, []).append(path)

    def inside(self, folder: Parts) -> list[str]:
        """Names of the folders in a folder, sorted."""
        return sorted(path[-1] for path in self.folders if path[:-1] == folder)


OTHER = "no picture by their suffix"
HIDDEN = "hidden"
UNREADABLE = "that cannot be read"
BESIDE = "beside the folders of classes or splits"


def note_of(skipped: dict[str, list[Parts]]) -> str:
    """How many files were skipped, why, and the names of some; "" where none were."""
    said = []
    for why, paths in skipped.items():
        names = ", ".join(printable("/".join(path)) for path in sorted(paths)[:_SHOWN])
        said.append(f"{len(paths)} {why} ({names}{', ...' if len(paths) > _SHOWN else ''})")
    return f"skipped: {'; '.join(said)}" if said else ""


def walk(root: Entry, where: str, entries: Callable[[Entry], Iterable[Entry]]) -> Listing:
    """Everything below `root`; `entries` says what a folder holds, and raises OSError where it cannot.

    Raises:
        DataError: there are more folders than any set of pictures has.
    """
    listing = Listing(where)
    found: dict[Parts, Any] = {}
    linked = 0
    waiting: list[tuple[Entry, Parts, frozenset[Hashable], bool]] = [(root, (), frozenset([root.identity]), False)]
    while waiting:
        folder, parts, above, through_link = waiting.pop()
        linked += through_link
        if len(listing.folders) > MOST_FOLDERS or linked > MOST_LINKED:
            raise DataError(
                f"{where} holds more than {MOST_FOLDERS:,} folders, or {MOST_LINKED:,} behind links",
                "Name the folder of the pictures itself.",
            )
        try:
            held = list(entries(folder))
        except OSError:
            listing.skip(UNREADABLE, parts)
            continue
        for entry in held:
            path = (*parts, entry.name)
            check_depth(path, where)
            if entry.name.startswith(".") or entry.name in _LEFTOVERS:
                if entry.kind == "folder" or is_picture(entry.name):
                    listing.skip(HIDDEN, path)
            elif entry.kind == "folder" and entry.identity in above:
                listing.skip(UNREADABLE, path)  # a link to a folder that it lies in
            elif entry.kind == "folder":
                listing.folders.add(path)
                waiting.append((entry, path, above | {entry.identity}, through_link or entry.linked))
            elif not is_picture(entry.name):
                listing.skip(OTHER, path)
            elif entry.kind == "unreadable":
                listing.skip(UNREADABLE, path)
            else:
                found[path] = entry.place
    listing.pictures = {path: found[path] for path in sorted(found)}
    return listing


def check_depth(path: Parts, where: str) -> None:
    """Raises:
    DataError: more folders lie in one another than in any set of pictures.
    """
    if len(path) > MOST_DEPTH:
        raise DataError(
            f"{where} holds folders in folders, more than {MOST_DEPTH} deep", "Name the folder of the pictures itself."
        )


def of_folder(folder: Path) -> Listing:
    """What lies in a folder of a disk."""
    return walk(Entry("", "folder", str(folder), _identity(os.stat(folder))), str(folder), _on_disk)


def _on_disk(folder: Entry) -> Iterable[Entry]:
    with os.scandir(folder.place) as found:
        for item in found:
            try:
                if item.is_dir():
                    yield Entry(item.name, "folder", item.path, _identity(os.stat(item.path)), item.is_symlink())
                    continue
                kind = "file" if item.is_file() else "unreadable"
            except OSError:  # a link to itself
                kind = "unreadable"
            yield Entry(item.name, kind, item.path)


def _identity(found: os.stat_result) -> Hashable:
    return found.st_dev, found.st_ino
