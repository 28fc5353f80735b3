"""What could be had instead of a hybrid: made, priced, scored and compared without favour to either."""

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from nets import Small, randomised
from torch import nn

from stitchc.passes import (
    Chain,
    Compare,
    Cost,
    Fit,
    Fragment,
    Heal,
    Model,
    Partition,
    Pass,
    Pipeline,
    Plan,
    Polish,
    Price,
    Rank,
    Rival,
    Rivals,
    Select,
    Similarity,
    Stitch,
    TensorImages,
    Trace,
)
from stitchc.passes.data.errors import ModelError
from stitchc.passes.data.hybrid import Hybrid
from stitchc.passes.data.rivals import recommend
from stitchc.passes.rivals.apart import told_apart
from stitchc.passes.rivals.sizes import between, multiples_below, stride_of


class Resized(TensorImages):
    """Images that every model sees at its own size."""

    def batches(self, spec, size, start=0, stop=None):
        for batch in super().batches(spec, size, start, stop):
            yield nn.functional.interpolate(batch, spec.size[1:], mode="bilinear")


class Fixed(nn.Module):
    """Takes images of one size alone."""

    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.more = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(16 * width, 10)

    def forward(self, x):
        return self.head(self.more(self.conv(x).relu()).relu().flatten(1))


def look():
    return [Trace(), Partition(), Cost(adapters=())]


def choose(limits):
    return [Cost(adapters=("linear",)), Compare(), Select(budget=limits, min_share=0.0), Rank(effort="low")]


def stitched(*models, budget, noise=False, images=64) -> Plan:
    images = Resized(torch.randn(images, 3, 8, 8, generator=torch.Generator().manual_seed(1)), noise=noise)
    given = [Model(str(k), Plan.of(m, images=TensorImages(images.tensor)).models[0].input, module=randomised(m).eval())
             for k, m in enumerate(models)]  # fmt: skip
    passes = [Trace(), Partition(), Cost(adapters=("linear",)), Similarity(), Select(budget=budget), Stitch(), Fit()]
    return Pipeline(passes)(Plan.of(*given, images=images))


@pytest.fixture(scope="module")
def plan() -> Plan:
    made = stitched(Small(8), Small(4), budget={"macs": "70%"})
    other = replace(made.models[1], name="other")
    large = replace(made.models[0], name="large")
    step = Rivals(look=look(), choose=choose, repair=[Fit(), Heal()], against=(other, large))
    return step(made)


def of(plan: Plan, kind: str) -> list[Rival]:
    return [rival for rival in plan.rivals if rival.kind == kind]


def test_a_parent_within_the_budget_is_a_rival_and_one_over_it_is_not(plan):
    (parent,) = of(plan, "parent")
    assert parent.parent == 1 and parent.price == plan.prices[1] and parent.hybrid.network is plan.graphs[1]


def test_a_parent_over_budget_runs_on_the_largest_images_that_the_budget_allows(plan):
    found = [rival for rival in of(plan, "smaller-input") if rival.model.module is plan.models[0].module]
    assert found and all(rival.within and rival.price["macs"] <= plan.budget["macs"] for rival in found)
    sizes = [rival.model.input.size[1] for rival in found]
    assert sizes == sorted(sizes, reverse=True) and len(sizes) <= 3
    first = found[0]
    assert first.price["params"] == plan.prices[0]["params"]
    larger = first.model.at((3, sizes[0] + 1, sizes[0] + 1))
    dearer = Pipeline(look())(Plan((larger,), images=plan.images))
    assert dearer.prices[0]["macs"] > plan.budget["macs"]


def test_a_parent_within_the_budget_is_tried_on_somewhat_smaller_images_where_they_save_it(plan):
    (rival,) = (rival for rival in of(plan, "smaller-input") if rival.model.module is plan.models[1].module)
    assert rival.model.input.size[1] == 7 and rival.within and rival.price["macs"] < plan.prices[1]["macs"]
    of_weights = Rivals(look=look())(stitched(Small(8), Small(4), budget={"params": "70%"}))
    assert all(rival.model.module is not of_weights.models[1].module for rival in of(of_weights, "smaller-input"))


def test_a_parent_over_budget_has_parts_left_out(plan):
    (rival,) = of(plan, "parts-left-out")
    front, back = rival.hybrid.chain.fragments
    assert front.model == back.model == rival.parent == 0 and front.end < back.start
    assert rival.price["macs"] <= plan.budget["macs"] and rival.hybrid.healing is not None
    graph = rival.hybrid.network
    assert sum(p.numel() for p in graph.parameters()) == rival.price["params"]


