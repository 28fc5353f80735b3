"""Pictures in files: folders and tars of them, sorted into splits and classes by their paths."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from stitchc.passes.data.errors import DataError, did_you_mean

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
SPLITS = ("train", "training", "test", "val", "valid", "validation")
# Encoded bytes of a compressed tar that are kept while it is read for the first time; beyond, it is read twice.
KEPT_BYTES = 1 << 30


@dataclass(frozen=True)
class Pictures:
    """Pictures before a sample is drawn from them.

    read: the picture at an index, in any mode, from any thread. labels: one per picture, or None. classes: how many
    there are. select: told once which indices will be read, so that the rest may be dropped. noise: they are none.
    """

    count: int
    read: Callable[[int], Image.Image]
    labels: Sequence[int] | None = None
    classes: int | None = None
    select: Callable[[Sequence[int]], None] = lambda _: None
    noise: bool = False


@dataclass(frozen=True)
class _Listing:
    """Paths of pictures, the positions they had in what was listed, and their labels."""

    positions: list[int]
    labels: list[int] | None
    classes: int | None


def from_folder(folder: Path, split: str | None, by_prefix: bool) -> Pictures:
    """Pictures under a folder: in class subfolders, or flat; under a folder of the split's name where there are splits.

    Raises:
        DataError: no such folder, no pictures in it, no such split.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", _near(folder))
    files = sorted(path for path in folder.rglob("*") if _is_picture(path.name) and path.is_file())
    listing = _sorted_out([path.relative_to(folder).parts for path in files], split, by_prefix, str(folder))
    chosen = [files[position] for position in listing.positions]

    def read(index: int) -> Image.Image:
        return _decoded(chosen[index].read_bytes(), str(chosen[index]))

    return Pictures(len(chosen), read, listing.labels, listing.classes)


def from_tar(path: Path, split: str | None, by_prefix: bool) -> Pictures:
    """The same inside a tar, compressed or not. A plain one is read in place, a compressed one from front to back.

    Raises:
        DataError: no such file, not a tar, truncated, no pictures in it, no such split.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}", _near(path))
    try:
        with path.open("rb") as file:
            plain = tarfile.is_tarfile(path) and _is_plain(file.read(512))
        return _from_plain_tar(path, split, by_prefix) if plain else _from_compressed_tar(path, split, by_prefix)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a tar: {error}", "Copy or download the file again.") from error
    except Exception as error:
        if type(error).__name__ in ("LZMAError", "error", "BadGzipFile"):  # of lzma, zlib, gzip
            raise DataError(f"{path} cannot be unpacked: {error}", "Copy or download the file again.") from error
        raise


def _is_plain(head: bytes) -> bool:
    return head[257:262] == b"ustar" or not head.startswith((b"\xfd7zXZ", b"\x1f\x8b", b"BZh"))


def _from_plain_tar(path: Path, split: str | None, by_prefix: bool) -> Pictures:
    with tarfile.open(path, "r:") as tar:
        members = sorted(
            ((m.name, m.offset_data, m.size) for m in tar if m.isreg() and _is_picture(m.name)), key=lambda m: m[0]
        )
    listing = _sorted_out([_parts(name) for name, _, _ in members], split, by_prefix, str(path))
    chosen = [members[position] for position in listing.positions]

    def read(index: int) -> Image.Image:
        name, offset, size = chosen[index]
        with path.open("rb") as file:
            file.seek(offset)
            return _decoded(file.read(size), f"{path}:{name}")

    return Pictures(len(chosen), read, listing.labels, listing.classes)


def _from_compressed_tar(path: Path, split: str | None, by_prefix: bool) -> Pictures:
    kept: dict[str, bytes] = {}
    names: list[str] = []
    total = 0
    for name, size, content in _stream(path):
        names.append(name)
        total += size
        if total <= KEPT_BYTES:
            kept[name] = content()
    names.sort()
    listing = _sorted_out([_parts(name) for name in names], split, by_prefix, str(path))
    chosen = [names[position] for position in listing.positions]

    def select(indices: Sequence[int]) -> None:
        wanted = {chosen[index] for index in indices}
        for name in kept.keys() - wanted:
            del kept[name]
        if wanted - kept.keys():
            kept.update((name, content()) for name, _, content in _stream(path) if name in wanted)

    def read(index: int) -> Image.Image:
        return _decoded(kept[chosen[index]], f"{path}:{chosen[index]}")

    return Pictures(len(chosen), read, listing.labels, listing.classes, select)


def _stream(path: Path) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Name, size and content of each picture, in the file's order; content can be had until the next is asked for."""
    with tarfile.open(path, "r|*") as tar:
        for member in tar:
            if member.isreg() and _is_picture(member.name):
                yield member.name, member.size, lambda member=member: tar.extractfile(member).read()  # type: ignore
            tar.members = []  # type: ignore[attr-defined] # which tarfile fills with every member it meets


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in PurePosixPath(name).parts if part not in (".", "/"))


