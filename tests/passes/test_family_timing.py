"""Latency of chains from times measured elsewhere."""

from dataclasses import replace

import pytest
import torch
from nets import Small, randomised

from stitchc.passes import Cost, Partition, Pipeline, Plan, Trace
from stitchc.passes.data.chain import Chain, Fragment
from stitchc.passes.data.errors import CutError, InputError
from stitchc.passes.family.timing import Times
from stitchc.passes.stitch.stated import stated


@pytest.fixture(scope="module")
def plan() -> Plan:
    models = [randomised(Small()), randomised(Small())]
    images = torch.randn(4, 3, 8, 8)
    found = Pipeline([Trace(frontend="record"), Partition(), Cost(adapters=())])(Plan.of(*models, images=images))
    return replace(found, models=tuple(replace(m, name=name) for m, name in zip(found.models, "ab", strict=True)))


def test_a_model_takes_what_was_measured_and_a_part_its_share(plan):
    cut = plan.cuts[0][0]
    share = cut.before["macs"] / plan.prices[0]["macs"]
    times = Times.of(plan, {"a": {"output": 10.0}, "b": {"output": 4.0}}, "here")
    assert times.of_chain(plan, Chain((Fragment(0),))) == pytest.approx(10)
    chain = stated(plan, f"A:..{cut.node} / identity / B:{cut.node}..", "auto")[0].chain
    assert times.of_chain(plan, chain) == pytest.approx(share * 10 + (1 - share) * 4)


def test_a_time_at_a_cut_counts_more_than_the_macs(plan):
    cut = plan.cuts[0][0]
    times = Times.of(plan, {"a": {cut.node: 9.0, "output": 10.0}, "b": {cut.node: 1.0, "output": 4.0}}, "here")
    chain = stated(plan, f"A:..{cut.node} / identity / B:{cut.node}..", "auto")[0].chain
    assert times.of_chain(plan, chain) == pytest.approx(9 + 3)
    dearer = stated(plan, f"A:..{cut.node} / conv3x3 / B:{cut.node}..", "auto")[0].chain
    assert times.of_chain(plan, dearer) > 12  # an adapter takes time


def test_what_cannot_be_is_refused(plan):
    cut = plan.cuts[0][0].node
    with pytest.raises(InputError, match="output of b"):
        Times.of(plan, {"a": {"output": 1.0}}, "here")
    with pytest.raises(CutError, match="nonesuch"):
        Times.of(plan, {"a": {"output": 1.0, "nonesuch": 0.5}, "b": {"output": 1.0}}, "here")
    with pytest.raises(InputError, match="fall"):
        Times.of(plan, {"a": {cut: 2.0, "output": 1.0}, "b": {"output": 1.0}}, "here")