def test_other_networks_are_measured_and_recommended_only_within_the_budget(plan):
    small, large = of(plan, "against")
    (parent,) = of(plan, "parent")
    assert small.within and small.score == parent.score and small.price == parent.price
    assert not large.within and large.score is not None
    assert plan.rivals[plan.recommended.rival].within if plan.recommended.rival is not None else True


def test_all_are_scored_on_the_half_that_candidates_are_probed_on(plan):
    assert {len(rival.scores) for rival in plan.rivals} == {32} and plan.recommended.images == 32
    best = max([plan.recommended.score, *(rival.score for rival in plan.rivals if rival.within)])
    winner = plan.recommended.rival
    assert best == (plan.recommended.score if winner is None else plan.rivals[winner].score)


def test_networks_as_given_that_half_of_the_images_cannot_tell_apart_are_compared_on_all(monkeypatch):
    monkeypatch.setattr("stitchc.passes.rivals.apart._TIED", 1e9)  # these differ by little, and all images say so
    made = stitched(Small(8), Small(4), budget={"macs": "70%"})
    turned = replace(made, images=replace(made.images, tensor=torch.cat(made.images.tensor.split(32)[::-1])))
    late, early = (Rivals(look=look())(plan).rivals for plan in (made, turned))
    found = Rivals(look=look(), repair=[Fit()], unseen=True)(made).rivals
    first, *others = (k for k, rival in enumerate(found) if rival.within)
    assert others and found[first].kind == "parent"
    for k in others:
        on_all = [half[first].score - half[k].score for half in (late, early)]
        assert found[first].score - found[k].score == pytest.approx(sum(on_all) / 2, abs=1e-9)
        assert on_all[0] != on_all[1]


def test_a_rival_that_is_less_sure_of_the_same_classes_is_worth_as_much():
    made = stitched(Small(8), Small(4), budget={"macs": "70%"})
    flat = deepcopy(made.models[1].module)
    for weight in flat.head.parameters():
        weight.data.mul_(0.3)
    done = Rivals(look=look(), against=(replace(made.models[1], name="flat", module=flat),))(made)
    (parent,), (less_sure,) = of(done, "parent"), of(done, "against")
    np.testing.assert_allclose(less_sure.scores, parent.scores, atol=1e-5)


@pytest.mark.parametrize("unseen", [False, True])
def test_a_parent_without_layers_that_trails_by_far_is_repaired_on_few_images(monkeypatch, unseen):
    """Both ways from the same plan: what decides is the lead."""
    made = stitched(Small(8), Small(4), budget={"macs": "70%"}, images=256)
    step = Rivals(look=look(), choose=choose, repair=[Fit(), Heal()], unseen=unseen)
    for lead, images in ((-2.0, 128), (2.0, 256)):
        monkeypatch.setattr("stitchc.passes.rivals.make.LEAD", lead)
        done = step(made)
        (rival,) = of(done, "parts-left-out")
        assert rival.hybrid.healing.images == images and rival.preview == (images == 128)
        assert any("repaired on 128 images" in note for note in done.notes) == rival.preview
        assert rival.score is not None and len(rival.scores) == 128


@pytest.mark.parametrize(("lead", "images"), [(-2.0, [128, 160]), (2.0, [128, 160, 320])])
def test_a_parent_without_layers_that_trails_on_half_of_the_images_is_not_repaired_on_all(monkeypatch, lead, images):
    made = stitched(Small(8), Small(4), budget={"macs": "70%"}, images=320)
    monkeypatch.setattr("stitchc.passes.rivals.make.LEAD", 2.0)
    monkeypatch.setattr("stitchc.passes.rivals.make.HALF_LEAD", lead)
    healed = []
    run = Heal.run
    monkeypatch.setattr(Heal, "run", lambda self, plan: healed.append(len(plan.images)) or run(self, plan))
    done = Rivals(look=look(), choose=choose, repair=[Fit(), Heal()], unseen=True)(made)
    (rival,) = of(done, "parts-left-out")
    assert healed == [160, *images], "the hybrid's half; no half is healed twice"
    assert rival.hybrid.healing.images == images[-1] and rival.preview == (images[-1] == 160)
    assert any("repaired on 160 images only" in note for note in done.notes) == rival.preview
    assert len(rival.scores) == 160


