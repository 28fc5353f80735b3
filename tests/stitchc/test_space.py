"""`stitchc.space`: what other tools search."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import stitchc
from stitchc.passes.data.errors import InputError, QuantityError
from stitchc.passes.search.chains import Tree

MODELS = ("digits/plain", "digits/small")
FAST = {"effort": "low", "probe_images": 128}


@pytest.fixture(scope="module")
def space():
    return stitchc.space(*MODELS, adapters=("linear",), fragments=3, repeats="none", **FAST)


def test_ids_are_what_chains_are_stated_by(space):
    ids = space.sample(20, seed=1)
    assert ids == space.sample(20, seed=1) != space.sample(20, seed=2)
    assert all(name in space for name in ids) and "B:.." in space and "no such chain" not in space
    assert (
        space[0] == "A:.." and space[1] == "B:.." and next(iter(space)) == "A:.." and space[-1] == space[len(space) - 1]
    )
    assert set(space.neighbours(ids[0])) <= set(space) and space.mutate(ids[0], 0) == space.mutate(ids[0], 0) != ids[0]
    assert space.crossover(ids[0], ids[1], 0) in space
    assert space.encode(ids[0]).shape == (space.dimensions,) and space.decode(space.encode(ids[0])) == ids[0]


def test_costs_come_alone_or_by_the_column(space):
    ids = space.sample(50)
    alone, many = space.cost(ids[0]), space.cost(ids)
    assert tuple(alone) == tuple(many) == space.metrics == ("params", "macs", "flops", "size", "memory")
    assert {name: column[0] for name, column in many.items()} == alone
    assert list(space.cost(ids, "macs")) == ["macs"] and (many["flops"] == 2 * many["macs"]).all()
    with pytest.raises(QuantityError, match="latency of a chain is measured"):
        space.cost(ids, "latency")
    with pytest.raises(QuantityError, match="'mac' is no metric"):
        space.cost(ids, "mac")


def test_scores_are_those_of_a_search_in_any_order_and_kept(space):
    ids = [*space.sample(6), "B:..", "A:.."]
    scores = space.score(ids)
    assert ((scores >= 0) & (scores <= 1)).all() and scores[-2] > 0.5
    probe, routes = space._scores._probe, space._chains.routes(ids)
    grown = {route: shown.mean() for route, _, shown in Tree(probe).grown(routes)}
    assert scores == pytest.approx([grown[route] for route in routes], abs=1e-4)
    again = stitchc.space(*MODELS, adapters=("linear",), fragments=3, repeats="none", **FAST)
    assert again.score(ids[::-1])[::-1] == pytest.approx(scores, abs=1e-4)
    assert again.score(ids[2]) == pytest.approx(scores[2], abs=1e-4)


def test_what_is_expected_is_what_was_scored_and_a_guess_of_the_rest(space):
    pairs = [name for name in space.sample(300, seed=3) if name.count(" / ") == 2]
    known, rest = pairs[:20], pairs[20:50]
    scores = space.score(known)
    assert space.expected(known) == pytest.approx(scores, abs=1e-9)
    guessed = space.expected(rest)
    assert np.corrcoef(guessed, space.score(rest))[0, 1] > 0.3
    alike = space.similarity(rest)
    assert ((alike > -0.5) & (alike <= 1)).all() and space.similarity("A:..") == 1.0
    assert space.similarity(rest[0]) == alike[0]


def test_a_chain_is_built_as_compile_makes_it(space, tmp_path):
    name = next(name for name in space.sample(100) if name.count(" / ") == 2)
    plan = space.build(name, out=tmp_path / "chain", rivals="none", onnx=False)
    assert plan.hybrid.price["macs"] == space.cost(name)["macs"]
    assert (tmp_path / "chain" / "model.safetensors").stat().st_size == space.cost(name)["size"]
    assert stitchc.load(tmp_path / "chain")(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(InputError):
        space.build("A:..nowhere / linear / B:..")


def test_what_makes_no_space_is_refused():
    with pytest.raises(InputError, match="no models"):
        stitchc.space()
    with pytest.raises(InputError, match="scores pairs of cuts"):
        stitchc.space(*MODELS, rank="cka")
    with pytest.raises(InputError, match="`fragments` is 4"):
        stitchc.space(*MODELS, fragments=4)
    with pytest.raises(TypeError, match="no keyword 'fragment'"):
        stitchc.space(*MODELS, fragment=3)


def test_noise_prices_chains_and_scores_none():
    space = stitchc.space(*MODELS, adapters=("linear",), data="random", probe_images=16)
    name = space.sample(1)[0]
    assert space.cost(name)["macs"] > 0
    for ask in (space.score, space.expected):
        with pytest.raises(InputError, match="'random"):
            ask(name)


def test_the_name_alone_loads_no_torch():
    script = "import sys, stitchc; stitchc.space; assert not {'torch', 'timm'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0
