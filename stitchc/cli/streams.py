"""Standard output belongs to the result."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout


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
