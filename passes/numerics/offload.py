"""Tensors in memory up to a limit, and beyond it in memory-mapped temporary files."""

from __future__ import annotations

import mmap
import tempfile
import weakref
from typing import Any

import torch
from torch import Tensor, nn

_FILE_BYTES = 64 << 20
_ALIGNED = 64


class TensorStore:
    """Keeps tensors in memory up to `limit` bytes and offloads further ones to temporary files, which are deleted with
    their tensors.

    An offloaded tensor is an ordinary tensor on a memory map: it is read from the file when it is used, and `unload`
    frees the memory that reading took. device: of the tensors. Of one with memory of its own, `here` brings back what
    was offloaded; the weights of modules are not offloaded there, since a module must lie in one place.
    """

    def __init__(self, limit: int, device: torch.device | None = None):
        self.limit, self.device, self.used = limit, device or torch.device("cpu"), 0
        self._counted: dict[int, int] = {}
        self._files: weakref.WeakSet[mmap.mmap] = weakref.WeakSet()
        self._file: mmap.mmap | None = None
        self._end = 0

    def put(self, value: Any) -> Any:
        """The value itself, or an offloaded copy once the limit is reached; anything but a tensor is returned
        unchanged."""
        if not isinstance(value, Tensor):
            return value
        if self.used + value.nbytes <= self.limit:
            self.used += value.nbytes
            self._counted[id(value)] = value.nbytes
            return value
        return self._filed(value)

    def here(self, value: Any) -> Any:
        """A value that `put` returned, on the device of the store."""
        return value.to(self.device) if isinstance(value, Tensor) and value.device != self.device else value

    def free(self, value: Any) -> None:
        """Stops counting a value that `put` returned."""
        self.used -= self._counted.pop(id(value), 0)

    def put_weights(self, module: nn.Module) -> None:
        """Puts a module's parameters and buffers here, for the lifetime of the module."""
        for tensor in (*module.parameters(), *module.buffers()):
            if tensor.device.type != "cpu":
                continue
            tensor.data = held = self.put(tensor.data)
            if id(held) in self._counted:
                size = self._counted.pop(id(held))
                weakref.finalize(module, self._forget, size)

    def unload(self) -> None:
        """Frees the memory that reading from files has taken."""
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
        place = flat.as_strided(value.shape, value.stride()) if _dense(value) else flat.reshape(value.shape)
        copy = place.copy_(value)
        self.unload()
        return copy

    def _room(self, size: int) -> int:
        """The offset of the next value in the last file; a new file is made if it has no room. Each file holds many
        values, since a process can have few files open."""
        start = -(-self._end // _ALIGNED) * _ALIGNED
        if self._file is None or start + size > len(self._file):
            with tempfile.TemporaryFile(prefix="stitchc-") as file:
                file.truncate(max(size, _FILE_BYTES))
                self._file = mmap.mmap(file.fileno(), max(size, _FILE_BYTES))
            self._files.add(self._file)
            start = 0
        self._end = start + size
        return start


def _dense(value: Tensor) -> bool:
    """Whether a value fills its memory, in whatever order its axes lie: a copy in that order is as fast to use."""
    return value.is_contiguous() or (value.dim() == 4 and value.is_contiguous(memory_format=torch.channels_last))
