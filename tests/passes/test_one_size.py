"""A network at several input sizes is represented once, where that is asked for."""

from dataclasses import replace

import numpy as np
import torch
from small_nets import Plain

from stitchc.passes import InputSpec, Model, Partition, Pipeline, Plan, Represent, Similarity, Trace


def test_a_network_at_several_sizes_is_represented_by_the_first_where_that_is_asked_for():
    torch.manual_seed(0)
    spec = InputSpec((3, 8, 8), (0.0,) * 3, (1.0,) * 3)
    given = [Model(name, spec, module=Plain(width).eval()) for name, width in (("a", 4), ("b", 6))]
    at_both = Plan.of(*given, *(one.at((3, 6, 6)) for one in given), images=torch.randn(32, 3, 8, 8))
    plan = Pipeline([Trace(), Partition()])(at_both)
    seen = []
    one = Similarity(one_size=True, progress=lambda done, total: seen.append((done, total)))(plan)
    each = Similarity()(plan)
    own, others = ({(pair.a, pair.b): pair.matrix for pair in made.similarity} for made in (one, each))
    assert np.array_equal(own[0, 1], others[0, 1]) and np.array_equal(own[2, 3], own[0, 1])
    assert not np.allclose(others[2, 3], others[0, 1])
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_network_with_other_cuts_at_another_size_is_represented_there():
    torch.manual_seed(0)
    given = Model("a", InputSpec((3, 8, 8), (0.0,) * 3, (1.0,) * 3), module=Plain(4).eval())
    plan = Pipeline([Trace(), Partition()])(Plan.of(given, given.at((3, 6, 6)), images=torch.randn(32, 3, 8, 8)))
    less = replace(plan.cuts[0], cuts=plan.cuts[0].cuts[1:])
    plan = replace(plan, cuts=(less, plan.cuts[1]))
    alike, own = (Represent(one_size=one_size)(plan).representations[1].vectors for one_size in (True, False))
    assert torch.equal(alike, own)
