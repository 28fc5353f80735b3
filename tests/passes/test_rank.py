"""The best of the stitched networks is found by looking at few of them on few images, and it is said how."""

from dataclasses import replace
from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest
import torch
from memory import following
from nets import Small, randomised

from stitchc.passes import Cost, Partition, Pipeline, Plan, Rank, Select, Similarity, TensorImages, Trace
from stitchc.passes.data import plugins
from stitchc.passes.data.chain import Chain
from stitchc.passes.data.errors import InputError
from stitchc.passes.data.pass_options import RANK
from stitchc.passes.data.plan import Stage
from stitchc.passes.data.some_images import Part
from stitchc.passes.fit.closed_form import fit_all
from stitchc.passes.rank import halving
from stitchc.passes.rank.effort import EFFORTS, Effort
from stitchc.passes.rank.halving import Probed, _leads, _unlike, _within_reach
from stitchc.passes.rank.preselection import depth_match, distinct, pairs_of, union
from stitchc.passes.rank.scores import SCORES, reference, score_of
from stitchc.passes.rank.stitched import Stitched
from stitchc.passes.stitch.join import graph_of

IMAGES = torch.randn(96, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def nets():
    return randomised(Small(4)), randomised(Small(6))


@pytest.fixture(scope="module")
def plan(nets) -> Plan:
    """Labelled by the first network, so that the labels are of the classes that the networks name."""
    with torch.no_grad():
        labels = nets[0].eval()(IMAGES).argmax(dim=1)
    shown = TensorImages(IMAGES, labels)
    passes = [Trace(), Partition(), Cost(), Similarity(), Select(min_share=0.0)]
    return Pipeline(passes)(Plan.of(*nets, images=shown))


def unlabelled(plan: Plan, **changes) -> Plan:
    return replace(plan, images=TensorImages(IMAGES, **changes))


@pytest.fixture(scope="module")
def fitted(plan):
    table = plan.candidates
    return fit_all(plan, [table[int(row)].chain.seams()[0] for row in table.order[:: len(table.order) // 9]])


@pytest.mark.parametrize(("adapter", "max_memory"), [("auto", None), ("auto", 100_000), ("fused", None)])
def test_what_is_computed_together_is_what_each_stitched_network_says(plan, adapter, max_memory):
    table = Pipeline([Cost(adapters=(adapter,)), Select(min_share=0.0)])(plan).candidates
    fitted = fit_all(plan, [table[int(row)].chain.seams()[0] for row in table.order[:: max(1, len(table.order) // 9)]])
    part = Part(plan.images, 10, 31)
    together = Stitched(plan, max_memory).logits(fitted, part)
    for one, said in zip(fitted, together, strict=True):
        leaves, adapter, enters = one.seam
        alone = graph_of(plan, Chain.pair(leaves, enters, adapter), [one.adapter])
        with torch.no_grad():
            torch.testing.assert_close(said, alone(IMAGES[10:31]), rtol=1e-4, atol=1e-5)


def test_products_in_float32_give_the_same_fit_to_their_rounding(plan, fitted):
    rough = fit_all(plan, [one.seam for one in fitted], roughly=True)
    for exact, found in zip(fitted, rough, strict=True):
        assert found.residual == pytest.approx(exact.residual, rel=1e-3, abs=1e-5)


def test_residuals_are_the_same_where_the_weights_are_not_wanted(plan, fitted):
    alone = fit_all(plan, [one.seam for one in fitted], final=False)
    assert [one.residual for one in alone] == [one.residual for one in fitted]


class Twice(Small):
    """In eval mode dropout does nothing, so that what is before the first has the value of what is behind it."""

    def __init__(self, channels: int):
        super().__init__(channels)
        self.drop = torch.nn.Sequential(torch.nn.Dropout(0.5), torch.nn.Dropout(0.5))


def test_of_pairs_of_cuts_with_the_same_values_one_is_tried():
    made = Plan.of(randomised(Twice(4)), randomised(Twice(6)), images=TensorImages(IMAGES))
    plan = Pipeline([Trace(), Partition(), Cost(), Similarity(), Select(min_share=0.0)])(made)
    table, nodes = plan.candidates, [[cut.node for cut in cuts.cuts] for cuts in plan.cuts]
    pairs = pairs_of(table, table.order)
    kept = distinct(plan, table, pairs)

    def fronts(of):
        return {(int(table.front_model[p[0]]), nodes[table.front_model[p[0]]][table.front_cut[p[0]]]) for p in of}

    assert {(0, "flatten"), (0, "drop_0"), (0, "drop_1")} <= fronts(pairs)
    assert fronts(pairs) - fronts(kept) in ({(0, name), (1, name)} for name in ("flatten", "drop_0"))
    assert len(distinct(replace(plan, representations=()), table, pairs)) == len(pairs)


def test_a_part_of_the_images_is_a_set_of_its_own(plan):
    part = Part(plan.images, 10, 31)
    spec = plan.models[0].input
    assert torch.equal(torch.cat(list(part.batches(spec, 4))), IMAGES[10:31])
    assert torch.equal(torch.cat(list(part.batches(spec, 4, 3, 9))), IMAGES[13:19])
    assert torch.equal(torch.cat(list(part.batches(spec, 4, 3, 99))), IMAGES[13:31])
    assert torch.equal(part.labels, plan.images.labels[10:31]) and len(part) == 21


@pytest.mark.parametrize("name", SCORES)
def test_no_network_is_worth_more_than_one_that_says_what_the_reference_says(name):
    torch.manual_seed(0)
    logits = 3 * torch.randn(64, 10)
    against = reference(logits, [logits], logits.argmax(dim=1))
    score = SCORES[name]
    sure = torch.nn.functional.one_hot(logits.argmax(dim=1)) * 30.0
    own = sure if name == "cascade" else logits  # that names at random, and so is best where it is sure
    other = torch.randn(64, 10)
    assert score(own, against).mean() > score(other, against).mean()
    halfway = score(own + 0.5 * other, against).mean()
    assert score(own, against).mean() >= halfway
    with torch.no_grad():
        assert score(logits, against).shape == (64,)


@pytest.mark.parametrize("name", SCORES)
def test_how_sure_a_network_is_of_its_classes_does_not_count(name):
    """And what is not finite is worth nothing to itself alone."""
    torch.manual_seed(0)
    back, logits = 2 * torch.randn(64, 10), torch.randn(64, 10)
    against, score = reference(back, [back], back.argmax(dim=1)), score_of(name)
    fair = score(logits + back, against)
    torch.testing.assert_close(score(0.3 * (logits + back), against), fair, rtol=0.0, atol=1e-4)
    broken = torch.cat([logits + back, torch.full((1, 10), float("nan"))])
    more = replace(against, log_probabilities=against.log_probabilities[[*range(64), 0]],
                   labels=against.labels[[*range(64), 0]])  # fmt: skip
    torch.testing.assert_close(score(broken, more)[:64], fair)


def test_expected_agreement_is_the_share_of_agreeing_draws():
    torch.manual_seed(0)
    p, q = torch.randn(1, 4), torch.randn(1, 4)
    against = reference(q, [q], None)
    drawn = [torch.multinomial(x.softmax(1)[0], 20000, replacement=True) for x in (p, q)]
    share = (drawn[0] == drawn[1]).double().mean().item()
    assert SCORES["cascade"](p, against).item() == pytest.approx(share, abs=0.01)


def test_the_reference_is_the_largest_model_of_the_same_classes():
    torch.manual_seed(0)
    back, other = torch.randn(64, 10), torch.randn(64, 10)
    near = back + 0.3 * torch.randn(64, 10)
    for models, expected in (([near, back], near), ([back, near], back), ([other, torch.randn(64, 3), back], back)):
        torch.testing.assert_close(reference(back, models, None).log_probabilities, expected.log_softmax(1))


def test_labels_make_a_smaller_model_the_reference_where_they_are_sure_of_it():
    torch.manual_seed(0)
    large = torch.randn(64, 10)
    labels = large.argmax(dim=1)
    labels[:20] = (labels[:20] + 1) % 10
    right = 8.0 * torch.nn.functional.one_hot(labels, 10)
    barely = large.clone()
    barely[:1] = right[:1]
    for small, expected in ((large + right, large + right), (barely, large)):
        found = reference(small, [large, small], labels).log_probabilities
        torch.testing.assert_close(found, expected.log_softmax(1))
    torch.testing.assert_close(
        reference(large + right, [large, large + right], None).log_probabilities, large.log_softmax(1)
    )


def test_labels_of_other_classes_are_not_used():
    torch.manual_seed(0)
    logits = torch.randn(64, 10)
    right, wrong = logits.argmax(dim=1), logits.argmin(dim=1)
    assert reference(logits, [logits], right).labels is not None
    assert reference(logits, [logits], wrong).labels is None
    assert reference(logits, [logits], wrong + 500).labels is None


def test_a_shortlist_takes_the_best_by_each_sign_in_turn():
    signs = [np.array([5.0, 4, 3, 2, 1, 0]), np.array([0.0, 1, 2, 3, 4, np.nan])]
    assert union(signs, 2).tolist() == [0, 4]
    assert union(signs, 4).tolist() == [0, 1, 3, 4]
    assert union(signs, 99).tolist() == list(range(6))


def test_a_shortlist_has_as_many_of_each_group_while_there_are_some():
    """Although all of one are better than any of the other."""
    sign, groups = np.array([9.0, 8, 7, 6, 2, 1, 0]), list("aaaabbb")
    assert union([sign], 4, groups).tolist() == [0, 1, 4, 5]
    assert union([sign, -sign], 4, groups).tolist() == [0, 3, 4, 6]
    assert union([sign], 6, [*groups[:6], "a"]).tolist() == [0, 1, 2, 3, 4, 5]


def test_pairs_have_their_adapters_together_and_match_in_depth_where_cuts_do(plan):
    table = plan.candidates
    pairs = pairs_of(table, table.order)
    assert sorted(row for pair in pairs for row in pair) == sorted(table.order)
    assert all(len({(table.front_cut[r], table.back_cut[r]) for r in pair}) == 1 for pair in pairs)
    first = np.array([pair[0] for pair in pairs])
    match = depth_match(plan, table, first)
    assert match.max() <= 0 and match.min() >= -1
    deepest, shallowest = match.argmax(), match.argmin()
    shares = [
        abs(
            plan.cuts[c.front[0]][c.front[1]].before["macs"] / plan.prices[c.front[0]]["macs"]
            - plan.cuts[c.back[0]][c.back[1]].before["macs"] / plan.prices[c.back[0]]["macs"]
        )
        for c in (table[int(first[deepest])], table[int(first[shallowest])])
    ]
    assert -match[deepest] == pytest.approx(shares[0]) and -match[shallowest] == pytest.approx(shares[1])


@pytest.mark.parametrize("rank", ["cascade", "agreement", "kl", "accuracy", "fit"])
def test_the_choice_is_the_best_of_those_that_were_probed(plan, rank):
    ranked = Rank(rank=rank, effort="high")(plan)
    table = ranked.candidates
    assert (ranked.choice[0].front, ranked.choice[0].back) == (
        table[int(table.order[0])].front,
        table[int(table.order[0])].back,
    )
    assert table.rank == rank and len(ranked.choice) == 1
    assert sorted(table.order) == sorted(plan.candidates.order), "nobody is lost"
    probed = table.order[~np.isnan(table.score[table.order])]
    assert (table.order[: len(probed)] == probed).all(), "and whoever was not probed comes last"
    if rank == "fit":
        assert ranked.choice[0].score == pytest.approx(np.nanmax(table.score))
    assert Plan.from_json(ranked.to_json()).candidates == table
    assert ranked.stages == Plan.from_json(ranked.to_json()).stages


def test_with_every_image_the_choice_is_the_best_of_all(plan):
    """Of all pairs with their best adapter, as if each had been stitched and shown everything."""
    bare = unlabelled(plan)
    chosen = Rank(effort="high")(bare)
    half = len(IMAGES) // 2
    table = bare.candidates
    seams = [table[int(row)].chain.seams()[0] for row in table.order]
    fitted = fit_all(replace(bare, images=Part(bare.images, 0, half)), seams, rows=65_536)
    stitched, shown = Stitched(bare), Part(bare.images, half, len(IMAGES))
    front, back = chosen.choice[0].front[0], chosen.choice[0].back[0]
    both = sorted((front, back), key=lambda model: -bare.prices[model]["macs"])
    against = reference(stitched.parent(back, shown), [stitched.parent(model, shown) for model in both], None)
    worth = [score_of("cascade")(said, against).mean().item() for said in stitched.logits(fitted, shown)]
    found = worth[table.order.tolist().index(int(chosen.candidates.order[0]))]
    assert chosen.choice[0].score == pytest.approx(found, abs=1e-4)
    assert max(worth) - found <= 0.1 * (max(worth) - min(worth))


def test_stages_say_what_was_dropped_and_effort_how_much_was_looked_at(plan):
    low, high = (Rank(effort=effort)(plan).stages for effort in ("low", "high"))
    for stages, effort in ((low, EFFORTS["low"]), (high, EFFORTS["high"])):
        assert stages[0].name == "shortlist" and stages[0].kept == min(effort.pairs, stages[0].candidates)
        probes = stages[1:]
        assert probes[0].images == min(effort.first, len(IMAGES) // 2)
        assert [s.images for s in probes] == sorted(s.images for s in probes) and probes[-1].kept == 1
    assert low[0].kept < high[0].kept


def test_the_same_plan_gives_the_same_choice(plan):
    assert Rank(effort="low")(plan) == Rank(effort="low")(plan)


def test_labels_are_used_where_they_are_of_the_networks_classes_and_else_it_is_said(plan):
    assert not any("labels" in note for note in Rank(effort="low")(plan).notes)
    odd = unlabelled(plan, labels=(plan.images.labels + 1) % 2 + 700)
    assert any("not the classes that the networks name" in note for note in Rank(effort="low")(odd).notes)
    with pytest.raises(InputError, match="not the classes"):
        Rank(rank="accuracy", effort="low")(odd)
    with pytest.raises(InputError, match="needs labels"):
        Rank(rank="accuracy")(unlabelled(plan))


def test_on_noise_and_on_few_images_nothing_is_probed(plan):
    for images, why in (
        (TensorImages(IMAGES, noise=True), "noise"),
        (TensorImages(IMAGES[:12]), "12 images are too few"),
    ):
        same = Rank()(replace(plan, images=images))
        assert same.candidates == plan.candidates and same.choice == plan.choice and same.stages == ()
        assert why in same.notes[-1]


def test_who_has_too_little_of_one_parent_is_probed_only_where_nobody_has_more(plan):
    def smaller(c):
        before, after = plan.cuts[c.front[0]][c.front[1]].before, plan.cuts[c.back[0]][c.back[1]].after
        return min(before["macs"], after["macs"]) / c.price["macs"]

    some = Rank(effort="low", min_share=0.2)(plan)
    assert smaller(some.choice[0]) >= 0.2
    table = some.candidates
    assert all(smaller(table[int(r)]) >= 0.2 for r in table.order if not np.isnan(table.score[r]))
    assert Rank(effort="low", min_share=0.99)(plan).choice


def test_a_choice_that_is_nearly_one_parent_says_so(plan):
    rows = [r for r in plan.candidates.order if plan.candidates.front_cut[r] == 0 and plan.candidates.back_cut[r] == 0]
    only = replace(plan, candidates=replace(plan.candidates, order=np.array(rows)))
    cuts = tuple(
        replace(c, cuts=tuple(replace(cut, before=cut.before | {"macs": 1}) for cut in c.cuts)) for c in plan.cuts
    )
    notes = Rank(effort="low")(replace(only, cuts=cuts)).notes
    assert any("is nearly the whole of Small" in note and "`min_share=0.1`" in note for note in notes)


def test_a_leader_is_ahead_of_every_other_by_two_standard_errors():
    def probed(values):
        return Probed(0, 0, None, torch.tensor(values))

    steady = [0.9, 0.8, 0.9, 0.8] * 8
    assert _leads([probed(steady), probed([v - 0.1 for v in steady])])
    assert not _leads([probed(steady), probed(steady)])
    assert not _leads([probed(steady), probed([v - 0.1 for v in steady]), probed([0.95, 0.74] * 16)])


def test_who_is_far_behind_the_best_is_out_of_reach_and_who_is_near_or_varies_is_not():
    def probed(values):
        return Probed(0, 0, None, torch.tensor(values))

    best = probed([0.9, 0.8, 0.9, 0.8] * 16)
    far, near, same = (probed([v - less for v in [0.9, 0.8, 0.8, 0.9] * 8]) for less in (0.2, 0.01, 0.0))
    varied = probed([0.9, 0.1, 0.9, 0.85] * 2)
    assert _within_reach(best, [far, near, same, varied]) == [near, same, varied]


def test_an_effort_is_a_name_or_seconds(plan):
    assert Effort.of("60s").seconds == Effort.of(60).seconds == Effort.of("60").seconds == 60
    for words in ("mediun", "-3", "0s", "inf"):
        with pytest.raises(InputError, match="is no effort"):
            Effort.of(words)
    quick = Rank(effort="0.01s")(plan)
    assert quick.stages[1].candidates == 12, "a first group is always looked at"
    with pytest.raises(InputError, match="no value of `rank`") as caught:
        Rank(rank="agrement")(plan)
    assert "'agreement'" in caught.value.hint


def direction(candidate) -> tuple[int, int]:
    return candidate.front[0], candidate.back[0]


def test_finalists_of_each_direction_are_healed_and_compared_on_images_that_no_healing_saw(plan, monkeypatch):
    seen = []

    def heal(stitched, probe, chain, *rest):
        seen.append((chain.front.model, chain.back.model))
        assert (probe.images.start, len(probe.images)) == (0, len(IMAGES) // 2)
        return really(stitched, probe, chain, *rest)

    really = halving.heal
    monkeypatch.setattr(halving, "heal", heal)
    ranked = Rank(effort="medium", heal="back")(plan)
    assert ranked.stages[-1] == Stage("healed", len(IMAGES) - len(IMAGES) // 2, 2, 1)
    table = ranked.candidates
    first = table.order[:2].tolist()
    assert sorted(seen) == sorted(direction(table[row]) for row in first) == [(0, 1), (1, 0)]
    assert table.score[first[0]] >= table.score[first[1]]
    for stage in ranked.stages[1:-1]:
        assert stage.kept >= 2, "no direction is dropped before it is healed"


def test_in_one_direction_the_best_few_are_healed(plan):
    one_way = Pipeline([Cost(direction="slow-to-fast"), Select(min_share=0.0)])(plan)
    ranked, bare = (Rank(effort="medium", heal=heal)(one_way) for heal in ("back", "none"))
    few = EFFORTS["medium"].healed
    assert ranked.stages[-1].candidates == few and ranked.stages[:-1] == bare.stages
    assert len(set(ranked.candidates.order[:few]) & set(bare.candidates.order)) == few


def test_a_network_that_healing_made_less_sure_loses_nothing_by_it(plan, monkeypatch):
    """A factor on all its logits, which changes none of its classes, does not change what the best finalist scores (the
    second is no better than chance here, so that no factor within the limits is small enough for it)."""
    said, found = halving.outputs, []
    for factor in (8.0, 3.0):  # untrained networks are so unsure that a factor within its limits is not enough for them
        monkeypatch.setattr(halving, "outputs", lambda *given, factor=factor: factor * said(*given))
        found.append(Rank(effort="medium", heal="back")(plan).candidates)
    fair, flat = found
    assert flat.order.tolist() == fair.order.tolist()
    np.testing.assert_allclose(flat.score[flat.order[:1]], fair.score[fair.order[:1]], rtol=1e-4)


def test_healed_finalists_are_held_against_the_larger_parent(plan, monkeypatch):
    """Whoever says what it says gets what it gives itself, from whichever end it comes."""
    bare = unlabelled(plan)
    larger = max((0, 1), key=lambda model: bare.prices[model]["macs"])
    with torch.no_grad():
        said = bare.graphs[larger](IMAGES[len(IMAGES) // 2 :])
    monkeypatch.setattr(halving, "outputs", lambda *_: 0.4 * said)
    monkeypatch.setattr("stitchc.passes.rank.scores.SHARED_CLASSES", 0.0)
    table = Rank(effort="medium", heal="back")(bare).candidates
    own = said.softmax(1).square().sum(1).mean().item()
    assert table.score[table.order[:2]] == pytest.approx([own, own], rel=1e-4)


def test_one_network_by_two_names_takes_one_place_among_the_finalists(fitted):
    values = torch.rand(32, generator=torch.Generator().manual_seed(0))
    first, again, other = (Probed(row, row, fitted[0], given) for row, given in enumerate((
        values, values + 1e-4, values.flip(0)
    )))  # fmt: skip
    assert _unlike([first, again, other]) == [first, other]


def test_another_package_adds_a_rule_by_an_entry_point(plan, monkeypatch):
    point = EntryPoint("half-right", "another_package:half_right", "stitchc.ranks")
    monkeypatch.setattr(plugins, "entry_points", lambda group: EntryPoints([point]).select(group=group))
    plugins.installed.cache_clear()
    try:
        assert RANK.known[-1] == "half-right"
        ranked = Rank(rank="half-right", effort="low")(plan).candidates
        scores = ranked.score[~np.isnan(ranked.score)]
        assert ranked.rank == "half-right" and len(scores) > 1 and 0 < scores.max() <= 0.5
        with pytest.raises(InputError, match="Did you mean 'half-right'"):
            Rank(rank="half-rigt")(plan)
    finally:
        plugins.installed.cache_clear()


def test_ranking_takes_no_more_memory_than_it_is_given_and_says_what_was_not_tried(plan):
    ranking = Rank(rank="agreement", effort="low", heal="back")
    with following() as free:
        ranking(plan)
    limit = 300_000
    with following() as memory:
        ranked = replace(ranking, max_memory=limit)(plan)
    assert memory.peak_bytes <= limit < free.peak_bytes
    assert any("Not tried where they have too many inputs: conv3x3" in note for note in ranked.notes)
    assert ranked.choice[0].adapter == "linear"
