"""A pool of models as a space: its costs are those of the networks, its losses what stitched networks were seen to
lose."""

import copy
import random
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from nets import Small, Tokens, randomised
from small_nets import Shared

from stitchc.passes import Chain, Cost, Fragment, Partition, Pipeline, Plan, Represent, TensorImages, Trace
from stitchc.passes.cost.chains import price_of
from stitchc.passes.data.healing import Options
from stitchc.passes.fit.normal_equations import Prefix
from stitchc.passes.search import pool as pools
from stitchc.passes.search.chains import Tree
from stitchc.passes.search.effort import SearchEffort
from stitchc.passes.search.exact import diverse
from stitchc.passes.search.lazy import Lazy
from stitchc.passes.search.losses import Predictor, Trust, similarities
from stitchc.passes.search.pool import Pool, lost
from stitchc.passes.search.probe import Probe
from stitchc.passes.search.space import Route
from stitchc.passes.stitch.join import graph_of
from stitchc.passes.stitch.stated import stated, words_of

IMAGES = torch.randn(96, 3, 8, 8, generator=torch.Generator().manual_seed(0))
ADAPTERS = ("identity", "linear", "conv3x3", "fused")


def analysed(*modules, rule: str = "single-tensor") -> Plan:
    passes = [Trace(), Partition(rule=rule), Cost(adapters=()), Represent()]
    return Pipeline(passes)(Plan.of(*modules, images=IMAGES))


@pytest.fixture(scope="module")
def plan() -> Plan:
    return analysed(randomised(Small(4)), randomised(Small(6)), randomised(Tokens()))


@pytest.fixture(scope="module")
def probe(plan) -> Probe:
    return Probe(Pool.of(plan, ("linear", "identity")), SearchEffort.of("low"))


def some_routes(space, count: int, longest: int = 3) -> list[Route]:
    """Routes of one to `longest` seams, drawn at random."""
    draw, found = random.Random(0), list[Route]()
    while len(found) < count:
        seams: list[int] = []
        for _ in range(draw.randint(1, longest)):
            at = int(space.target[seams[-1]]) if seams else None
            open_to = [k for k in range(len(space.source)) if at is None or (
                space.model[space.source[k]] == space.model[at] and space.source[k] > at)]  # fmt: skip
            if open_to:
                seams.append(draw.choice(open_to))
        found.append(Route(int(space.model[space.source[seams[0]]]), tuple(seams)))
    return found


def nothing_lost(pool: Pool):
    return pool.space(np.zeros(len(pool)), np.zeros(len(pool.plan.models)))


@pytest.mark.parametrize("rule", ["single-tensor", "stitchnet"])
def test_the_cost_of_a_route_is_the_price_of_its_chain(rule):
    """To the integer, in every metric that adds up, also where a tensor is needed on both sides of a cut and where a
    folded adapter takes weights away."""
    pool = Pool.of(analysed(randomised(Small(4)), Shared(), randomised(Tokens()), rule=rule), ADAPTERS, repeats=True)
    space = nothing_lost(pool)
    assert {"params", "macs", "flops"} <= set(space.metrics) and (space.seam_cost < 0).any()
    for route in some_routes(space, 60):
        cost, _ = space.price(route)
        price = price_of(pool.plan, pool.chain(route))
        assert dict(zip(space.metrics, cost, strict=True)) == {name: price[name] for name in space.metrics}


def test_fragments_are_differences_of_work_and_what_both_sides_of_a_cut_need():
    plan = analysed(Shared())
    work, twice, cuts = pools.work(plan), pools.twice(plan, 0), len(plan.cuts[0])
    assert twice.any(), "the network has a convolution that is used on both sides of its cuts"
    for start, end in product(range(cuts), range(cuts + 1)):
        if start < end:
            piece = plan.parts[0].spans.piece(start, end if end < cuts else None).sums
            found = work[end + 1] - work[start + 1] + twice[start]
            assert found.tolist() == [piece["params"], piece["macs"]]


