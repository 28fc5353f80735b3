"""How many candidates and images are used to choose."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..data.pass_options import EFFORT


@dataclass(frozen=True)
class Effort:
    """The numbers behind `effort`.

    pairs: of cuts that are stitched and probed at first. fit_images, rows: that adapters are fitted on, at most.
    first: images of the first probe; each later one has twice as many. finalists: that the last probe compares at
    least. healed: of them, that are healed before they are compared once more: the same number of each direction.
    seconds: how long the first probe may take; where it is given, pairs is an upper limit."""

    pairs: int
    fit_images: int
    rows: int
    first: int
    finalists: int
    healed: int
    seconds: float | None = None

    @classmethod
    def of(cls, words: str | float) -> Effort:
        """The effort that a name or a number of seconds stands for.

        Raises:
            InputError: neither.
        """
        return EFFORT.numbers("effort", words, EFFORTS)


EFFORTS = {
    "low": Effort(pairs=24, fit_images=128, rows=8_192, first=32, finalists=3, healed=0),
    "medium": Effort(pairs=72, fit_images=256, rows=16_384, first=32, finalists=4, healed=2),
    "high": Effort(pairs=288, fit_images=512, rows=65_536, first=64, finalists=8, healed=6),
}
#: Of an effort in seconds, what the first probe may take; the later ones, and the final fit, take about as much.
FIRST_SHARE = 0.5


class Clock:
    """Says whether there is time for more, of an effort in seconds; always, of one that is not."""

    def __init__(self, seconds: float | None):
        self._end = None if seconds is None else time.perf_counter() + FIRST_SHARE * seconds

    def over(self) -> bool:
        """Whether the time is up."""
        return self._end is not None and time.perf_counter() > self._end
