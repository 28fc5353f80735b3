"""Latency is additive in what was measured, is measured once, and holds the choice to it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from nets import Small
from torch import nn

from stitchc.passes import Cost, Latency, Partition, Pipeline, Plan, Select, Stitch, TimeCandidates, Trace
from stitchc.passes.data.errors import Infeasible, InputError, PipelineError
from stitchc.passes.latency import adapter_times, clock, profile


class Memory(dict):
    """A store that counts what it is asked."""

    def read(self, key):
        return self.get(key)

    write = dict.__setitem__


@pytest.fixture(scope="module")
def plan():
    nets = Small(8).eval(), Small(6).eval()
    priced = Pipeline([Trace(check=()), Partition(), Cost(direction="both")])(
        Plan.of(*nets, images=torch.zeros(2, 3, 8, 8))
    )
    return priced


@pytest.fixture
def quick(monkeypatch):
    """Every run takes as long as the machine likes, however busy it is; here, fewer of them."""
    monkeypatch.setattr(clock, "_BUSY", float("inf"))
    monkeypatch.setattr(clock, "_SECONDS", 0.0)
    monkeypatch.setattr(clock, "_WARM_SECONDS", 0.0)
    monkeypatch.setattr(adapter_times, "_SECONDS", 0.0)
    monkeypatch.setattr(adapter_times, "MEASURED", 2)


def test_a_candidate_takes_its_segments_and_its_adapter(plan, quick):
    timed = Latency(store=Memory())(plan)
    for cuts, price in zip(timed.cuts, timed.prices, strict=True):
        before = [cut.before["latency"] for cut in cuts.cuts]
        assert before == sorted(before) and before[0] > 0
        for cut in cuts.cuts:
            assert cut.before["latency"] + cut.after["latency"] == pytest.approx(price["latency"])
    table = timed.candidates
    for row in range(0, len(table), 97):
        (a, i), (b, j) = table[row].front, table[row].back
        fragments = timed.cuts[a][i].before["latency"] + timed.cuts[b][j].after["latency"]
        assert table[row].price["latency"] >= fragments


def test_what_was_measured_is_kept_by_all_that_it_depends_on(plan, quick, monkeypatch):
    store = Memory()
    first = Latency(store=store)(plan)
    known = len(store)
    assert known >= 2 and Latency(store=store)(plan) == first and len(store) == known
    monkeypatch.setattr(profile, "device_name", lambda device: "another machine")
    Latency(store=store)(plan)
    assert len(store) == 2 * known


def test_what_was_measured_on_a_busy_machine_is_told_and_not_kept(plan, quick, monkeypatch):
    monkeypatch.setattr(clock, "_BUSY", -1.0)
    store = Memory()
    timed = Latency(store=store)(plan)
    assert not store and timed.notes[-1].startswith("Latency was measured on a busy machine")
    assert all(model.name in timed.notes[-1] for model in plan.models) and timed.prices[0]["latency"] > 0


def test_adapters_that_were_not_measured_follow_their_figures():
    features = np.array([[1.0, m, b] for m in (0, 5, 50) for b in (1, 10)])
    times = features @ [0.5, 0.2, 0.0]
    found = adapter_times._fit(features / times[:, None])
    assert found == pytest.approx([0.5, 0.2, 0.0], abs=1e-9)
    assert (adapter_times._fit(-features) >= 0).all()


def test_a_timing_says_what_and_where():
    timing = clock.measure(nn.Identity(), torch.zeros(1), seconds=0.01)
    assert timing.runs >= 11 and 0 < timing.median_ms < 1000 and timing.iqr_ms >= 0
    assert timing.device.startswith("cpu: ") and timing.threads == torch.get_num_threads()


def predicted(plan, *milliseconds):
    """The plan with a few ranked candidates of which these latencies are predicted."""
    table = plan.candidates
    latency = np.full(len(table), 1e6)
    latency[: len(milliseconds)] = milliseconds
    return replace(
        plan, candidates=replace(table, amounts={**table.amounts, "latency": latency}, similarity=np.zeros(len(table)))
    )


def test_the_choice_is_held_to_what_was_measured(plan, monkeypatch):
    ready = Select(budget={"latency": "5ms"}, front=0, back=0)(predicted(plan, *[1.0] * len(plan.candidates)))
    order = ready.candidates.order.tolist()
    took = iter([9.0, 4.0, *[4.0] * 30])
    monkeypatch.setattr(clock, "measure", lambda *_, **__: clock.Timing(next(took), 0.1, 11, "cpu: x", 1))
    done = TimeCandidates(size=2)(ready)
    assert [t.row for t in done.timed] == order[:2] and [t.measured_ms for t in done.timed] == [9.0, 4.0]
    assert done.timed[0].predicted_ms == 1.0
    (chosen,), second = done.choice, done.candidates[order[1]]
    assert (chosen.front, chosen.back, chosen.adapter) == (second.front, second.back, second.adapter)
    assert not done.candidates.feasible[order[0]]
    assert done.candidates.order.tolist() == order[1:]
    assert chosen.price["latency"] == Stitch()(done).hybrid.price["latency"] == 4.0  # as measured, not as predicted


def test_of_several_adapters_none_is_left_that_misses_the_budget_when_measured(plan, monkeypatch):
    ready = Select(budget={"latency": "5ms"}, front=0, back=0)(predicted(plan, *[1.0] * len(plan.candidates)))
    first, second = (ready.candidates[row].chain for row in ready.candidates.order[:2])
    assert {candidate.chain for candidate in ready.choice} == {first, second}
    took = iter([4.0, 9.0])
    monkeypatch.setattr(clock, "measure", lambda *_, **__: clock.Timing(next(took), 0.1, 11, "cpu: x", 1))
    done = TimeCandidates(size=2)(ready)
    assert [candidate.chain for candidate in done.choice] == [first]


def test_when_nothing_holds_the_budget_the_least_is_said(plan, monkeypatch):
    ready = Select(budget={"latency": "5ms"}, front=0, back=0)(predicted(plan, *[1.0] * len(plan.candidates)))
    monkeypatch.setattr(clock, "measure", lambda *_, **__: clock.Timing(7.0, 0.1, 11, "cpu: x", 1))
    with pytest.raises(Infeasible, match=r"measured none does; the least is 7\.00 ms") as caught:
        TimeCandidates(size=2, most=3)(ready)
    assert caught.value.nearest == {"latency": 7.0} and "7.14ms" in caught.value.hint


def test_a_budget_that_no_prediction_meets_names_the_least(plan):
    with pytest.raises(Infeasible, match=r"the least is 3\.00 ms") as caught:
        Select(budget={"latency": "2ms"}, front=0, back=0)(predicted(plan, *[3.0] * len(plan.candidates)))
    assert "latency=3.03ms" in caught.value.hint
    with pytest.raises(PipelineError, match="needs the pass 'latency'"):
        Select(budget={"latency": "2ms"}, front=0, back=0)(plan)


def test_words_that_are_no_backend_are_refused(plan):
    with pytest.raises(InputError, match="no value of `backend`") as caught:
        Latency(backend="onnx")(plan)
    assert "onnxruntime" in caught.value.hint


@pytest.mark.slow
def test_another_backend_takes_the_same_shares_of_its_own_time(plan, quick):
    eager, other = (Latency(backend=b, store=Memory())(plan) for b in ("eager", "onnxruntime"))
    assert all(price["latency"] > 0 for price in other.prices)
    assert len(other.candidates) == len(eager.candidates)