def test_seams_of_a_pool(plan):
    pool = Pool.of(plan, ADAPTERS)
    seams = [pool.seam(row) for row in range(len(pool))]
    same = [seam for seam in seams if seam.leaves.model == seam.enters.model]
    assert same and all(seam.leaves.cut < seam.enters.cut for seam in same), "layers are left out, and none run twice"
    cuts = [(plan.cuts[seam.leaves.model], seam) for seam in same]
    assert all(c[seam.leaves.cut].before["macs"] < c[seam.enters.cut].before["macs"] for c, seam in cuts)
    assert all(s.leaves.model == s.enters.model for s in seams if s.adapter == "identity")
    looped = Pool.of(plan, ADAPTERS, repeats=True)
    assert any(s.leaves.cut > s.enters.cut for s in map(looped.seam, range(len(looped)))
               if s.leaves.model == s.enters.model)  # fmt: skip
    for seam in seams:
        cut, enters = plan.cuts[seam.leaves.model][seam.leaves.cut], plan.cuts[seam.enters.model][seam.enters.cut]
        assert cut.before["params"] > 0 and enters.after["params"] > 0


def test_between_models_each_gives_a_share(plan):
    share = {}
    for pool in (Pool.of(plan, ("linear",)), Pool.of(plan, ("linear",), min_share=0.3)):
        between = [s for s in map(pool.seam, range(len(pool))) if s.leaves.model != s.enters.model]
        share[len(pool)] = min(
            getattr(plan.cuts[end.model][end.cut], side)["macs"] / plan.prices[end.model]["macs"]
            for seam in between for end, side in ((seam.leaves, "before"), (seam.enters, "after"))
        )  # fmt: skip
    (fewer, held), (more, least) = sorted(share.items())
    assert fewer < more and held >= 0.3 > least


def test_what_leaves_a_part_of_a_model_out_saves_something(plan):
    pool = Pool.of(plan, ADAPTERS)
    inside = [seam for seam in map(pool.seam, range(len(pool))) if seam.leaves.model == seam.enters.model]
    assert inside
    for seam in inside:
        chain = Chain(
            (Fragment(seam.leaves.model, None, seam.leaves.cut), Fragment(seam.enters.model, seam.enters.cut, None)),
            (seam.adapter,),
        )
        price, whole = price_of(plan, chain), plan.prices[seam.leaves.model]
        assert any(price[name] < whole[name] for name in ("params", "macs")), seam


def test_adapters_too_large_to_be_fitted_make_no_seams(plan):
    assert len(Pool.of(plan, ("linear", "conv3x3"), max_memory=60_000)) < len(Pool.of(plan, ("linear", "conv3x3")))


def test_a_route_is_a_chain_and_its_words_are_read_again(plan):
    pool = Pool.of(plan, ADAPTERS)
    for route in some_routes(nothing_lost(pool), 10):
        chain = pool.chain(route)
        assert [candidate.chain for candidate in stated(plan, words_of(plan, chain))] == [chain]
    assert pool.chain(Route(1)) == Chain((Fragment(1),))


def test_losses_add_up_to_what_pairs_and_models_were_seen_to_lose(probe):
    rows = list(range(0, len(probe.pool), 97))
    probe.measure(rows)
    loss = np.nan_to_num(probe.loss)
    space, more = probe.pool.space(loss, probe.deficit), pools.surcharge(loss)
    for model, own in enumerate(probe.own):
        assert space.price(Route(model))[1] == pytest.approx(probe.own.max() - own)
    for row in rows:
        seam = probe.pool.seam(row)
        route = Route(seam.leaves.model, (row,))
        graph = graph_of(probe.pool.plan, probe.pool.chain(route), [probe.fitted[row].adapter])
        said = probe.logits(graph, probe.pool.plan.models[seam.leaves.model].input)
        score = probe.score(said, seam.enters.model).mean()
        assert space.price(route)[1] - more == pytest.approx(probe.own.max() - score, abs=1e-6)
    first, second = next(route for route in some_routes(space, 50) if len(route.seams) == 2).seams
    ends = probe.pool.seam(first).leaves.model, probe.pool.seam(second).enters.model
    both = space.price(Route(ends[0], (first, second)))[1]
    losses = np.nan_to_num(probe.loss)[[first, second]]
    assert both - 2 * more == pytest.approx(lost(losses) + probe.deficit[list(ends)].sum() / 2)
    assert lost(losses) == pytest.approx(0.4 * losses[0] + losses[1]) and lost(losses[:1]) == losses[0]
    assert space.loss.min() >= 0 and pools.surcharge(np.array([0.3, -0.2])) == pytest.approx(0.2)


