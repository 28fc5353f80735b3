"""Staging folders: held by a lock while their process lives, swept by the next run when it was killed."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .passes.data.errors import OutputError

try:
    import fcntl
except ImportError:  # Windows: without its locks nothing is known of other processes, so nothing is swept
    fcntl = None  # type: ignore[assignment]

#: The file that makes a folder one of ours. It is locked as long as somebody works there, and goes before the folder
#: becomes the artifact.
MARKER = ".stitchc-staging"
_TEXT = b"A folder that stitchc works in; the next run deletes it when no process holds it.\n"
_TRIED = 64 * 1024  # bytes that must fit on the disk before work begins
_OLD = 3600  # seconds after which a folder without a marker is nobody's


@contextmanager
def held(staged: Path) -> Iterator[None]:
    """Makes the folder and holds it.

    Raises:
        OutputError: it cannot be made, or the disk has no room at all.
    """
    try:
        staged.mkdir()
        marker = staged / MARKER
        marker.write_bytes(bytes(_TRIED))  # a full disk is told now, and not after the work
        marker.write_bytes(_TEXT)
        opened = os.open(marker, os.O_RDONLY)
    except OSError as error:
        shutil.rmtree(staged, ignore_errors=True)
        raise OutputError(
            f"{staged.parent} cannot be written: {error.strerror}", "Choose another folder: `out`."
        ) from error
    try:
        _lock(opened)
        yield
    finally:
        os.close(opened)


def remove(staged: Path) -> None:
    """Deletes a staging folder, its marker last: who is killed in between leaves it to the next run."""
    with suppress(OSError):
        for path in staged.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != MARKER:
                path.unlink()
        (staged / MARKER).unlink(missing_ok=True)
        staged.rmdir()


def sweep(target: Path, ours: Collection[str]) -> None:
    """Deletes the staging folders beside `target` whose process is dead, and puts back what one of them had moved away
    from `target`. ours: names of files that may be deleted there; all others are kept."""
    pattern = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}(?P<old>\.old)?")
    with suppress(OSError):
        for path in sorted(target.parent.iterdir()):
            match = pattern.fullmatch(path.name)
            if match and path.is_dir() and not path.is_symlink():
                with suppress(OSError):
                    _put_back(path, target, ours) if match["old"] else _drop(path)


def _drop(staged: Path) -> None:
    marker = staged / MARKER
    if time.time() - staged.stat().st_mtime > _OLD:
        with suppress(OSError):  # killed before there was a marker: deleted if it is empty
            staged.rmdir()
    if fcntl is None or marker.is_symlink() or not marker.is_file():
        return
    if marker.read_bytes() not in (_TEXT, b"", bytes(_TRIED)):
        return
    opened = os.open(marker, os.O_RDONLY)
    try:
        if _lock(opened):
            remove(staged)
    finally:
        os.close(opened)


def _put_back(old: Path, target: Path, ours: Collection[str]) -> None:
    """A process was killed between two renames: `old` is what `target` was."""
    if not target.exists():
        os.replace(old, target)
        return
    for path in old.iterdir():
        if path.name not in ours and not (target / path.name).exists():
            os.replace(path, target / path.name)
        elif path.name in ours and path.is_file():
            path.unlink()
    old.rmdir()  # which keeps it where something is left


def _lock(opened: int) -> bool:
    """Whether the file is ours alone from now on, until it is closed."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
