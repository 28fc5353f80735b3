"""The size of a safetensors file to the byte, from the names and shapes of what it will hold.

    8 bytes, the length of the header; the header, JSON padded with spaces to a multiple of 8; the data, end to end.

The library orders tensors by the alignment of their dtype, largest first, then by name, and each entry of the header
says where its data begins and ends: so what a tensor takes in the header depends on all that lie before it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

#: Bytes of one number of each dtype, in the order in which a file holds them.
ITEM_BYTES = {"I64": 8, "F64": 8, "F32": 4, "I32": 4, "BF16": 2, "F16": 2, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
RANK = {dtype: i for i, dtype in enumerate(ITEM_BYTES)}

_HEAD = len('{"__metadata__":{"format":"pt"}' + "}")


class Entry(NamedTuple):
    """A tensor in a weights file: its key, its shape, its dtype as a safetensors header names it."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "F32"

    @property
    def data_bytes(self) -> int:
        """Bytes of the tensor's elements."""
        return prod(self.shape) * ITEM_BYTES[self.dtype]

    @property
    def header_bytes(self) -> int:
        """Bytes of the entry in the header, the comma before it included and its two offsets left out."""
        entry = {self.name: {"dtype": self.dtype, "shape": list(self.shape), "data_offsets": []}}
        return len(json.dumps(entry, separators=(",", ":"), ensure_ascii=False).encode()) - len("{}") + len(",,")


@dataclass(frozen=True)
class Stored:
    """A tensor of the weights file that a network reads. A parameter of several names has the first of them.

    params: its elements, 0 for a buffer.
    """

    entry: Entry
    params: int


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """The entries as a file has them."""
    return sorted(entries, key=lambda entry: (RANK[entry.dtype], entry.name))


def file_bytes(entries: Iterable[Entry]) -> int:
    """The size of the file that holds these tensors."""
    header_bytes = offset = 0
    for entry in in_order(entries):
        end = offset + entry.data_bytes
        header_bytes += entry.header_bytes + len(str(offset)) + len(str(end))
        offset = end
    return with_header(header_bytes) + offset


def with_header(header_bytes: Any) -> Any:
    """What a file takes besides its data, when the entries of its header take `header_bytes` bytes, offsets included.
    Of an array: of each."""
    return 8 + -(-(_HEAD + header_bytes) // 8) * 8
