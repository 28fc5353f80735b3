"""The first pair of cuts by similarity that meets every budget; and when there is none, what would be reachable."""

import re
from dataclasses import replace

import numpy as np
import pytest
from small_nets import Plain, plan_of

from stitchc.passes import Cost, PairSimilarity, Plan, Select
from stitchc.passes.data.budget import Limit
from stitchc.passes.data.cut_names import find_cut
from stitchc.passes.data.errors import CutError, Infeasible, InputError, PipelineError, QuantityError


def compared(plan: Plan, matrix: np.ndarray) -> Plan:
    return replace(plan, similarity=(PairSimilarity(0, 1, "cka-unbiased", 64, matrix),))


@pytest.fixture(scope="module")
def priced() -> Plan:
    """Two plain networks, a twice as wide as b, every pair of cuts as alike as its place in the table says."""
    plan = Cost(direction="slow-to-fast")(plan_of(Plain(8), Plain(4)))
    return compared(plan, np.arange(49).reshape(7, 7) / 49)


def rows(plan: Plan) -> list[tuple[str, str, str]]:
    """The ranked candidates as (front node, back node, adapter)."""
    table = plan.candidates
    found = [table[int(row)] for row in table.order]
    return [
        (plan.cuts[a][i].node, plan.cuts[b][j].node, c.adapter) for c in found for (a, i), (b, j) in [(c.front, c.back)]
    ]


def test_candidates_are_ranked_by_similarity(priced):
    plan = Select(min_share=0)(priced)
    table = plan.candidates
    scores = table.similarity[table.order]
    assert (np.diff(scores) <= 0).all() and len(scores) == table.feasible.sum()
    assert table.rank == "cka" and plan.budget == {}
    for row in range(len(table)):
        c = table[row]
        assert c.similarity == priced.similarity[0].matrix[c.front[1], c.back[1]]


def test_only_what_meets_every_budget_is_ranked_and_chosen(priced):
    whole = priced.prices[0]
    budget = {"macs": 0.6 * whole["macs"], "params": Limit("params", 0.5, relative=True)}
    plan = Select(budget=budget)(priced)
    assert plan.budget == {"macs": 0.6 * whole["macs"], "params": 0.5 * whole["params"]}
    table = plan.candidates
    meets = (table.metric("macs") <= plan.budget["macs"]) & (table.metric("params") <= plan.budget["params"])
    assert 0 < meets.sum() < len(table)
    assert np.array_equal(table.feasible, meets)
    assert set(table.order.tolist()) == set(np.flatnonzero(meets).tolist())


def test_a_budget_is_met_by_what_takes_exactly_as_much(priced):
    least = min(int(priced.candidates.metric("macs")[r]) for r in Select()(priced).candidates.order)
    assert Select(budget={"macs": least})(priced).choice[0].price["macs"] == least
    assert Select(budget={"flops": 2 * least})(priced).choice[0].price["flops"] == 2 * least
    with pytest.raises(Infeasible):
        Select(budget={"macs": least - 1})(priced)


def test_the_choice_is_the_best_pair_with_every_adapter_within_budget(priced):
    matrix = np.zeros((7, 7))
    matrix[3, 2] = 1  # bn of a is like conv2 of b
    priced = compared(priced, matrix)
    plan = Select(min_share=0)(priced)
    assert [c.adapter for c in plan.choice] == ["conv3x3", "linear"]  # the most expensive first
    assert {(c.front, c.back) for c in plan.choice} == {((0, 3), (1, 2))}
    best = plan.candidates[int(plan.candidates.order[0])]
    assert (best.front, best.back) == (plan.choice[0].front, plan.choice[0].back)
    between = plan.choice[0].price["macs"] - 1
    assert [c.adapter for c in Select(budget={"macs": between}, front="relu2", back="relu2")(priced).choice] == [
        "linear"
    ]
    assert {c.adapter for c in Select(adapter="linear")(priced).choice} == {"linear"}


def test_a_pair_without_parameters_on_one_side_is_no_stitch():
    class Late(Plain):
        """Nothing to learn before `relu0`, nor after `drop`."""

        def __init__(self):
            super().__init__()
            self.relu0, self.drop, self.last = Plain().relu1, Plain().relu1, Plain().relu1

        def forward(self, x):
            return self.last(self.drop(super().forward(self.relu0(x))))

    plan = Cost(adapters=("linear",))(plan_of(Late(), Late(), cuts=("relu0", "conv1", "relu2", "drop")))
    plan = compared(plan, np.eye(4))
    ranked = {(front, back) for front, back, _ in rows(Select()(plan))}
    assert {front for front, _ in ranked} == {"conv1", "relu2"}  # `drop` is a vector, and what expects one ends nothing
    assert {back for _, back in ranked} == {"relu0", "conv1", "relu2"}
    assert {front for front, _, _ in rows(Select(front="relu0")(plan))} == {"relu0"}


