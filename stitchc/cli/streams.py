"""Standard output belongs to the result."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


def open_closed_streams() -> bool:
    """Leads closed standard streams nowhere, so that no file that is opened takes their place and nothing fails to
    write. Returns whether standard output, which results go to, was one of them (`>&-`, some schedulers)."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, f"__{name}__") is None:
            number = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: its own
            if getattr(sys, name) is None:
                setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", encoding="utf-8"))
    return sys.__stdout__ is None


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
