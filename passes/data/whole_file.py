"""A file that is there whole or not at all, and what a system says when it cannot be written."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import OutputError


@contextmanager
def whole_file(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yields a new path beside `path`, of the same suffix. What is written there takes the place of `path` when the
    block ends well, and vanishes when it does not. The folder is made if it is missing.

    durable: also have it on the disk, and not only in the system's memory, before `path` names it.

    Raises:
        OutputError: it cannot be written.
    """
    part = _beside(path)
    try:
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield part
            if durable:
                _sync(part)
            os.replace(part, path)
            if durable and hasattr(os, "O_DIRECTORY"):  # the new name is only safe once its folder is
                _sync(path.parent, os.O_DIRECTORY)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def try_file(path: Path) -> None:
    """Makes what `whole_file` would make first, and takes it away: what cannot be written is known before the work.

    Raises:
        OutputError: as `whole_file`.
    """
    part = _beside(path)
    with _told(path):
        if path.exists() and not path.is_file():
            raise OutputError(f"{path} cannot be written: it is a folder, a device or a pipe", "Name a file.")
        missing = [folder for folder in path.parents if not folder.exists()]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(b"x")
        finally:
            with suppress(OSError):
                part.unlink(missing_ok=True)
                for folder in missing:
                    folder.rmdir()


def _beside(path: Path) -> Path:
    return path.with_name(f".{secrets.token_hex(4)}.{path.name}")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """What the system says of a file, as an error of ours."""
    try:
        yield
    except Exception as error:
        found = system_error(error)
        if found is None:
            raise
        raise OutputError(f"{path} cannot be written: {said(found)}", "Make room, or choose another place.") from error


def system_error(error: BaseException) -> OSError | None:
    """The error of the system that an error is, or that it hides: torch raises one of its own, a RuntimeError, when
    a file that it writes into fails."""
    return next((one for one in (error, error.__context__) if isinstance(one, OSError)), None)


def said(error: OSError) -> str:
    """What the system says. Of a folder that cannot be made where a file lies it says no more than that it exists."""
    return "Not a directory" if isinstance(error, FileExistsError) else error.strerror or str(error)


def _sync(path: Path, flags: int = 0) -> None:
    opened = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
