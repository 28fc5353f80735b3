"""How many seams are probed, and how many chains are stitched."""

from __future__ import annotations

from dataclasses import dataclass

from ..data.pass_options import EFFORT


@dataclass(frozen=True)
class SearchEffort:
    """The numbers behind `effort`.

    compared: pairs of cuts that R2 is taken of, at first. first: seams that are probed before the first search.
    seams: that are probed in all, at most. fit_images, rows: that adapters are fitted on, at most. shown: images that
    stitched networks are probed with. chains: that are stitched whole, unhealed. healed: of them, that are healed and
    compared once more. seconds: half of it seams may be probed for; where it is given, the numbers are upper limits.
    """

    compared: int
    first: int
    seams: int
    fit_images: int
    rows: int
    shown: int
    chains: int
    healed: int
    seconds: float | None = None

    @classmethod
    def of(cls, words: str | float) -> SearchEffort:
        """The effort that a name or a number of seconds stands for.

        Raises:
            InputError: neither.
        """
        return EFFORT.numbers("effort", words, EFFORTS)


EFFORTS = {
    "low": SearchEffort(compared=120, first=24, seams=72, fit_images=128, rows=4_096, shown=128, chains=12, healed=2),
    "medium": SearchEffort(
        compared=300, first=48, seams=120, fit_images=128, rows=8_192, shown=256, chains=24, healed=3
    ),
    "high": SearchEffort(
        compared=2400, first=200, seams=1200, fit_images=256, rows=16_384, shown=512, chains=100, healed=8
    ),
}
