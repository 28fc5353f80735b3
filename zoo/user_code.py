"""Running a user's Python file as if it were run by itself, so that nothing of it stays behind in ours.

The file is found again by what lies beside it: its folder, or the one that holds its package, is on the path while it
runs. It sees an empty command line. What it sets for the whole process (the default type of torch's numbers, how
exactly and with how many threads it computes, the working folder, random states, what is logged, what Ctrl-C does,
where print() writes) is put back.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import torch

from stitchc.passes.data.errors import ModelError, StitchError
from stitchc.passes.data.float32 import rounding, set_rounding

from .present import require
from .weights import SEED

T = TypeVar("T")


@contextmanager
def running(path: Path) -> Iterator[ModuleType]:
    """Runs the file; within, its module, and all that it needs to go on.

    Raises:
        ModelError: there is no such file, or it fails, or ends the program.
    """
    require(path)
    path = path.resolve()
    root = _root(path)
    with _undisturbed(path), _on_path(*dict.fromkeys((str(root), str(path.parent)))):
        yield _run(path, root)


@contextmanager
def as_main(path: Path) -> Iterator[None]:
    """Within, what the file defines is found where pickles of a script look for it: in `__main__`, and in a module of
    the file's name."""
    with running(path) as module:
        names = ["__main__", path.stem]
        before = {name: sys.modules.get(name) for name in names}
        try:
            sys.modules.update(dict.fromkeys(names, module))
            yield
        finally:
            for name, old in before.items():
                sys.modules.pop(name, None)
                if old is not None:
                    sys.modules[name] = old


def guarded(run: Callable[[], T], what: str) -> T:
    """What `run`, which is code of the user's, returns.

    Raises:
        ModelError: whatever it raised, and where. The end of the program is an error too, even a successful one.
    """
    try:
        return run()
    except StitchError:
        raise
    except SystemExit as error:
        said = f"sys.exit({error.code!r})" if error.code is not None else "sys.exit()"
        raise ModelError(
            f"{what} ends the program{_place(error)}: {said}. A script that reads its command line does so when it is "
            "imported",
            'Put that part of it under `if __name__ == "__main__":`.',
        ) from error
    except Exception as error:  # whatever the user's code raises
        raise ModelError(
            f"{what} failed with {type(error).__name__}: {error}{_place(error)}", "Run it in Python to see why."
        ) from error


def _place(error: BaseException) -> str:
    """The last line of the user's own code that was running."""
    place, trace = "", error.__traceback__
    while trace is not None:
        file = Path(trace.tb_frame.f_code.co_filename)
        if not _is_library(file):
            place = f" (line {trace.tb_lineno} of {file.name})"
        trace = trace.tb_next
    return place


def _is_library(file: Path) -> bool:
    ours = (Path(__file__).parent, Path(os.__file__).parent)
    return not file.is_file() or "site-packages" in file.parts or any(folder in file.parents for folder in ours)


def _root(path: Path) -> Path:
    """The folder from which the file is imported: its own, or that which holds its package."""
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.parent != folder:
        folder = folder.parent
    return folder


_imported: dict[str, str] = {}  # modules that users' files imported from beside themselves -> the root they came from


# Files that define operators of torch, by the name of the module, with their text: they run once. To define an operator
# again takes it away from networks that call the first one, which then crash.
_with_operators: dict[str, bytes] = {}


def _run(path: Path, root: Path) -> ModuleType:
    """Runs the file as a module; two files of one name, or with neighbours of one name, do not meet."""
    for name in [name for name, origin in _imported.items() if origin != str(root)]:
        sys.modules.pop(name, None)
        del _imported[name]
    importlib.invalidate_caches()
    before = set(sys.modules)
    try:
        return guarded(lambda: _import(path, root), path.name)
    finally:
        for name in set(sys.modules) - before:
            origin = getattr(sys.modules[name], "__file__", None)
            if origin and Path(origin).is_relative_to(root) and "site-packages" not in Path(origin).parts:
                _imported[name] = str(root)


def _import(path: Path, root: Path) -> ModuleType:
    if root == path.parent:
        name = f"{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    else:  # a package: its relative imports need its name
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        top = name.partition(".")[0]
        if top in sys.modules and top not in _imported:
            raise ModelError(
                f"{path} lies in a package '{top}', and another of that name is loaded already", "Rename the folder."
            )
        importlib.import_module(name.rpartition(".")[0])
    source = path.read_bytes()
    if name in sys.modules and _with_operators.get(name) == source:
        return sys.modules[name]
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module
    known = _operators()
    try:
        specification.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    if _operators() - known:
        _with_operators[name] = source
    return module


def _operators() -> set[str]:
    """The operators that Python code has defined in torch so far."""
    return set(getattr(torch.library, "_defs", ()))


@contextmanager
def _on_path(*folders: str) -> Iterator[None]:
    before = list(sys.path)
    sys.path[:0] = folders
    try:
        yield
    finally:
        sys.path[:] = before


def _logging() -> tuple[int, list[logging.Handler], int]:
    """From which level on what is logged is heard, and by whom."""
    return logging.root.level, list(logging.root.handlers), logging.root.manager.disable


def _set_logging(to: tuple[int, list[logging.Handler], int]) -> None:
    level, logging.root.handlers[:], disabled = to
    logging.root.setLevel(level)
    logging.disable(disabled)


def _signals() -> dict[int, Any]:
    """What is done when the process is interrupted or asked to end; nothing outside the main thread, where Python lets
    nobody set it. Nor can it set again what C code has set, which it tells as None."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    found = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in names)}
    return {number: handler for number, handler in found.items() if handler is not None}


def _set_signals(to: dict[int, Any]) -> None:
    for number, handler in to.items():
        signal.signal(number, handler)


#: What belongs to the whole process, as functions that tell it and set it.
_SETTINGS: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (os.getcwd, os.chdir),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    (torch.get_num_threads, torch.set_num_threads),
    (rounding, set_rounding),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    (random.getstate, random.setstate),
    (np.random.get_state, np.random.set_state),
    (_logging, _set_logging),
    (_signals, _set_signals),
)


@contextmanager
def _undisturbed(path: Path) -> Iterator[None]:
    """Puts back what belongs to the whole process."""
    streams = sys.argv, sys.stdin, sys.stdout, sys.stderr
    device, before = torch.get_default_device(), [tell() for tell, _ in _SETTINGS]
    sys.argv, sys.stdin = [str(path)], io.StringIO()
    random.seed(SEED)
    np.random.seed(SEED)
    try:
        with warnings.catch_warnings():
            yield
    finally:
        sys.argv, sys.stdin, sys.stdout, sys.stderr = streams
        for (_, put), value in zip(_SETTINGS, before, strict=True):
            put(value)
        if torch.get_default_device() != device:
            torch.set_default_device(device)
