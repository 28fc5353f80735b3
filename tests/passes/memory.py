"""What tensors take while something runs, byte by byte: what a limit on memory is held against."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Following(TorchDispatchMode):
    """live_bytes: of the storages that were made inside and not let go of. peak_bytes: the most of them at once."""

    def __init__(self) -> None:
        super().__init__()
        self.live_bytes = self.peak_bytes = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, torch.Tensor):
                self._seen(tensor.untyped_storage(), 0)  # unless it was made inside, it was there before
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._seen(tensor.untyped_storage(), tensor.untyped_storage().nbytes())
        return out

    def _seen(self, storage: torch.UntypedStorage, size: int) -> None:
        identity = storage._cdata
        if identity in self._known:
            return
        self._known.add(identity)
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        weakref.finalize(storage, self._freed, identity, size)

    def _freed(self, identity: int, size: int) -> None:
        self._known.discard(identity)
        self.live_bytes -= size


@contextmanager
def following() -> Iterator[Following]:
    with Following() as memory:
        yield memory
