"""How much memory a pass may take in addition to the networks and the images, and how its parts share it."""

from __future__ import annotations

from dataclasses import dataclass

#: Bytes, if no limit is given.
DEFAULT = 2 << 30


@dataclass(frozen=True)
class Memory:
    """limit: bytes that a pass may take at one moment. The shares of what lies in memory together add up to it.

    running: values alive while a network runs over a batch. values: values at cuts of one batch. rows: one slice of
    rows in float32; their copies in float64 take twice as much. equations: moments of the normal equations, and what
    solving them takes. weights: of fitted adapters. parent_values: values that healing keeps. Beyond the last two
    shares, tensors go to temporary files (see `numerics/offload.py`).
    """

    limit: int

    @classmethod
    def of(cls, max_memory: int | None) -> Memory:
        """The shares of a limit in bytes; None for the default."""
        return cls(DEFAULT if max_memory is None else max_memory)

    @property
    def running(self) -> int:
        """Bytes of values alive while a network runs."""
        return self.limit // 4

    @property
    def values(self) -> int:
        """Bytes of the values at cuts of one batch."""
        return self.limit // 8

    @property
    def rows(self) -> int:
        """Bytes of one slice of rows in float32."""
        return self.limit // 16

    @property
    def equations(self) -> int:
        """Bytes of normal equations while they are solved."""
        return self.limit // 2

    @property
    def weights(self) -> int:
        """Bytes of the weights of fitted adapters."""
        return self.limit // 8

    @property
    def parent_values(self) -> int:
        """Bytes of the values that healing keeps."""
        return self.limit // 4
