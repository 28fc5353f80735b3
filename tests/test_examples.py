"""The examples run as they are told to, and what they print is what they claim."""

import importlib.util
import itertools
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import stitchc
from stitchc.passes import adapters
from stitchc.passes.data import metrics

EXAMPLES = Path(__file__).parents[1] / "examples"
SHORT = ("nas_optuna", "nas_pymoo", "nas_ray_tune", "custom_pass", "custom_adapter", "custom_metric")


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def nothing_stays_registered():
    yield
    metrics._ADDED.clear()
    adapters._ADDED.pop("context", None)
    adapters.get.cache_clear()


@pytest.fixture(scope="module")
def space():
    return stitchc.space("digits/plain", "digits/small", adapters=("linear",), effort="low", probe_images=128)


@pytest.mark.parametrize("name", SHORT)
def test_they_are_short(name):
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 60


def test_optuna_keeps_to_its_share_and_finds_no_less_with_what_is_known(space):
    optuna = pytest.importorskip("optuna", minversion="5.0")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    nas = example("nas_optuna")
    share = 0.06
    known, alone = (nas.search(space, share, known=known) for known in (True, False))
    for figures in (known, alone):
        assert len(figures) == int(share * len(space))
        assert all(space.cost(name, "macs")["macs"] == cost for name, (cost, _) in figures.items())
    found = nas.front(known)
    assert [cost for cost, _, _ in found] == sorted(cost for cost, _, _ in found)
    assert all(score >= nas.FLOOR for _, score, _ in found)

    def area(figures) -> float:  # under the front, over a logarithmic axis
        import math

        steps = [*nas.front(figures), (1e8, 0, "")]
        return sum(a[1] * (math.log(b[0]) - math.log(a[0])) for a, b in itertools.pairwise(steps))

    assert area(known) >= area(alone)


def test_pymoo_keeps_to_the_memory_and_returns_a_front(space):
    pytest.importorskip("pymoo")
    found = example("nas_pymoo").search(space, memory_bytes=20 << 10, generations=3, population=12)
    assert found == sorted(found) and [score for _, score, _ in found] == sorted(score for _, score, _ in found)
    for macs, score, name in found:
        assert space.cost(name, "macs", "memory")["macs"] == macs and space.score(name) == pytest.approx(score)
        assert space.cost(name, "memory")["memory"] <= 20 << 10


@pytest.mark.slow
def test_ray_tune_stays_within_the_budget():
    pytest.importorskip("ray.tune")
    models = ("digits/plain", "digits/small")
    # As a program, whose function is sent to the workers: they know no module of this name.
    command = [sys.executable, str(EXAMPLES / "nas_ray_tune.py"), *models]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    score, _, name = done.stdout.splitlines()[-1].partition(" ")
    space = stitchc.space(*models, adapters=("linear", "conv3x3"))
    assert 0 <= float(score) <= 1 and space.cost(name, "macs")["macs"] <= 1_000_000


def test_a_pass_of_ones_own_is_one_of_the_pipeline(tmp_path):
    import torch

    plan = example("custom_pass").compiled(tmp_path)
    assert plan.notes[-1] == "The weights are rounded to float16." and plan.hybrid.verified.module_max_abs < 1e-4
    assert "round" in plan.seconds
    for parameter in plan.hybrid.network.parameters():
        assert torch.equal(parameter, parameter.half().float())


def test_an_adapter_of_ones_own_is_priced_and_fitted_like_any(monkeypatch):
    example("custom_adapter")
    space = stitchc.space(
        "digits/plain", "digits/small", adapters=("linear", "context"), repeats="none", effort="low", probe_images=128
    )
    mine = [name for name in space if " / context / " in name][:8]
    same = [name.replace(" / context / ", " / linear / ") for name in mine]
    assert len(mine) == 8 and set(same) <= set(space)
    assert (space.cost(mine)["params"] > space.cost(same)["params"]).all()
    assert (space.score(mine) != space.score(same)).all()  # fitted, and to something else
    assert space.score(mine).mean() > space.score(same).mean() - 0.05


def test_a_metric_of_ones_own_prices_chains_and_holds_a_budget():
    energy = example("custom_metric")
    space = stitchc.space("digits/plain", "digits/small", adapters=("linear",))
    ids = space.sample(20)
    cost = space.cost(ids, "energy", "macs")
    assert (cost["energy"] > energy.MAC * cost["macs"] / 1e6).all() and cost["macs"].dtype.kind == "i"
    plan = stitchc.compile(
        "digits/plain", "digits/small", chain=ids[0], budget={"energy": "100"}, rivals="none", onnx=False, heal="none"
    )
    assert plan.hybrid.price["energy"] == pytest.approx(cost["energy"][0])
