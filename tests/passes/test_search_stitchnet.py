"""Algorithm 1 of StitchNet gives what a plain reading of the paper gives, written out here on whole networks."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stitchc.passes import Chain, Cost, Fragment, Partition, Pipeline, Plan, Represent, Trace
from stitchc.passes.cost.chains import price_of
from stitchc.passes.data.errors import InputError
from stitchc.passes.graphs.compose import fragment, values_at
from stitchc.passes.search.stitchnet import Algorithm1, Piece, ranked
from stitchc.passes.stitch.join import graph_of
from stitchc.zoo import images, load

NAMES = ("resnet", "plain", "vit", "convnext")
WIDTH, THRESHOLD, LONGEST = 2, 0.5, 16


def analysed(*models, shown) -> Plan:
    passes = [Trace(), Partition(rule="stitchnet"), Cost(adapters=()), Represent(metric="cka", batch=len(shown))]
    return Pipeline(passes)(Plan(tuple(models), images=shown))


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plan() -> Plan:
    return analysed(*(load(f"digits/{name}") for name in NAMES), shown=images("digits?limit=32"))


@pytest.fixture(scope="module")
def found(plan):
    run = Algorithm1(plan, WIDTH, THRESHOLD, LONGEST)
    assert not run.run()
    return run.found


class Reference:
    """The algorithm line by line. A network so far is a list of callables; X and Y are taken from whole runs of it and
    of the candidate's own network, and nothing is kept between steps."""

    def __init__(self, plan: Plan):
        self.plan, self.results = plan, {}
        self.images = [next(iter(plan.images.batches(model.input, 64))) for model in plan.models]
        self.inputs = {}  # Y of every fragment but the starting ones
        for m, cuts in enumerate(plan.cuts):
            values = values_at(plan.graphs[m], [cut.node for cut in cuts.cuts])(self.images[m])
            self.inputs |= {(m, k + 1): value for k, value in enumerate(values)}

    def run(self):
        for m in range(len(self.plan.models)):
            self.recurse([(m, 0)], [self.part(m, 0, None)], 1.0)
        return self.results

    def recurse(self, pieces, parts, score):
        if len(pieces) >= LONGEST:
            return
        x = self.images[pieces[0][0]]
        for part in parts:
            x = part(x)
        scores = {piece: cka(x, y) for piece, y in self.inputs.items() if self.fits(x, y, pieces[-1], piece)}
        for piece in sorted(scores, key=scores.get, reverse=True)[:WIDTH]:
            new = score * scores[piece]
            if new <= THRESHOLD:
                continue
            m, k = piece
            if piece == (pieces[-1][0], pieces[-1][1] + 1):
                longer = [*parts, self.part(m, k, None)]
            else:
                longer = [*parts, like(self.inputs[piece]), self.part(m, k, projection(x, self.inputs[piece]))]
            if k == len(self.plan.cuts[m]):
                self.results[(*pieces, piece)] = new
            else:
                self.recurse([*pieces, piece], longer, new)

    def fits(self, x, y, last, piece):
        """Tokens and maps are never joined by the fused projection, whose first operators read maps or vectors."""
        return piece == (last[0], last[1] + 1) or not (x.dim() == 2 and y.dim() == 4)

    def part(self, m, k, matrix):
        """Fragment k of model m, with a projection multiplied into the first layers: W' = W A."""
        cuts, graph = self.plan.cuts[m], self.plan.graphs[m]
        start = cuts[k - 1].node if k else None
        whole = fragment(graph, start, cuts[k].node if k < len(cuts) else None)
        if matrix is None:
            return whole
        whole = __import__("copy").deepcopy(whole)
        first = next(node for node in whole.graph.nodes if node.op == "placeholder")
        for reader in first.users:
            if reader.op != "call_module":
                continue
            layer = whole.get_submodule(reader.target)
            with torch.no_grad():
                layer.weight = nn.Parameter(torch.einsum("oj...,jk->ok...", layer.weight, matrix))
        return whole


def cka(x, y):
    """Equation 1, of flattened values: |cov(X'X, Y'Y)|^2 over the norms."""
    grams = []
    for value in (x, y):
        flat = value.flatten(1).double()
        gram = flat @ flat.T
        grams.append(gram - gram.mean(0) - gram.mean(1, keepdim=True) + gram.mean())
    return float((grams[0] * grams[1]).sum() / (grams[0].norm() * grams[1].norm()))


