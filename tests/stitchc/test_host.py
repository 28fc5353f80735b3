"""A program that embeds stitchc finds its process, and its networks, as they were."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from small_hybrid import IMAGES, compile, network

import stitchc
from stitchc.passes import Cost, InputSpec, Model, Partition, Pipeline, Plan, Trace
from stitchc.passes.data.float32 import in_full_precision, rounding, set_rounding


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("host") / "hybrid"
    compile(folder)
    return folder


def chance():
    """The states from which random numbers are drawn."""
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()


def test_no_function_draws_from_the_random_numbers_of_its_host(artifact, tmp_path):
    spec = InputSpec((1, 8, 8), (0.0,), (1.0,))
    one, other = (Model(name, spec, module=network(width).eval()) for name, width in (("one", 4), ("other", 6)))
    for call in (
        lambda: stitchc.load(artifact),
        lambda: stitchc.verify(artifact),
        lambda: stitchc.cost(artifact),
        lambda: stitchc.evaluate(artifact, data=IMAGES),
        lambda: stitchc.compile(one, other, front="0", back="0", data=IMAGES, out=tmp_path / "again"),
    ):
        before = chance()
        call()
        assert chance() == before


#: How a program may tell torch to round, in the words of 2025 and in those before.
ROUNDINGS = {
    "nothing": "pass",
    "old words for products": "torch.set_float32_matmul_precision('medium')",
    "old words of both kinds": "torch.set_float32_matmul_precision('medium'); b.cuda.matmul.allow_tf32 = False",
    "all": "b.fp32_precision = 'tf32'",
    "none": "b.fp32_precision = 'ieee'",
    "products on a card": "b.cuda.matmul.fp32_precision = 'tf32'",
    "convolutions on a card": "b.cudnn.conv.fp32_precision = 'ieee'",
    "on the processor": "b.mkldnn.fp32_precision = 'bf16'",
}
PRECISELY = """
import torch
from stitchc.passes.data.float32 import in_full_precision
b = torch.backends
def told():
    words = [one.fp32_precision for one in (b, b.cuda.matmul, b.cudnn, b.cudnn.conv, b.cudnn.rnn, b.mkldnn,
                                            b.mkldnn.matmul, b.mkldnn.conv, b.mkldnn.rnn)]
    for ask in (torch.get_float32_matmul_precision, lambda: b.cudnn.allow_tf32, lambda: b.cuda.matmul.allow_tf32):
        try:
            words.append(ask())
        except RuntimeError:
            words.append("contradicts")
    return words
{setting}
before = told()
with in_full_precision():
    within = told()
assert within[1] == within[3] == within[4] == within[6] == within[7] == within[8] == "ieee", within
assert within[9:] == ["highest", False, False], within
assert told() == before, (before, told())
"""


@pytest.mark.parametrize("setting", ROUNDINGS.values(), ids=ROUNDINGS.keys())
def test_float32_is_exact_within_and_as_the_host_has_it_afterwards(setting):
    script = PRECISELY.format(setting=setting)  # in a process of its own: torch never forgets what it was told
    done = subprocess.run([sys.executable, "-c", script], timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_verb_works_in_a_host_that_rounds():
    before = rounding()
    try:
        torch.backends.fp32_precision = "tf32"
        spec = InputSpec((1, 8, 8), (0.0,), (1.0,))
        found = stitchc.evaluate(Model("net", spec, module=network(4).eval()), data=IMAGES)
        assert found.images == len(IMAGES)
    finally:
        torch.backends.fp32_precision = "none"
        set_rounding(before)
    with in_full_precision():
        assert rounding().matmul == "highest"


def test_a_network_in_training_goes_on_training():
    net = network(4).train()
    net[0][1].eval()  # a host may have frozen one
    modes = [one.training for one in net.modules()]
    plan = Pipeline([Trace(), Partition(), Cost()])(Plan.of(net, images=torch.randn(4, 1, 8, 8)))
    stitchc.evaluate(Model("net", InputSpec((1, 8, 8), (0.0,), (1.0,)), module=net), data=IMAGES)
    assert [one.training for one in net.modules()] == modes
    held = plan.models[0].module
    assert not any(one.training for one in held.modules())
    assert all(a is b for a, b in zip(held.parameters(), net.parameters(), strict=True))


def test_a_network_in_eval_mode_is_taken_as_it_is():
    net = network(4).eval()
    assert Plan.of(net, images=torch.randn(4, 1, 8, 8)).models[0].module is net
