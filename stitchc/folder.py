"""A folder that appears whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from . import stale
from .passes.data.errors import OutputError
from .passes.data.whole_file import said, system_error

#: What a system says of a disk that takes no more.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS}


@contextmanager
def staging(out: Path | str, *, ours: Iterable[str] = (), keep: Path | None = None) -> Iterator[Path]:
    """Yields a new folder beside `out`. It becomes `out` when the block ends well, and vanishes when it does not.

    ours: names of files in an existing `out` that may be replaced. Whatever else lies in `out` is kept.
    keep: where the replaced files go; they are removed without.

    Raises:
        OutputError: `out` cannot be written, which a full disk says only during the block; or a file there that is not
        ours has the name of a new one.
    """
    target, ours = Path(out).resolve(), set(ours)
    made = _make_parents(target)
    try:
        _check_target(target)
        stale.sweep(target, ours)
        begun_empty = _is_empty(target)
        # `out` is renamed, so the folder must lie on the same file system: beside it. (mkdtemp would make it private.)
        staged = target.parent / f".{target.name}.{secrets.token_hex(4)}"
        try:
            with stale.held(staged):
                yield staged
                with _undisturbed():
                    if begun_empty and not _is_empty(target):
                        raise OutputError(
                            f"another run has written {target} meanwhile", "Choose another folder: `out`."
                        )
                    _put(staged, target, {*ours, stale.MARKER}, keep)
                    # Not before: a folder without it, left by a kill at this moment, would be nobody's.
                    (target / stale.MARKER).unlink(missing_ok=True)
        finally:
            with _undisturbed():
                stale.remove(staged)
    except BaseException as error:
        with _undisturbed():
            for folder in made:
                _remove_empty(folder)
        found = system_error(error)
        if found is not None and found.errno in _FULL:
            raise OutputError(
                f"{target} cannot be written: {found.strerror}", "Make room, or choose another folder: `out`."
            ) from error
        raise


def try_out(out: Path | str) -> None:
    """Makes what `staging` would make first, and takes it away: what cannot be written is known before the work.

    Raises:
        OutputError: as `staging`.
    """
    target = Path(out).resolve()
    made = _make_parents(target)
    try:
        _check_target(target)
        staged = target.parent / f".{target.name}.{secrets.token_hex(4)}"
        try:
            with stale.held(staged):
                pass
        finally:
            stale.remove(staged)
    finally:
        for folder in made:
            _remove_empty(folder)


def next_free(name: str) -> str:
    """`name`, or `name-2`, `name-3`, ... if that is taken: a run that names no folder replaces nothing."""
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 10_000))) if not Path(n).exists())


def _check_target(target: Path) -> None:
    """What can be known of the place without renaming it."""
    reason = ""
    if target == Path.cwd() or target in Path.cwd().parents:
        reason = "is the current folder, or holds it, and cannot be replaced as a whole"
    elif target.is_mount():
        reason = "is a mount point, and cannot be replaced as a whole"
    elif target.exists() and not target.is_dir():
        reason = "is a file"
    elif target.exists() and not os.access(target, os.W_OK | os.X_OK):
        reason = "cannot be written: Permission denied"
    if reason:
        raise OutputError(f"{target} {reason}", "Choose another folder: `out`.")


def _make_parents(target: Path) -> list[Path]:
    """Makes the folders above `target` that are missing; returns them, innermost first."""
    try:
        missing = [folder for folder in target.parents if not folder.exists()]
    except OSError as error:  # a folder on the way that may not even be looked into
        raise OutputError(f"{target} cannot be written: {error.strerror}", "Choose another folder: `out`.") from error
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{target.parent} cannot be made: {said(error)}", "Choose another folder: `out`.") from error
    return missing


def _is_empty(folder: Path) -> bool:
    return not folder.exists() or not any(folder.iterdir())


def _put(staged: Path, target: Path, ours: set[str], keep: Path | None) -> None:
    if not target.exists():
        os.replace(staged, target)
        return
    others = {path.name for path in target.iterdir()} - ours
    clash = sorted(others & {path.name for path in staged.iterdir()})
    if clash:
        raise OutputError(f"{target} holds a {clash[0]} that stitchc did not write", "Choose another folder: `out`.")
    old = keep or target.with_name(f"{staged.name}.old")
    os.replace(target, old)
    os.replace(staged, target)
    for name in others:
        os.replace(old / name, target / name)
    if keep is None:
        shutil.rmtree(old, ignore_errors=True)


def _remove_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:  # somebody has put something there meanwhile
        return


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Puts off Ctrl-C and termination: a few renames must happen together or not at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    late: list[int] = []
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) is not None]
    before = {number: signal.signal(number, lambda n, _: late.append(n)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if late:
            signal.raise_signal(late[0])
