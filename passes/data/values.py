"""Values of a graph as data: what crosses a cut, and where the cut is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod


@dataclass(frozen=True)
class Value:
    """A tensor that crosses a cut, described without its batch axis (which is always axis 0).

    shape: without batch. layout: "NCHW" (maps), "NHWC" (maps, channels last), "NLC" (tokens), "NC" (a vector).
    tokens: how many prefix tokens (class, distillation, registers) stand before the pixels of an NLC value.
    grid: (height, width) of the pixels; None for NC, and for tokens that are laid out on no grid.
    widens: (params, MACs) that one channel more would add to what reads the value, None where that is more than
    convolutions without groups and Linear layers.
    """

    shape: tuple[int, ...]
    layout: str
    tokens: int = 0
    grid: tuple[int, int] | None = None
    widens: tuple[int, int] | None = None

    @property
    def channels(self) -> int:
        return self.shape[0] if self.layout == "NCHW" else self.shape[-1]

    @property
    def pixels(self) -> int:
        """Positions that share the channels, prefix tokens not counted; 1 for a vector."""
        if self.layout == "NLC":
            return self.shape[0] - self.tokens
        return prod(self.grid) if self.grid else 1


@dataclass(frozen=True)
class Price:
    """What a network, or a part of one, takes.

    params: trainable numbers, shared ones once. macs: multiply-adds of convolutions and matrix products (attention
    included) for one image. size_bytes: of the weights file. memory_bytes: the most that activations take at one
    moment, with the input, for one image. latency_ms: for one image. None where it was not computed.

    params and macs add up over fragments, and `+` adds them. size_bytes adds up but for a few bytes of the header.
    Memory is a peak, and latency is measured: their sum says nothing, so it is None.
    """

    params: int = 0
    macs: int = 0
    size_bytes: int = 0
    memory_bytes: int | None = None
    latency_ms: float | None = None

    @property
    def flops(self) -> int:
        """Two per multiply-add."""
        return 2 * self.macs

    def __add__(self, other: Price) -> Price:
        return Price(self.params + other.params, self.macs + other.macs, self.size_bytes + other.size_bytes)

    def as_dict(self) -> dict[str, float | None]:
        """The `cost` object of a JSON document: every metric under its name with its unit."""
        return {
            "params": self.params,
            "macs": self.macs,
            "flops": self.flops,
            "size_bytes": self.size_bytes,
            "memory_bytes": self.memory_bytes,
            "latency_ms": self.latency_ms,
        }


def listed(uncounted: Mapping[str, int]) -> str:
    """Operators without a formula as text: "erfinv (1), fft_r2c (2)"."""
    return ", ".join(f"{name} ({times})" for name, times in sorted(uncounted.items()))


@dataclass(frozen=True)
class Cut:
    """A value that alone crosses from all that comes before it to all that comes after.

    index: from 0 in graph order. node: the fx node. path: the outermost module, plain containers aside, whose output
    the value is, else the module that encloses it. paths: every module whose output it is, innermost first.
    before, after: the price of the fragment up to here, and from here on. uncounted_before, uncounted_after: the calls
    in these of operators that have no formula, by name, which no price holds. All filled by the pass `cost`.
    """

    index: int
    node: str
    path: str
    value: Value
    paths: tuple[str, ...] = ()
    before: Price | None = None
    after: Price | None = None
    uncounted_before: Mapping[str, int] = field(default_factory=dict)
    uncounted_after: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Rejected:
    """A value that is no cut, and why."""

    node: str
    path: str
    reason: str


@dataclass(frozen=True)
class Cuts:
    """The cuts of one graph under one rule, and the values that are none."""

    rule: str
    cuts: tuple[Cut, ...]
    rejected: tuple[Rejected, ...] = ()

    def __len__(self) -> int:
        return len(self.cuts)

    def __getitem__(self, index: int) -> Cut:
        return self.cuts[index]