def test_what_was_given_is_trained_as_the_hybrid_is_and_stands_beside_itself():
    made = stitched(Small(8), Small(4), budget={"macs": "70%"})
    other = replace(made.models[1], name="other")
    train = [Polish(polish="2 steps", teachers=(0,), lr=0.01)]
    done = Rivals(look=look(), repair=[Fit()], train=train, against=(other,), unseen=True)(made)
    for kind in ("parent", "smaller-input", "against"):
        plain = [rival for rival in of(done, kind) if not rival.trained]
        trained = [rival for rival in of(done, kind) if rival.trained]
        assert len(plain) == len(trained) > 0
        for before, after in zip(plain, trained, strict=True):
            assert after.price == before.price and after.hybrid.polishing.teachers == (made.models[0].name,)
            assert after.hybrid.polishing.steps == 2 and after.score is not None
    assert torch.equal(done.graphs[1].head.weight, made.graphs[1].head.weight)
    (parent,) = [rival for rival in of(done, "parent") if rival.trained]
    if parent.hybrid.polishing.kept:
        assert not torch.equal(parent.hybrid.network.head.weight, made.graphs[1].head.weight)


def test_sizes_at_which_a_model_does_not_run_are_left_out_with_the_reason():
    made = stitched(Fixed(8), Fixed(4), budget={"macs": "60%"})
    found = of(Rivals(look=look())(made), "smaller-input")
    assert found and all(rival.hybrid is None and not rival.within for rival in found)
    assert all("fails on" in rival.reason or "shape" in rival.reason for rival in found)


def test_on_noise_nothing_is_compared():
    made = stitched(Small(8), Small(4), budget={"macs": "70%"}, noise=True)
    done = Rivals(look=look(), choose=choose)(made)
    assert done.rivals == () and done.recommended is None and "On noise" in done.notes[-1]


def test_what_changes_the_hybrid_makes_the_comparison_untrue(plan):
    assert Heal()(plan).rivals == () and Heal()(plan).recommended is None
    again = Plan.from_json(plan.to_json())
    assert again.rivals == plan.rivals and again.recommended == plan.recommended


def test_the_score_of_what_was_fitted_can_be_taken_on_images_that_it_never_saw():
    made = stitched(Small(8), Small(4), budget={"macs": "70%"})
    seen, unseen = (Rivals(repair=[Fit()], unseen=unseen)(made).recommended.score for unseen in (False, True))
    half = TensorImages(made.images.tensor[:32])
    again = Fit()(replace(made, images=half))
    assert seen != unseen
    assert unseen == Rivals()(replace(again, images=made.images)).recommended.score


