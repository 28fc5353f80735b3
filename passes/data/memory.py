"""How much memory a pass may take beside the networks and the images, and how its parts share it."""

from __future__ import annotations

from dataclasses import dataclass

#: Bytes, where nobody says.
DEFAULT = 2 << 30


@dataclass(frozen=True)
class Memory:
    """limit: bytes that a pass may take at one moment. The shares of what lies in memory together add up to it.

    running: values alive while a network runs over a batch. values: those kept of a batch. rows: of one slice of rows
    in float32; their copies in float64 take twice as much. equations: sums of products, and what solving takes.
    weights: fitted adapters. kept: values that healing keeps. Of the last two the rest lies in files that vanish.
    """

    limit: int

    @classmethod
    def of(cls, max_memory: int | None) -> Memory:
        return cls(DEFAULT if max_memory is None else max_memory)

    @property
    def running(self) -> int:
        return self.limit // 4

    @property
    def values(self) -> int:
        return self.limit // 8

    @property
    def rows(self) -> int:
        return self.limit // 16

    @property
    def equations(self) -> int:
        return self.limit // 2

    @property
    def weights(self) -> int:
        return self.limit // 8

    @property
    def kept(self) -> int:
        return self.limit // 4
