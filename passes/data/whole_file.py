"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Yields a new path beside `path`, of the same suffix. What is written there takes the place of `path` when the
    block ends well, and vanishes when it does not. The folder is made if it is missing.

    durable: also have it on the disk, and not only in the system's memory, before `path` names it.

    Raises:
        OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(4)}.{path.name}")
    try:
        yield part
        if durable:
            _sync(part)
        os.replace(part, path)
        if durable and hasattr(os, "O_DIRECTORY"):  # the new name is only safe once its folder is
            _sync(path.parent, os.O_DIRECTORY)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _sync(path: Path, flags: int = 0) -> None:
    opened = os.open(path, os.O_RDONLY | flags)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