def _is_picture(name: str) -> bool:
    base = PurePosixPath(name).name
    return not base.startswith(".") and os.path.splitext(base)[1].lower() in SUFFIXES


def _decoded(content: bytes, where: str) -> Image.Image:
    try:
        picture = Image.open(io.BytesIO(content))
        picture.load()
        return picture
    except Exception as error:  # PIL raises errors of many kinds for a broken file
        raise DataError(f"{where} is no picture that can be read: {error}", "Remove the file, or mend it.") from error


def _near(path: Path) -> str:
    siblings = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return did_you_mean(path.name, siblings) or "Check the path."


def _sorted_out(paths: list[tuple[str, ...]], split: str | None, by_prefix: bool, where: str) -> _Listing:
    """Picks the split, then reads the classes off what is left of the paths: index = alphabetical order."""
    if not paths:
        raise DataError(
            f"{where} holds no pictures",
            f"It must hold files that end in {', '.join(SUFFIXES)}, or folders of them.",
        )
    items = list(enumerate(paths))
    while len({path[0] for _, path in items}) == 1 and min(len(path) for _, path in items) >= 3:
        if items[0][1][0] in (split, *SPLITS):
            break
        items = [(position, path[1:]) for position, path in items]  # a folder around everything
    items = _of_split(items, split, where)
    if by_prefix:
        return _labelled_by_prefix(items, where)
    nested = [(position, path) for position, path in items if len(path) > 1]
    if not nested:
        return _Listing([position for position, _ in items], None, None)
    names = sorted({path[0] for _, path in nested})
    index = {name: number for number, name in enumerate(names)}
    return _Listing([position for position, _ in nested], [index[path[0]] for _, path in nested], len(names))


def _of_split(
    items: list[tuple[int, tuple[str, ...]]], split: str | None, where: str
) -> list[tuple[int, tuple[str, ...]]]:
    top = {path[0] for _, path in items if len(path) > 1}
    if split is None:
        if not top or not top <= set(SPLITS):
            return items
        split = next(name for name in SPLITS if name in top)  # pictures to probe with: the training ones, if any
    elif split not in top:
        found = sorted(top)[:5]
        raise DataError(
            f"{where} has no folder '{split}' to take that split from",
            did_you_mean(split, found) or f"It has {', '.join(found) or 'no folders'}; or leave split= out.",
        )
    return [(position, path[1:]) for position, path in items if path[0] == split]


def _labelled_by_prefix(items: list[tuple[int, tuple[str, ...]]], where: str) -> _Listing:
    labels = []
    for _, path in items:
        match = re.match(r"\d+", path[-1])
        if match is None:
            raise DataError(
                f"{where}: the name of {'/'.join(path)} begins with no number to be its class (labels=prefix)",
                "Leave labels= out, or name the files like 0007_cat.jpg.",
            )
        labels.append(int(match[0]))
    return _Listing([position for position, _ in items], labels, max(labels) + 1)