def test_a_seam_between_twins_loses_nothing():
    twins = [randomised(Small(4)) for _ in range(2)]
    twins[1].load_state_dict(twins[0].state_dict())
    probe = Probe(Pool.of(analysed(*twins), ("linear",)), SearchEffort.of("low"))
    assert probe.deficit.tolist() == [0, 0]
    same = [row for row in range(len(probe.pool)) if probe.pool.seam(row).leaves == (0, probe.pool.seam(row).enters[1])
            and probe.pool.seam(row).enters[0] == 1]  # fmt: skip
    probe.compare(same)
    probe.measure(same)
    assert len(same) > 3 and np.abs(probe.loss[same]).max() < 1e-3 and probe.r2[same].min() > 0.99


def test_what_is_compared_holds_for_all_adapters_of_two_cuts(plan):
    probe = Probe(Pool.of(plan, ("linear", "conv3x3")), SearchEffort.of("low"))
    row = next(k for k in range(len(probe.pool)) if probe.pool.seam(k).adapter == "conv3x3")
    probe.compare([row])
    known = np.flatnonzero(~np.isnan(probe.r2))
    assert row in known and {probe.pool.seam(k).adapter for k in known} == {"linear", "conv3x3"}
    assert len({(probe.pool.seam(k).leaves, probe.pool.seam(k).enters) for k in known}) == 1
    assert len(set(probe.r2[known])) == 1


def test_the_tree_gives_what_each_chain_alone_gives(probe):
    """Adapters fitted seam after seam on the chain so far, whatever the chains share."""
    space = nothing_lost(probe.pool)
    routes = some_routes(space, 8, longest=3)
    routes += [Route(r.model, (*r.seams[:1], *r.seams[1:2])) for r in routes if len(r.seams) > 2]  # their beginnings
    grown = {route: (adapters, scores) for route, adapters, scores in Tree(probe).grown([*routes, Route(0)])}
    assert set(grown) == {*routes, Route(0)}
    plan = probe.pool.plan
    for route, (adapters, scores) in grown.items():
        chain = probe.pool.chain(route)
        spec = plan.input_of(chain)
        said = probe.logits(graph_of(plan, chain, adapters), spec)
        np.testing.assert_allclose(scores, probe.score(said, chain.back.model), atol=1e-4)
        if len(route.seams) == 2:
            prefix = Prefix(graph_of(plan, chain, adapters[:1]), chain.front.model)
            (alone,) = probe.fit([chain.seams()[1]], prefix=prefix, rows=probe.effort.rows)
            for a, b in zip(alone.adapter.parameters(), adapters[1].parameters(), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3)


def test_all_seams_of_the_best_chains_are_probed_and_the_best_healed(plan):
    probe = Probe(Pool.of(plan, ("linear", "identity")), SearchEffort.of("low"))
    limits = {"macs": 0.8 * max(price["macs"] for price in plan.prices)}

    def search(space):
        return [
            one.route for one in diverse(space, 6, 1, fragments=3, budget=limits, repeats="forward") if one.route.seams
        ]

    steps = []
    lazy = Lazy(probe, Predictor(probe.pool, similarities(plan)), search, ("back", Options()),
                progress=lambda done, total, said: steps.append(said))  # fmt: skip
    found = lazy.run()
    assert found.unsettled == 0 or found.probed >= probe.effort.seams
    assert found.probed < len(probe.pool) and not found.stopped
    assert [one.standing for one in found.tried] == sorted((one.standing for one in found.tried), reverse=True)
    assert sum(one.healed is not None for one in found.tried) == min(probe.effort.healed, len(found.tried))
    assert all(one.price["macs"] <= limits["macs"] for one in found.tried) and any("best" in said for said in steps)


def test_an_interrupted_search_returns_the_best_so_far(plan):
    probe = Probe(Pool.of(plan, ("linear",)), SearchEffort.of("low"))

    def search(space):
        return [one.route for one in diverse(space, 6, 1, fragments=2, repeats="none") if one.route.seams]

    def interrupt(done, total, said):
        if said.startswith("stitching") and done == 2:
            raise KeyboardInterrupt

    predictor = Predictor(probe.pool, similarities(plan))
    found = Lazy(probe, predictor, search, progress=interrupt).run()
    assert found.stopped and len(found.tried) == 2

    def at_once(done, total, said):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Lazy(probe, predictor, search, progress=at_once).run()


class Memory(dict):
    """A store that keeps bytes in a dictionary."""

    read, write = dict.get, dict.__setitem__


