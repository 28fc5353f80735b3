"""Networks as somebody gave them that the probe images of a comparison cannot tell apart, on the other images too."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..data.errors import ModelError
from ..data.rivals import Rival

#: Kinds that are networks as somebody gave them, at whatever size.
AS_GIVEN = ("parent", "smaller-input", "against")

# Standard errors of the difference from the best within which a network is shown more.
_TIED = 2.0


def told_apart(rivals: Sequence[Rival], more: Callable[[Rival], np.ndarray]) -> list[Rival]:
    """The rivals; of those within the budget that nobody fitted or trained, the ones that are within two standard
    errors of the best are compared to one another on all images.

    more: a rival's score on each of the images that a hybrid is fitted on, float64. They say nothing of a hybrid, so
    that it is compared to all on the same images as before: of each of these rivals the scores there are moved by one
    number, so that their mean stays and their differences are those of all images. A rival of which it raises a
    ModelError, as its outputs there are not finite, is left out with the reason.
    """
    found, tied = list(rivals), _tied(rivals)
    if len(tied) < 2:
        return found
    there: dict[int, np.ndarray] = {}
    for k in tied:
        try:
            there[k] = more(rivals[k])
        except ModelError as error:
            found[k] = rivals[k].left_out(error.message)
    if there:
        here = {k: _scores(rivals[k]) for k in there}
        both = {k: np.concatenate([there[k], here[k]]).mean() for k in there}
        level, whole = (np.mean(means) for means in ([one.mean() for one in here.values()], list(both.values())))
        moved = {k: here[k] + (both[k] - whole) - (here[k].mean() - level) for k in there}
        found = [rival.scored(moved[k]) if k in moved else rival for k, rival in enumerate(found)]
    return found


def _tied(rivals: Sequence[Rival]) -> list[int]:
    given = [
        k for k, rival in enumerate(rivals)
        if rival.kind in AS_GIVEN and rival.within and not rival.trained and rival.scores is not None
    ]  # fmt: skip
    if not given:
        return []
    best = max((_scores(rivals[k]) for k in given), key=np.mean)
    return [k for k in given if not _behind(best, _scores(rivals[k]))]


def _behind(best: np.ndarray, other: np.ndarray) -> bool:
    lead = best - other
    return bool(lead.mean() > _TIED * lead.std() / len(lead) ** 0.5)


def _scores(rival: Rival) -> np.ndarray:
    assert rival.scores is not None
    return rival.scores