def like(y):
    """Brings a value to the size of another: resized, or averaged over all pixels before a vector."""

    def convert(x):
        if x.dim() == 4 and y.dim() == 4:
            return F.interpolate(x, y.shape[2:], mode="bilinear") if x.shape[2:] != y.shape[2:] else x
        return x.mean((2, 3)) if x.dim() == 4 else x

    return convert


def projection(x, y):
    """Equation 2: the Moore-Penrose pseudoinverse, of pixels as rows."""
    x = like(y)(x)
    rows = [v.movedim(1, -1).flatten(0, -2).double().numpy() if v.dim() == 4 else v.double().numpy() for v in (x, y)]
    return torch.from_numpy((np.linalg.pinv(rows[0], rcond=1e-5) @ rows[1]).T).float()


def test_the_set_of_networks_is_that_of_the_algorithm_written_out(plan, found):
    with torch.no_grad():
        wanted = Reference(plan).run()
    assert {tuple(map(tuple, one.pieces)) for one in found} == set(wanted)
    for one in found:
        assert one.score == pytest.approx(wanted[tuple(map(tuple, one.pieces))], abs=2e-3)


def test_networks_obey_the_hyperparameters(plan, found):
    assert all(one.score > THRESHOLD and len(one.pieces) <= LONGEST for one in found)
    assert all(
        one.pieces[0].number == 0 and one.pieces[-1].number == len(plan.cuts[one.pieces[-1].model]) for one in found
    )
    fewer = Algorithm1(plan, WIDTH, 0.8, 6)
    fewer.run()
    assert {one.pieces for one in fewer.found} == {
        one.pieces for one in found if one.score > 0.8 and len(one.pieces) <= 6
    }


def test_a_span_of_a_model_has_no_stitch_and_a_model_alone_scores_one(plan, found):
    for one in found:
        seams = [(a, b) for a, b in pairwise(one.pieces) if b != (a.model, a.number + 1)]
        assert len(seams) == len(one.adapters) == len(one.chain.fragments) - 1
    whole = [one for one in found if not one.adapters]
    assert {one.chain for one in whole} == {Chain((Fragment(m),)) for m in range(len(plan.models))}
    assert all(one.score == pytest.approx(1, abs=1e-5) for one in whole)


def test_a_network_is_what_it_was_scored_as(plan, found):
    """Composed again as a chain it is the same network, with the parameters that its price says: a fused projection
    takes none of its own."""
    for one in sorted((one for one in found if one.adapters), key=lambda one: one.score)[:6]:
        graph = graph_of(plan, one.chain, one.adapters)
        assert sum(p.numel() for p in graph.parameters()) == one.price["params"] == price_of(plan, one.chain)["params"]
        assert graph(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_repeats_can_be_forbidden(plan):
    for repeats in ("none", "forward"):
        run = Algorithm1(plan, WIDTH, THRESHOLD, LONGEST, repeats=repeats)
        run.run()
        for one in run.found:
            models = [f.model for f in one.chain.fragments]
            assert len(set(one.pieces)) == len(one.pieces)
            assert repeats == "forward" or len(set(models)) == len(models)


def test_the_start_and_the_candidates_can_be_chosen(plan):
    params = [plan.parts[m].spans.piece(None, 0).sums["params"] for m in range(len(plan.models))]
    for start, choose in (("smallest", min), ("largest", max)):
        (piece,) = Algorithm1(plan, start=start).starting()
        assert piece == Piece(params.index(choose(params)), 0)
    run = Algorithm1(plan, width=1, threshold=0.0, longest=4, candidates="params")
    run.run()
    least = min(run.pieces(), key=lambda p: (p.number == 0, run._amount(p, "params")))
    assert all(one.pieces[1] == least for one in run.found)
    for given in ({"start": "best"}, {"candidates": "macs"}):
        with pytest.raises(InputError, match="choice of"):
            Algorithm1(plan, **given)


def test_chains_are_ranked_by_score_each_once(found):
    best = ranked(found)
    assert len({one.chain for one in best}) == len(best) and {one.chain for one in best} == {one.chain for one in found}
    assert all(a.score >= b.score for a, b in pairwise(best))


def test_an_interruption_keeps_what_was_found(plan):
    def stop(done, total, said):
        if done == 3:
            raise KeyboardInterrupt

    run = Algorithm1(plan, progress=stop)
    assert run.run() and len(run.found) == 3