def test_what_is_nearly_one_parent_comes_behind_every_real_mix(priced):
    """Likeness alone may choose cuts where all the work is left to one side."""

    def smaller_share(c):
        before, after = priced.cuts[0][c.front[1]].before, priced.cuts[1][c.back[1]].after
        return min(before["macs"], after["macs"]) / c.price["macs"]

    every = [priced.candidates[row] for row in range(len(priced.candidates))]
    share = sorted(smaller_share(c) for c in every)[len(every) * 3 // 4]
    lopsided = min(every, key=smaller_share)
    matrix = np.zeros((7, 7))
    matrix[lopsided.front[1], lopsided.back[1]] = 1.0
    by_likeness = Select(min_share=0)(compared(priced, matrix))
    mixed = Select(min_share=share)(compared(priced, matrix))
    assert smaller_share(by_likeness.choice[0]) < share <= smaller_share(mixed.choice[0])
    shares = [smaller_share(mixed.candidates[int(row)]) >= share for row in mixed.candidates.order]
    assert shares == sorted(shares, reverse=True) and len(set(shares)) == 2
    assert set(mixed.candidates.order.tolist()) == set(by_likeness.candidates.order.tolist())
    assert mixed.notes == ()
    assert "less than 90%" in Select(min_share=0.9)(compared(priced, matrix)).notes[0]


def test_equals_are_ordered_by_what_they_take_and_then_by_place(priced):
    plan = Select(min_share=0)(compared(priced, np.full((7, 7), 0.5)))
    table = plan.candidates
    ranked = [(table[int(r)].price["macs"], table[int(r)].price["params"]) for r in table.order]
    assert ranked == sorted(ranked)
    noisy = np.full((7, 7), 0.5) + np.random.default_rng(0).normal(size=(7, 7)) * 1e-9
    assert rows(Select(min_share=0)(compared(priced, noisy))) == rows(plan)


def test_an_undefined_similarity_comes_last(priced):
    matrix = np.arange(49).reshape(7, 7) / 49
    matrix[4, 4] = np.nan
    ranked = rows(Select(min_share=0)(compared(priced, matrix)))
    assert {r[:2] for r in ranked[-2:]} == {("relu2", "relu2")}


def test_the_direction_does_not_mix_up_rows_and_columns(priced):
    plan = Cost(direction="both")(plan_of(Plain(8), Plain(4)))
    plan = Select()(compared(plan, priced.similarity[0].matrix))
    for row in range(len(plan.candidates)):
        c = plan.candidates[row]
        i, j = (c.front[1], c.back[1]) if c.front[0] == 0 else (c.back[1], c.front[1])
        assert c.similarity == priced.similarity[0].matrix[i, j]


def test_a_cut_is_named_by_node_path_or_index(priced):
    cuts = priced.cuts[0].cuts
    assert [find_cut(cuts, word) for word in ("relu2", "path.relu2", "4", 4)] == [4] * 4
    assert find_cut(cuts, "7") is None and find_cut(cuts, "relu") is None
    plan = Select(front="relu2", back="1")(priced)
    assert {r[:2] for r in rows(plan)} == {("relu2", "relu1")}
    assert {front for front, _, _ in rows(Select(front="bn")(priced))} == {"bn"}


def test_a_path_that_several_cuts_have_is_refused_by_naming_them(priced):
    twice = [replace(cut, path="stage") for cut in priced.cuts[0].cuts[:2]]
    with pytest.raises(CutError, match="the path of 2 cuts") as caught:
        find_cut(twice, "stage")
    assert "'conv1', 'relu1'" in caught.value.hint


def test_a_cut_that_does_not_exist_is_refused_with_what_is_near(priced):
    with pytest.raises(CutError, match="'rellu2' is no cut of a") as caught:
        Select(front="rellu2")(priced)
    assert "Did you mean 'relu2'" in caught.value.hint and "a has 7 cuts, 0 to 6" in caught.value.hint
    with pytest.raises(CutError, match="'99' is no cut of b"):
        Select(back=99)(priced)


def test_two_given_cuts_need_no_similarity(priced):
    bare = replace(priced, similarity=())
    plan = Select(front="relu2", back="relu1")(bare)
    assert [c.front[1] for c in plan.choice] == [4, 4] and np.isnan(plan.choice[0].similarity)
    with pytest.raises(PipelineError, match="needs similarity"):
        Select(front="relu2")(bare)


def test_given_cuts_that_no_adapter_joins_are_refused_with_its_reason(priced):
    with pytest.raises(CutError, match=r"'flat' of a .* cannot be joined to 'conv1' of b .*: linear: .+; conv3x3: .+"):
        Select(front="flat", back="conv1")(priced)


def test_unreachable_budgets_name_the_least_and_who_has_it(priced):
    with pytest.raises(Infeasible) as caught:
        Select(budget={"flops": 1})(priced)
    table = Select()(priced).candidates
    least = int(table.order[np.argmin(table.metric("macs")[table.order])])
    assert caught.value.nearest == {"flops": 2 * table.metric("macs")[least]}
    assert "no stitch of a and b takes at most 1 FLOPs" in caught.value.message
    c = table[least]
    front, back = priced.cuts[0][c.front[1]].node, priced.cuts[1][c.back[1]].node
    assert f"(a up to '{front}', {c.adapter}, b from '{back}')" in caught.value.message
    assert f"flops={2 * c.price['macs']}" in caught.value.hint
    assert Select(budget=caught.value.nearest)(priced).choice[0].price["flops"] == caught.value.nearest["flops"]


def test_of_several_budgets_the_binding_one_is_named(priced):
    with pytest.raises(Infeasible) as caught:
        Select(budget={"flops": "100%", "params": 1})(priced)
    assert "the least is" in caught.value.message and caught.value.message.count("the least") == 1
    assert "params=" in caught.value.hint and "flops=" not in caught.value.hint


def test_of_budgets_that_nothing_meets_alone_every_one_must_be_raised(priced):
    with pytest.raises(Infeasible) as caught:
        Select(budget={"macs": 1, "params": 1})(priced)
    nearest = caught.value.nearest
    assert f"macs={nearest['macs']} and params={nearest['params']} at least" in caught.value.hint


def test_a_budget_that_is_missed_by_one_is_not_written_as_what_is_had(priced):
    with pytest.raises(Infeasible) as caught:
        Select(budget={"macs": 1})(priced)
    least = caught.value.nearest["macs"]
    with pytest.raises(Infeasible) as caught:
        Select(budget={"macs": least - 1})(priced)
    asked, had = re.search(r"at most (\S+ ?\S*MACs); the least is (\S+ ?\S*MACs)", caught.value.message).groups()
    assert asked != had


def test_budgets_that_can_be_met_alone_but_not_together_say_so(priced):
    contrary = priced.candidates.with_amounts(params=10**6 - priced.candidates.metric("macs"))
    plan = replace(priced, candidates=contrary)
    ranked = Select()(plan).candidates.order
    cheap, small = (int(column[ranked].min()) for column in (contrary.metric("macs"), contrary.metric("params")))
    with pytest.raises(Infeasible, match="alone, but not together") as caught:
        Select(budget={"macs": cheap, "params": small})(plan)
    assert caught.value.nearest == {"macs": 10**6 - small, "params": 10**6 - cheap}
    assert Select(budget={"macs": 10**6 - small, "params": small})(plan).choice


def test_words_that_are_none_are_refused(priced):
    with pytest.raises(InputError, match="no rank"):
        Select(rank="ckaa")(priced)
    with pytest.raises(CutError, match="'liner' is no adapter"):
        Select(adapter="liner")(priced)
    with pytest.raises(QuantityError, match="no metric"):
        Select(budget={"flop": 1})(priced)
    with pytest.raises(CutError, match="priced with linear, not with 'conv3x3'"):
        plan = Cost(adapters=("linear",))(plan_of(Plain(8), Plain(4)))
        Select(adapter="conv3x3")(compared(plan, np.zeros((7, 7))))


def test_networks_that_nothing_joins_are_refused():
    with pytest.raises(CutError, match="no two cuts of a and b"):
        Select()(Cost()(plan_of(Plain(), Plain(), cuts=())))


def test_the_choice_survives_json(priced):
    plan = Select(budget={"flops": "90%"})(priced)
    assert Plan.from_json(plan.to_json()) == plan


def test_selecting_twice_selects_the_same(priced):
    assert Select(min_share=0)(Select(budget={"flops": "60%"}, min_share=0)(priced)) == Select(min_share=0)(priced)
