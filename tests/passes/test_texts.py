"""torch.fx keeps the text of each graph module: after a pipeline, of those alone that the plan holds."""

from __future__ import annotations

import linecache
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.fx import GraphModule, symbolic_trace

from stitchc.passes import Pipeline, Plan
from stitchc.passes.data import texts
from stitchc.passes.pipeline import Pass


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
    before = texts.known()
    plan = Pipeline([Wasteful()])(Plan.of(nn.Identity(), images=torch.zeros(2, 1, 8, 8)))
    (left,) = texts.known() - before
    assert left == type(plan.graphs[0]).forward.__code__.co_filename
    for graph in (mine, plan.graphs[0]):  # a traceback still shows their lines
        assert any(
            "conv" in line or "self" in line for line in linecache.getlines(type(graph).forward.__code__.co_filename)
        )


def test_one_that_fails_leaves_none():
    before = texts.known()
    with pytest.raises(RuntimeError, match="no"):
        Pipeline([Wasteful(fails=True)])(Plan.of(nn.Identity(), images=torch.zeros(2, 1, 8, 8)))
    assert texts.known() == before
