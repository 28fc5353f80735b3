"""What torch keeps of graphs: after a pipeline the texts of those alone that the plan holds, and nothing of exports."""

from __future__ import annotations

import gc
import linecache
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.fx import GraphModule, symbolic_trace

from stitchc.passes import Pipeline, Plan
from stitchc.passes.data.kept_by_torch import texts
from stitchc.passes.pipeline import Pass
from stitchc.passes.trace.export import export as export_graph


def network() -> GraphModule:
    return symbolic_trace(nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU()))


@dataclass(frozen=True)
class Wasteful(Pass):
    """Makes many graphs, and keeps one."""

    name: ClassVar[str] = "wasteful"
    ensures: ClassVar[tuple[str, ...]] = ("graphs",)
    fails: bool = False

    def run(self, plan):
        from dataclasses import replace

        made = [network() for _ in range(20)]
        if self.fails:
            raise RuntimeError("no")
        return replace(plan, graphs=(made[0],))


def test_a_pipeline_leaves_the_texts_of_the_plans_graphs_alone():
    mine = network()
    before = texts()
    plan = Pipeline([Wasteful()])(Plan.of(nn.Identity(), images=torch.zeros(2, 1, 8, 8)))
    (left,) = texts() - before
    assert left == type(plan.graphs[0]).forward.__code__.co_filename
    for graph in (mine, plan.graphs[0]):  # a traceback still shows their lines
        assert any(
            "conv" in line or "self" in line for line in linecache.getlines(type(graph).forward.__code__.co_filename)
        )


def test_one_that_fails_leaves_none():
    before = texts()
    with pytest.raises(RuntimeError, match="no"):
        Pipeline([Wasteful(fails=True)])(Plan.of(nn.Identity(), images=torch.zeros(2, 1, 8, 8)))
    assert texts() <= before


def test_the_text_of_a_plans_graph_goes_with_the_graph():
    before = texts()
    plan = Pipeline([Wasteful()])(Plan.of(nn.Identity(), images=torch.zeros(2, 1, 8, 8)))
    assert len(texts() - before) == 1
    del plan
    gc.collect()
    assert texts() <= before


def test_exports_go_when_nobody_needs_them():
    """But for the last one, to which torch holds on until the next."""
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    def export():
        export_graph(nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten()), (1, 8, 8))
        Pipeline([Wasteful()])(Plan.of(nn.Identity(), images=torch.zeros(2, 1, 8, 8)))
        gc.collect()
        return sum(type(one) is ShapeEnv for one in gc.get_objects())

    once = export()
    assert max(export() for _ in range(3)) <= once
