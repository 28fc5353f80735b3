"""Tensors that are kept in memory up to a limit, and beyond it in files that vanish with them."""

from __future__ import annotations

import mmap
import tempfile
import weakref
from typing import Any

import torch
from torch import Tensor, nn

_FILE_BYTES = 64 << 20
_ALIGNED = 64


class Kept:
    """limit: bytes of memory. What lies in a file is an ordinary tensor all the same: it is read when it is used, and
    `unload` lets go of what was read."""

    def __init__(self, limit: int, device: torch.device | None = None):
        self.limit, self.device, self.used = limit, device or torch.device("cpu"), 0
        self._counted: dict[int, int] = {}
        self._files: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
        self._file: mmap.mmap | None = None
        self._end = 0

    def taken(self, value: Any) -> Any:
        """The value, or a copy of it that lies in a file; what is no tensor is returned as it is."""
        if not isinstance(value, Tensor):
            return value
        if self.used + value.nbytes <= self.limit:
            self.used += value.nbytes
            self._counted[id(value)] = value.nbytes
            return value
        return self._filed(value)

    def free(self, value: Any) -> None:
        """No longer count a value that `taken` returned."""
        self.used -= self._counted.pop(id(value), 0)

    def take_weights(self, module: nn.Module) -> None:
        """Let a module's parameters and buffers be kept here as long as it lives."""
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.data = held = self.taken(tensor.data)
            if id(held) in self._counted:
                size = self._counted.pop(id(held))
                weakref.finalize(module, self._forget, size)

    def unload(self) -> None:
        """Let go of the memory that reading from files has taken."""
        for file in self._files:
            if hasattr(mmap, "MADV_DONTNEED"):
                file.madvise(mmap.MADV_DONTNEED)

    def _forget(self, size: int) -> None:
        self.used -= size

    def _filed(self, value: Tensor) -> Tensor:
        if not value.numel():
            return value
        start = self._room(value.nbytes)
        assert self._file is not None
        flat = torch.frombuffer(self._file, dtype=value.dtype, count=value.numel(), offset=start)
        copy = flat.reshape(value.shape).copy_(value)
        self.unload()
        return copy

    def _room(self, size: int) -> int:
        """Where the next value lies in the last file, a new one where that has no room: each holds many values, since a
        process can have few files open."""
        start = -(-self._end // _ALIGNED) * _ALIGNED
        if self._file is None or start + size > len(self._file):
            with tempfile.TemporaryFile(prefix="stitchc-") as file:
                file.truncate(max(size, _FILE_BYTES))
                self._file = mmap.mmap(file.fileno(), max(size, _FILE_BYTES))
            self._files.add(self._file)
            start = 0
        self._end = start + size
        return start
