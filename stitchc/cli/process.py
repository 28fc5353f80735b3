"""The process: signals that end it, and its standard output, which belongs to the result."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from types import FrameType
from typing import Any

_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interruption:
    """While entered, the signals raise KeyboardInterrupt, as Ctrl-C does.

    `happened` remembers it: an import or a native library may turn the exception into another on its way up.
    A signal that whoever started us has chosen to ignore (nohup, a shell's background job) stays ignored.
    """

    def __init__(self) -> None:
        self.happened = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        for number in _SIGNALS:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._raise)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def over(self) -> None:
        """From here on the process is about to end: a second Ctrl-C must not cut short what is said at the end."""
        for number in self._before:
            signal.signal(number, signal.SIG_IGN)

    def _raise(self, number: int, frame: FrameType | None) -> None:
        self.happened = True
        raise KeyboardInterrupt


def open_closed_streams() -> bool:
    """Leads closed standard streams nowhere, so that no file that is opened takes their place and nothing fails to
    write. Returns whether standard output, which results go to, was one of them (`>&-`, some schedulers)."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, f"__{name}__") is None:
            number = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: its own
            if getattr(sys, name) is None:
                setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8"))
    return sys.__stdout__ is None


#: What torch and its threads read when they are loaded.
_FOR_TORCH = {
    # Threads sleep while they wait. Waiting busily, two threads beside another busy process took three times as long
    # as one: whoever waits takes the processor from the thread that is waited for.
    "OMP_WAIT_POLICY": "PASSIVE",
    # Linux clears the memory of large values in pages of 2 MiB: in small ones that takes as long as computing them.
    "THP_MEM_ALLOC_ENABLE": "1",
}


def prepare_for_torch() -> None:
    """Sets in the environment how torch waits and takes memory, where nobody has said otherwise."""
    for name, value in _FOR_TORCH.items():
        os.environ.setdefault(name, value)


@contextmanager
def results_only() -> Iterator[None]:
    """While a verb works, whatever writes to standard output goes to standard error: torch.onnx, C++, a user's file."""
    try:
        number = sys.stdout.fileno()
        errors = sys.stderr.fileno()
    except (AttributeError, OSError):  # a test or a notebook has put something else there
        with redirect_stdout(sys.stderr):
            yield
        return
    sys.stdout.flush()
    kept = os.dup(number)
    os.dup2(errors, number)
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
        finally:
            os.dup2(kept, number)
            os.close(kept)
