"""Pictures inside a tar, compressed or not. A plain one is read in place, a compressed one from front to back."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tarfile import TarInfo
from typing import Any

from PIL import Image

from stitchc.passes.data.errors import DataError

from .classes import Wanted, sorted_out
from .listing import Entry, Listing, check_depth, walk
from .pictures import Pictures, check_size, decoded, is_picture

#: Encoded bytes of a compressed tar that are kept while it is read for the first time; beyond, it is read twice.
KEPT_BYTES = 1 << 28
#: A compressed tar that unpacks to more than this many times its size, and to more than SMALL bytes, is refused.
MOST_TIMES = 200
SMALL = 1 << 28
#: One with more than MANY files is refused where they have less than LEAST_BYTES each: each takes time and memory.
MANY, LEAST_BYTES = 100_000, 32
# Bytes of a header that says more of the member after it, such as a long name.
_HEADER_BYTES = 1 << 20
_MOST_HOPS = 40  # links that one leads to, as Linux has it


def from_tar(path: Path, wanted: Wanted) -> Pictures:
    """The pictures in a tar, sorted out as those of a folder are.

    Raises:
        DataError: no tar, damaged or truncated, one that unpacks to far more than it is; else as `sorted_out`.
    """
    try:
        with path.open("rb") as file:
            plain = not file.read(6).startswith((b"\xfd7zXZ", b"\x1f\x8b", b"BZh"))
        return _from_plain(path, wanted) if plain else _from_compressed(path, wanted)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a tar: {error}", "Copy or download the file again.") from error
    except Exception as error:
        if type(error).__name__ in ("LZMAError", "error", "BadGzipFile"):  # of lzma, zlib, gzip
            raise DataError(f"{path} cannot be unpacked: {error}", "Copy or download the file again.") from error
        raise


def _from_plain(path: Path, wanted: Wanted) -> Pictures:
    with tarfile.open(path, "r:", tarinfo=_Member) as tar:
        listing = _listing(tar, path)
    found = sorted_out(listing, wanted)

    def read(index: int) -> Image.Image:
        member, where = found.pictures[index], f"{path}:{found.name(index)}"
        check_size(member.size, where)
        with path.open("rb") as file:
            file.seek(member.offset_data)
            return decoded(file.read(member.size), where)

    return found.as_pictures(read)


def _from_compressed(path: Path, wanted: Wanted) -> Pictures:
    kept: dict[int, bytes] = {}  # by where a member's content begins

    def members() -> Iterator[TarInfo]:
        total = 0
        for tar, member in _streamed(path):
            if member.isreg() and is_picture(member.name) and total + member.size <= KEPT_BYTES:
                total += member.size
                kept[member.offset_data] = _content(tar, member)
            yield member

    found = sorted_out(_listing(members(), path), wanted)

    def select(indices: Sequence[int]) -> None:
        chosen = {found.pictures[index].offset_data for index in indices}
        for index in indices:
            check_size(found.pictures[index].size, f"{path}:{found.name(index)}")
        for offset in kept.keys() - chosen:
            del kept[offset]
        if chosen - kept.keys():
            kept.update((m.offset_data, _content(tar, m)) for tar, m in _streamed(path) if m.offset_data in chosen)

    def read(index: int) -> Image.Image:
        return decoded(kept[found.pictures[index].offset_data], f"{path}:{found.name(index)}")

    return found.as_pictures(read, select)


def _streamed(path: Path) -> Iterator[tuple[tarfile.TarFile, TarInfo]]:
    """Each member in the file's order, and the tar, which gives its content until the next is asked for."""
    size = path.stat().st_size
    most, most_members = max(SMALL, MOST_TIMES * size), max(MANY, size // LEAST_BYTES)
    with tarfile.open(path, "r|*", tarinfo=_Member) as tar:
        for number, member in enumerate(tar):
            if number > most_members:
                raise DataError(
                    f"{path} has {size:,} bytes, and more than {most_members:,} files in it",
                    "No pictures are as small. If it is what it should be, unpack it and name the folder.",
                )
            if member.offset_data + member.size > most:
                raise DataError(
                    f"{path} unpacks to more than {most:,} bytes, {MOST_TIMES} times its own size",
                    "No pictures are compressed so well. If it is what it should be, unpack it and name the folder.",
                )
            yield tar, member
            tar.members = []  # type: ignore[attr-defined] # which tarfile fills with every member it meets


def _content(tar: tarfile.TarFile, member: TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None, "a regular member has content"
    return file.read()


class _Member(TarInfo):
    """A header that is bounded and whole. tarfile itself reads headers of any size into memory, and takes one that is
    damaged for the end of the archive, so that all pictures after it would be missing without a word."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Any:
        try:
            return super().fromtarfile(tar)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined] # private
            raise tarfile.SubsequentHeaderError(f"damaged at byte {tar.offset:,}: {error}") from error  # type: ignore[attr-defined] # private

    def _proc_member(self, tar: tarfile.TarFile) -> Any:
        more = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE)
        if self.type in (*more, tarfile.SOLARIS_XHDTYPE) and self.size > _HEADER_BYTES:
            raise tarfile.SubsequentHeaderError(f"a header of {self.size:,} bytes")  # type: ignore[attr-defined] # private
        return super()._proc_member(tar)  # type: ignore[misc] # private, and the one place where the size is known


class _Folder(dict[str, "_Folder | TarInfo"]):
    """A folder of the archive, as unpacking it would make one."""

    def __init__(self, parent: _Folder | None = None):
        super().__init__()
        self.parent = parent

    def folder(self, name: str) -> _Folder:
        held = self.get(name)
        if not isinstance(held, _Folder):
            held = self[name] = _Folder(self)
        return held


def _listing(members: Iterable[TarInfo], path: Path) -> Listing:
    root = _Folder()
    for member in members:
        parts = _parts(member.name)
        if not parts or ".." in parts:
            continue
        check_depth(parts, str(path))
        folder = root
        for name in parts[:-1]:
            folder = folder.folder(name)
        if member.isdir():
            folder.folder(parts[-1])
        else:
            folder[parts[-1]] = member  # of several of one name the last is unpacked
    return walk(Entry("", "folder", root, id(root)), str(path), lambda entry: _entries(entry.place, root))


def _entries(folder: _Folder, root: _Folder) -> Iterator[Entry]:
    for name, held in folder.items():
        linked = isinstance(held, TarInfo) and (held.issym() or held.islnk())
        found = _at(folder, [name], root) if linked else held
        if isinstance(found, _Folder):
            yield Entry(name, "folder", found, id(found), linked)
        elif found is not None and found.isreg() and not found.issparse():
            yield Entry(name, "file", found)
        else:
            yield Entry(name, "unreadable")


def _at(folder: _Folder, path: list[str], root: _Folder) -> _Folder | TarInfo | None:
    """What lies at a path from a folder of the archive, links followed; None where nothing does."""
    waiting, hops = path[::-1], 0
    here: _Folder | TarInfo = folder
    while waiting:
        name = waiting.pop()
        if name in ("", "."):
            continue
        if not isinstance(here, _Folder):
            return None
        found = here.parent if name == ".." else here.get(name)
        if isinstance(found, TarInfo) and (found.issym() or found.islnk()):
            hops += 1
            if hops > _MOST_HOPS or (found.issym() and found.linkname.startswith("/")):
                return None
            waiting += found.linkname.split("/")[::-1]
            here = here if found.issym() else root  # a symbolic link counts from where it lies
            continue
        if found is None:
            return None
        here = found
    return here


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in name.split("/") if part not in ("", "."))
