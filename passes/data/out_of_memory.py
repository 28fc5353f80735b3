"""What to do when the memory of a device has run out: free it, and try again with less at once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# What the processor's allocator says, and CUDA's libraries where they find no memory to begin with: torch makes
# plain errors of both.
_SAID = ("DefaultCPUAllocator", "CUDA error: out of memory", "ALLOC_FAILED", "cusolverDnCreate", "cublasCreate")


def ran_out(error: BaseException | None) -> bool:
    """Whether the memory of a device has run out, and this error is what was made of that."""
    torch = sys.modules.get("torch")
    while error is not None and torch is not None:
        said = str(error) if isinstance(error, RuntimeError) else ""
        if isinstance(error, torch.OutOfMemoryError) or any(part in said for part in _SAID):
            return True
        error = error.__cause__
    return False


def free() -> None:
    """Gives memory that torch keeps for later back to the devices."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def halved_until_it_fits(run: Callable[[int], T], most: int) -> tuple[T, int]:
    """What `run` gives for a number, such as that of images at once, and the number: `most`, or the half of it, and so
    on, as long as memory runs out. With 1 the error is let through."""
    while True:
        try:
            return run(most), most
        except Exception as error:
            if most == 1 or not ran_out(error):
                raise
        free()  # out of the handler, whose error holds on to all that was being computed
        most //= 2
