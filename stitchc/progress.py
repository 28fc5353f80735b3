"""What the product tells whoever watches while it works. The terminal's bars are in report/progress.py."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .passes.data.plan import Plan
    from .passes.pipeline import Pass


class Progress(Protocol):
    """Serves as the callback of a Pipeline, and takes the steps of whatever loop runs inside a pass."""

    def __call__(self, step: Pass, plan: Plan, seconds: float | None) -> None:
        """A pass is about to run (seconds is None), or has run."""
        ...

    def update(self, done: int, total: int, said: str = "") -> None:
        """`done` of `total` steps of what runs now are behind us. What a pass takes as its `progress`. said: how it is
        going, in a few words."""
        ...

    def tell(self, line: str) -> None:
        """Something that stays to be read, such as the figures of an epoch."""
        ...

    def begin(self, name: str) -> None:
        """Work that is no pass starts: loading, measuring accuracy."""
        ...

    def end(self) -> None:
        """What was begun last is over."""
        ...

    def close(self) -> None:
        """All is over, perhaps by an error in the middle of a pass."""
        ...


class Silent:
    """Nobody watches."""

    def __call__(self, step: Pass, plan: Plan, seconds: float | None) -> None:
        pass

    def update(self, done: int, total: int, said: str = "") -> None:
        pass

    def tell(self, line: str) -> None:
        pass

    def begin(self, name: str) -> None:
        pass

    def end(self) -> None:
        pass

    def close(self) -> None:
        pass


@contextmanager
def stage(progress: Progress, name: str) -> Iterator[None]:
    """`with stage(progress, "load a.pt"): ...`"""
    progress.begin(name)
    try:
        yield
    finally:
        progress.end()


class Clock:
    """How long parts of some work took, by name, in seconds. A part inside another counts for itself alone.

    `with clock("heal"): ...`
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._inside = 0.0  # what parts took that ran within the one that runs now

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start, outside, self._inside = time.perf_counter(), self._inside, 0.0
        try:
            yield
        finally:
            took = time.perf_counter() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + took - self._inside
            self._inside = outside + took
