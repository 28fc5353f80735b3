"""Options that only some methods of a search know, and rules for a chain as a whole."""

import pytest
from torch import nn

import stitchc
from stitchc.passes.data.errors import InputError
from stitchc.passes.data.model import InputSpec, Model
from stitchc.searches.options import SearchOptions
from stitchc.searches.rules import models_at_least, not_together

POOL = ("digits/plain", "digits/small")
SPEC = InputSpec((1, 8, 8), (0.5,), (0.5,))
MODELS = [Model("zoo/one", SPEC, licence="MIT"), Model("zoo/two", SPEC, licence="CC-BY-NC-4.0"), Model("three", SPEC),
          Model("four", SPEC, licence="mit")]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hold": "A:stem..pool"}, "`method='exact'` does not look at `hold`"),
        ({"apart": "A+B"}, "does not look at `apart`"),
        ({"switches": 1, "method": "stitchnet"}, "`method='stitchnet'` does not look at `switches`"),
        ({"width": 3}, "does not look at `width`"),
        ({"start": "smallest", "method": "milp"}, "does not look at `start`"),
        ({"differ": 1, "method": "milp"}, "does not look at `differ`"),
        ({"min_share": 0.2, "method": "stitchnet"}, "does not look at `min_share`"),
        ({"sweep": "20%..90%", "best": True}, "a sweep writes no artifact, and does not look at `best=True`"),
        ({"sweep": "20%..90%", "rivals": "trained"}, "does not look at `rivals='trained'`"),
        ({"sweep": "20%..90%", "against": "digits/vit"}, "does not look at `against"),
        ({"method": "milp", "models_at_least": 3}, "3 models at least, and 2 were given"),
        ({"method": "milp", "models_at_least": 2, "switches": 0}, "0 switches at most were allowed"),
        ({"method": "milp", "apart": "A+nobody"}, "'nobody' is no model or licence of this pool"),
        ({"method": "milp", "apart": "A"}, "names no two"),
        ({"method": "milp", "apart": "A+A"}, "names no two"),
    ],
)
def test_what_would_not_be_looked_at_or_can_never_hold_is_refused_before_anything_slow(given, said):
    with pytest.raises(InputError, match=said.replace("(", r"\(")):
        stitchc.search(*POOL, dry_run=True, **given)


@pytest.mark.parametrize(
    ("given", "models", "least"),
    [({}, 3, 2), ({}, 1, 1), ({"switches": 0}, 3, 1), ({"switches": 5}, 3, 2), ({"models_at_least": 3}, 4, 3)],
)
def test_two_models_are_wanted_where_there_are_two_and_may_be_switched_between(given, models, least):
    assert models_at_least(SearchOptions(method="milp", **given), models) == least


@pytest.mark.parametrize(
    ("words", "sets"),
    [
        (["A+C"], {(0, 2)}),
        (["zoo/one+three", "C+A"], {(0, 2)}),
        (["MIT+CC-BY-NC-4.0"], {(0, 1), (1, 3)}),
        (["A+mit"], {(0, 3)}),
        (["A+B+D"], {(0, 1, 3)}),
        ([], set()),
    ],
)
def test_a_licence_stands_for_every_model_that_has_it(words, sets):
    assert set(not_together(MODELS, words)) == sets


def classifier(name: str, outputs: int) -> Model:
    layers = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, outputs))
    return Model(name, SPEC, module=layers.eval())


@pytest.mark.parametrize("verb", [stitchc.search, stitchc.family])
def test_models_of_different_classes_have_no_score_in_common(verb):
    odd, digit = classifier("odd", 2), classifier("digit", 10)
    with pytest.raises(InputError, match=r"odd has 2 outputs and digit 10, and a (search|family) compares"):
        verb(odd, digit, data="digits", dry_run=True)
    assert verb(digit, classifier("again", 10), data="digits", dry_run=True)


def test_stitchnet_s_algorithm_scores_seams_whatever_models_tell_apart():
    assert stitchc.search(
        classifier("odd", 2), classifier("digit", 10), data="digits", method="stitchnet", dry_run=True
    )
