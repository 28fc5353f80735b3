"""Networks that the images of a comparison cannot tell apart are compared on the others too, and nothing else moves."""

from dataclasses import replace

import numpy as np
import pytest

from stitchc.passes import InputSpec, Model, Rival
from stitchc.passes.rivals.apart import told_apart

MODEL = Model("m", InputSpec((3, 8, 8), (0.0,) * 3, (1.0,) * 3))


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.2, 100)


def rival(mean: float, seed: int, **more) -> Rival:
    """With scores of exactly that mean."""
    own = noise(seed)
    return Rival(**{"kind": "parent", "model": MODEL, **more}).scored(own - own.mean() + mean)


def elsewhere(means: dict[int, float], rivals):
    """What gives the scores on the other images, of those rivals alone that may be asked."""
    asked = []

    def more(one: Rival) -> np.ndarray:
        k = next(k for k, other in enumerate(rivals) if other is one)
        asked.append(k)
        return np.full(100, means[k])

    return more, asked


def test_of_two_that_are_close_the_better_on_all_images_is_first():
    rivals = [rival(0.52, 1), rival(0.53, 2), rival(0.1, 3)]
    more, asked = elsewhere({0: 0.50, 1: 0.43}, rivals)
    found = told_apart(rivals, more)
    assert asked == [0, 1]
    assert found[0].score - found[1].score == pytest.approx((0.52 + 0.50) / 2 - (0.53 + 0.43) / 2)
    assert found[0].score + found[1].score == pytest.approx(0.52 + 0.53)  # as hybrids are compared to them
    assert found[0].score == pytest.approx(found[0].scores.mean())
    assert found[2] is rivals[2]


@pytest.mark.parametrize(
    "other",
    [
        rival(0.2, 2),  # clearly behind
        rival(0.52, 2, within=False),
        rival(0.52, 2, trained=True),
        rival(0.52, 2, kind="parts-left-out"),
        Rival("parent", MODEL, reason="it does not run"),
    ],
)
def test_what_is_behind_or_was_fitted_to_these_images_is_left_alone(other):
    rivals = [rival(0.52, 1), other]
    more, asked = elsewhere({}, rivals)
    found = told_apart(rivals, more)
    assert not asked and all(a is b for a, b in zip(found, rivals, strict=True))


def test_without_rivals_there_is_nothing_to_do():
    assert told_apart([], elsewhere({}, [])[0]) == []
    assert told_apart([replace(rival(0.5, 1), scores=None)], elsewhere({}, [])[0])[0].score == pytest.approx(0.5)
