"""How the C library gets the memory that networks compute in."""

import ctypes

# Names of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
#: Freed bytes at the end of the heap that are kept; beyond, they are given back to the system.
KEPT_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Tells the C library to use freed memory again, where it knows how to (glibc).

    By default, what is larger than 32 MiB is fetched from the system for each value and given back after it, and the
    system clears it page by page: for a network on 64 images of 224 pixels that takes longer than computing.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return
    set_option(_M_MMAP_MAX, 0)
    set_option(_M_TRIM_THRESHOLD, KEPT_BYTES)
