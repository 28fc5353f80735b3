"""What was computed once and may be needed again: files named by a hash of all that they depend on.

They lie in `platformdirs`' cache folder of the user, or where STITCHC_CACHE_DIR says; there, a folder for each kind.
Since the name is the hash of the inputs nothing here is ever out of date, and deleting it loses nothing but time.
Each begins with a line that says whose it is and holds a digest of kind, key and content: an entry that was altered or
renamed is as good as none, and a file without that line is nobody's business here.
What cannot be read or written (a full disk, a read-only home) is as if it had never been kept.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .passes.data.errors import OutputError
from .passes.data.whole_file import whole_file

_MARK = b"stitchc-cache 1 "
_HEAD = len(_MARK) + 64 + 1  # bytes before the content: the mark, the digest, a line end
_KEY = re.compile(r"[0-9a-f]{64}")
_PART = re.compile(r"\.[0-9a-f]{8}\.[0-9a-f]{64}")  # of an entry whose process was killed as it wrote
_OLD = 3600  # seconds after which nobody writes a part any more
_VARIABLE = "STITCHC_CACHE_DIR"


@dataclass(frozen=True)
class Entry:
    """A file of the cache. modified: seconds since the epoch."""

    kind: str
    key: str
    path: Path
    size_bytes: int
    modified: float


@dataclass(frozen=True)
class Store:
    """The part of the cache that holds one kind of thing: bytes by key. kind: a word, which names the folder."""

    kind: str

    def read(self, key: str) -> bytes | None:
        """What was kept under `key`; None when nothing was, or it is not what was kept."""
        try:
            found = self._path(key).read_bytes()
        except OSError:
            return None
        content = found[_HEAD:]
        return content if found[:_HEAD] == self._head(key, content) else None

    def write(self, key: str, content: bytes) -> None:
        """Keeps `content` under `key`, a SHA-256: whole or not at all, whoever else writes at the same time."""
        path = self._path(key)
        with suppress(OutputError), whole_file(path) as part:
            part.write_bytes(self._head(key, content) + content)

    def _head(self, key: str, content: bytes) -> bytes:
        return _MARK + key_of(self.kind, key, content).encode() + b"\n"

    def _path(self, key: str) -> Path:
        return folder() / self.kind / key


def folder() -> Path:
    """Where the cache lies. It need not exist."""
    if given := os.environ.get(_VARIABLE):
        return Path(given).expanduser()
    from platformdirs import user_cache_path

    return user_cache_path("stitchc", appauthor=False)


def key_of(*parts: str | bytes) -> str:
    """The hash that names an entry, of all that it depends on, in order."""
    whole = hashlib.sha256()
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        whole.update(f"{len(content)}:".encode() + content)
    return whole.hexdigest()


def entries() -> list[Entry]:
    """All that is kept, by kind and key."""
    return sorted(_entries(), key=lambda entry: (entry.kind, entry.key))


def _entries() -> Iterator[Entry]:
    for path in folder().glob("*/*"):
        with suppress(OSError):  # another process may have cleaned it away
            if _KEY.fullmatch(path.name) and _is_ours(path):
                status = path.stat()
                yield Entry(path.parent.name, path.name, path, status.st_size - _HEAD, status.st_mtime)


def _is_ours(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_MARK)) == _MARK


def clean(kinds: Iterable[str] = ()) -> list[Entry]:
    """Deletes what is kept of these kinds, of all without any. Returns what was deleted."""
    wanted = set(kinds)
    gone = []
    for entry in entries():
        if wanted and entry.kind not in wanted:
            continue
        with suppress(OSError):
            entry.path.unlink()
            gone.append(entry)
    _sweep()
    return gone


def _sweep() -> None:
    """Deletes what killed processes left of entries that they were writing."""
    for path in folder().glob("*/.*"):
        with suppress(OSError):
            old = time.time() - path.stat().st_mtime > _OLD
            if old and _PART.fullmatch(path.name) and _is_ours(path):
                path.unlink()