class Enlarging(nn.Module):
    """A network whose maps all have more positions than its images."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.conv(nn.functional.interpolate(x, scale_factor=4.0)).mean((2, 3)))


def test_the_stride_of_a_network_that_enlarges_its_images_is_one_pixel():
    found = Pipeline([Trace(), Partition()])(Plan.of(Enlarging(), images=torch.zeros(2, 3, 8, 8)))
    assert stride_of(found.cuts[0], (3, 8, 8)) == 1


class Undefined(Small):
    """Its scores are undefined for images with a pixel above 3.8: the noise that networks are traced with has none."""

    def forward(self, x):
        return super().forward(x) + (3.8 - x.amax((1, 2, 3))).sqrt()[:, None]


def test_a_rival_whose_scores_are_undefined_on_some_images_is_left_out_with_the_reason():
    made = stitched(Small(8), Small(4), budget={"macs": "70%"}, images=256)
    assert made.images.tensor[128:].amax() > 3.8
    broken = replace(made.models[1], name="broken", module=randomised(Undefined(4)).eval())
    done = Rivals(look=look(), against=(broken,))(made)
    (found,) = of(done, "against")
    assert found.hybrid is None and not found.within and "undefined (NaN)" in found.reason
    assert done.recommended == Rivals(look=look())(made).recommended


def test_strides_and_sizes():
    graph = Trace()(Plan.of(Small(4), images=torch.zeros(2, 3, 8, 8)))
    cuts = Partition()(graph).cuts[0]
    smallest = min(cut.value.grid[0] for cut in cuts.cuts if cut.value.grid and min(cut.value.grid) > 1)
    assert stride_of(cuts, (3, 8, 8)) == 8 // smallest
    assert [s[1] for s in multiples_below((3, 224, 224), 32)] == [192, 160, 128, 96, 64, 32]
    assert next(multiples_below((3, 225, 225), 32))[1:] == (224, 224)
    assert next(multiples_below((3, 64, 128), 16)) == (3, 48, 96)
    assert [s[1] for s in between((3, 192, 192), (3, 160, 160), 32)] == [184, 176, 168]


def rival(macs: int, within: bool = True) -> Rival:
    spec = Plan.of(Small(4), images=torch.zeros(2, 3, 8, 8)).models[0]
    return Rival("parent", spec, 0, Hybrid("rival", Chain((Fragment(0),)), Price(macs=macs)), within)


RIGHT = np.array([1.0, 1.0, 1.0, 0.0])
WORSE = np.array([1.0, 0.0, 1.0, 0.0])


@pytest.mark.parametrize(
    ("own", "others", "best", "dominated"),
    [
        (RIGHT, [(5, True, WORSE)], None, ()),
        (WORSE, [(5, True, RIGHT)], 0, (0,)),
        (WORSE, [(15, True, RIGHT)], 0, ()),  # better, and dearer
        (WORSE, [(5, False, RIGHT)], None, ()),  # over another budget
        (RIGHT, [(10, True, RIGHT)], None, ()),  # in all equal: nothing speaks against the hybrid
        (RIGHT, [(9, True, RIGHT)], 0, (0,)),  # as good, and cheaper
        (WORSE, [(9, True, RIGHT), (8, True, RIGHT), (7, True, None)], 1, (0, 1)),
    ],
)
def test_the_best_within_the_budget_is_recommended(own, others, best, dominated):
    rivals = [rival(macs, within) for macs, within, _ in others]
    found = recommend(Price(macs=10), rivals, [own, *(values for *_, values in others)], {"macs": 20}, "accuracy")
    assert (found.rival, found.dominated) == (best, dominated)


def test_the_lead_has_the_error_of_the_differences_on_the_same_images():
    found = recommend(Price(macs=10), [rival(5)], [RIGHT, WORSE], {}, "accuracy")
    difference = RIGHT - WORSE
    assert found.lead == 0.25 and found.error == pytest.approx(difference.std(ddof=1) / 2)
    assert found.over == 0 and recommend(Price(macs=10), [], [RIGHT], {}, "score").lead is None


def test_sizes_that_cannot_meet_the_budget_are_not_traced(plan):
    """Weights are as many on small images; multiply-adds go with the pixels, so that the largest size that may do is
    known before."""
    seen: list[tuple[int, ...]] = []

    @dataclass(frozen=True)
    class Watched(Pass):
        name: ClassVar[str] = "watched"

        def run(self, plan: Plan) -> Plan:
            seen.append(plan.models[0].input.size)
            return plan

    looked = [Watched(), *look()]
    Rivals(look=looked)(replace(plan, budget={"params": plan.prices[0]["params"] - 1}))
    assert not seen, "no size has fewer weights"
    Rivals(look=looked)(plan)
    limit = plan.budget["macs"] / plan.prices[0]["macs"]
    side = plan.models[0].input.size[1]
    assert seen and all(size[1] ** 2 <= limit / 0.9 * side**2 for size in seen)


def test_what_the_choice_was_healed_to_on_half_of_the_images_is_not_made_again(monkeypatch):
    shown = Resized(torch.randn(64, 3, 16, 16, generator=torch.Generator().manual_seed(1)))
    models = [randomised(Small(width)) for width in (8, 4)]
    passes = [
        Trace(),
        Partition(),
        Cost(direction="both"),
        Similarity(),
        Select(budget={"macs": "70%"}),
        Rank(heal="back"),
    ]
    chosen = Pipeline([*passes, Stitch(), Fit(), Heal()])(Plan.of(*models, images=shown))
    repaired = []
    run = Heal.run
    monkeypatch.setattr(Heal, "run", lambda self, plan: repaired.append(plan) or run(self, plan))

    def score(plan, **known):
        repaired.clear()
        return Rivals(repair=[Fit(), Heal()], unseen=True, **known)(plan).recommended.score, len(repaired)

    again, known = score(chosen), score(chosen, repaired_alike=True)
    assert known == (pytest.approx(again[0], rel=1e-3), 0) and again[1] == 1
    others = tuple(replace(one, chain=Chain((Fragment(0),))) for one in chosen.choice)
    assert score(replace(chosen, choice=others), repaired_alike=True)[1] == 1  # another chain was tried


def test_a_network_undefined_on_the_images_that_tell_it_apart_is_left_out():
    scored = [rival(macs).scored(values) for macs, values in ((5, RIGHT), (6, RIGHT), (7, RIGHT))]
    there = {5: WORSE, 6: RIGHT}

    def more(one):
        if one.price["macs"] not in there:
            raise ModelError("undefined there")
        return there[one.price["macs"]]

    worse, right, broken = told_apart(scored, more)
    assert (broken.hybrid, broken.within, broken.reason) == (None, False, "undefined there")
    assert right.score - worse.score == pytest.approx(0.125)  # over all eight images
    assert right.score + worse.score == pytest.approx(2 * scored[0].score)