def test_a_search_that_was_stopped_goes_on(plan, monkeypatch):
    """What was probed before Ctrl-C is not probed again, and the chains are those of a search without it."""
    monkeypatch.setattr("stitchc.passes.search.probe._CHUNK", 6)
    limits = {"macs": 0.8 * max(price["macs"] for price in plan.prices)}

    def searched(store, stop_after=None):
        probe = Probe(Pool.of(plan, ("linear",)), SearchEffort.of("low"), store=store)
        known = sorted(probe.kept.known("loss", range(len(probe.pool))))

        def search(space):
            found = diverse(space, 4, 1, fragments=3, budget=limits, repeats="forward")
            return [one.route for one in found if one.route.seams]

        def progress(done, total, said):
            if said.startswith("probing") and stop_after is not None and done >= stop_after:
                raise KeyboardInterrupt

        lazy = Lazy(probe, Predictor(probe.pool, similarities(plan)), search, progress=progress)
        try:
            found = [(one.chain, pytest.approx(one.score, abs=1e-5)) for one in lazy.run().tried]
        except KeyboardInterrupt:
            found = []
        return found, known, probe

    whole, _, complete = searched(None)
    store = Memory()
    assert searched(store, stop_after=12)[:2] == ([], [])
    again, known, resumed = searched(store)
    assert again == whole and len(known) == 12
    np.testing.assert_allclose(resumed.loss[known], complete.loss[known], atol=1e-6)
    same, known, probe = searched(store)
    assert same == whole and known == np.flatnonzero(~np.isnan(resumed.loss)).tolist()
    first = {seam for route in whole for seam in route[0].seams()[:1]}
    assert {probe.pool.seam(row) for row in probe.fitted} == first, "the first seams of the chains are fitted again"
    (key,) = store
    for damaged in (b"no JSON", b'{"loss": 3}', b'{"loss": {"x": "y"}}'):
        store[key] = damaged
        assert searched(store, stop_after=0)[1] == []


def test_what_is_kept_of_seams_depends_on_models_and_images(plan):
    pool, store = Pool.of(plan, ("linear",)), Memory()
    probe = Probe(pool, SearchEffort.of("low"), store=store)
    probe.measure([0, 1])
    probe.compare([0])

    def known(plan, rule="cascade", adapters=("linear",), effort="low"):
        found = Probe(Pool.of(plan, adapters), SearchEffort.of(effort), rule, store=store)
        return tuple(len(found.kept.known(kind, range(len(found.pool)))) for kind in ("loss", "r2"))

    assert known(plan) == (2, 1)
    assert known(plan, adapters=("linear", "conv3x3"))[0] == 2, "a seam is known by what it joins"
    other = replace(plan, images=TensorImages(IMAGES + 1))
    labelled = replace(plan, images=TensorImages(IMAGES, torch.zeros(96, dtype=torch.int64)))
    assert {known(other), known(labelled), known(plan, "kl"), known(plan, effort="high")} == {(0, 0)}
    assert known(replace(plan, seed=plan.seed + 1)) == (0, 0), "positions are drawn by the seed"
    with torch.no_grad():
        graphs = [copy.deepcopy(graph) for graph in plan.graphs]
        next(graphs[2].parameters()).add_(1e-3)
    assert known(replace(plan, graphs=tuple(graphs))) == (0, 0), "another model of the pool is another pool"


def test_losses_that_follow_from_the_traits_of_seams_are_predicted(plan):
    pool = Pool.of(plan, ("linear", "conv3x3"))
    predictor = Predictor(pool, similarities(plan))
    true = (0.2 + predictor.apart + 0.3 * (1 - predictor.similarity)).clip(0)
    loss = np.full(len(pool), np.nan)
    loss[::9] = true[::9]
    r2 = np.full(len(pool), np.nan)
    found = predictor.predict(loss, r2)
    assert (found[::9] == true[::9]).all() and (found >= min(0, true[::9].min())).all()
    unseen = np.isnan(loss)
    trust = Trust.of(found[unseen], true[unseen])
    assert trust.rank_correlation > 0.95 and trust.error < 0.05
    assert predictor.trust(loss, r2).rank_correlation > 0.9
    assert np.isfinite(predictor.predict(np.full(len(pool), np.nan), r2)).all(), "nothing probed, nothing known"


def test_trust_says_nothing_of_a_few_cases():
    assert Trust.of(np.arange(3.0), np.arange(3.0)) == Trust(3)
    constant = Trust.of(np.ones(20), np.arange(20.0))
    assert constant.rank_correlation is None and constant.error == pytest.approx(8.6)
