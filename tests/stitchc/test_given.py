"""What Python may be given for a model, images, a budget, and what is said of anything else."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_hybrid import network

import stitchc
from stitchc import zoo
from stitchc.passes import InputSpec, Model, Pipeline, Plan, TensorImages, Trace
from stitchc.passes.data.errors import DataError, InputError, ModelError, OutputError, PipelineError, QuantityError

NET = network(4).eval()
MODEL = Model("net", InputSpec((1, 8, 8), (0.0,), (1.0,)), module=NET)
X = torch.randn(8, 1, 8, 8)


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda: stitchc.cost(NET), "InputSpec"),
        (lambda: stitchc.evaluate(None, data="digits"), "its words"),
        (lambda: stitchc.compile(NET, NET), "InputSpec"),
        (lambda: stitchc.search(["digits/plain", "digits/small"]), "one after the other"),
        (lambda: stitchc.space(NET), "InputSpec"),
        (lambda: zoo.load(NET), "Give text"),
    ],
)
def test_what_is_no_model_is_refused_with_what_to_give(call, hint):
    with pytest.raises(ModelError) as caught:
        call()
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (X, "TensorImages"),
        (np.zeros((4, 1, 8, 8)), "TensorImages"),
        (Path("pictures"), "'folder:pictures'"),
        (5, "words"),
    ],
)
def test_what_are_no_images_is_refused_with_what_to_give(data, hint):
    with pytest.raises(DataError) as caught:
        stitchc.evaluate(MODEL, data=data)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "tensor", [X[0], X.to(torch.uint8), 5, None], ids=["three axes", "integers", "a number", "nothing"]
)
def test_a_tensor_of_images_is_looked_at_when_it_is_given(tensor):
    with pytest.raises(DataError):
        TensorImages(tensor)


def test_images_of_other_channels_than_a_network_takes_are_told():
    with pytest.raises(DataError, match="images have 3 channels, and a network takes 1"):
        stitchc.evaluate(MODEL, data=TensorImages(X.expand(-1, 3, -1, -1), torch.zeros(8, dtype=torch.int64)))


@pytest.mark.parametrize("budget", [[5], {"macs": None}, {"macs": True}, {1: 2}, [["macs=5M"]]])
def test_a_budget_that_is_none_is_refused(budget):
    with pytest.raises(QuantityError):
        stitchc.compile("digits/plain", "digits/small", budget=budget)


def test_a_plan_is_of_networks():
    with pytest.raises(InputError, match="a str is no network"):
        Plan.of("digits/plain", images=X)


@pytest.mark.parametrize("passes", [[Trace], [5], Trace()])
def test_a_pipeline_is_of_passes(passes):
    with pytest.raises(PipelineError):
        Pipeline(passes)


def test_a_checkpoint_is_named_by_a_path_too(tmp_path):
    path = zoo.pack("digits/small", tmp_path / "a.pt")
    assert zoo.load(path).sha256 == zoo.load("digits/small").sha256


@pytest.mark.parametrize(
    "options", [{"batches": ()}, {"batches": (0,)}, {"batches": ("3",)}, {"tolerance": -1}, {"tolerance": float("nan")}]
)
def test_a_verification_of_nothing_is_none(tmp_path, options):
    from small_hybrid import compile

    compile(tmp_path / "hybrid")
    with pytest.raises(InputError):
        stitchc.verify(tmp_path / "hybrid", **options)


def test_a_folder_is_a_path():
    with pytest.raises(OutputError):
        stitchc.load(5)


def test_a_batch_has_images():
    with pytest.raises(InputError, match="`batch` is 0"):
        stitchc.evaluate("digits/small", data="digits", batch=0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"heal": "none", "heal_sweeps": 3}, "nothing is refitted"),
        ({"heal": "none", "heal_flips": True}, "nothing is refitted"),
        ({"onnx": False, "opset": 20}, "no ONNX file"),
        ({"rank": "cka", "effort": "high"}, "no candidates are stitched"),
        ({"backend": "onnxruntime"}, "nothing asks for latency"),
        ({"chain": "A:..0 / B:1..", "direction": "slow-to-fast"}, "which fragments follow"),
        ({"chain": "A:..0 / B:1..", "min_share": 0.2}, "which fragments follow"),
        ({"front": 3, "back": 2, "min_share": 0.2}, "how much of each"),
    ],
)
def test_an_option_that_nothing_looks_at_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        stitchc.compile("digits/plain", "digits/small", **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"distill_weight": 0.3}, "no network to learn from"),
        ({"temperature": 4.0}, "no network to learn from"),
        ({"momentum": 0.5}, "only sgd"),
    ],
)
def test_an_option_of_a_training_that_nothing_looks_at_is_refused(options, said):
    with pytest.raises(InputError, match=said):
        stitchc.tune("digits/small", "digits", **options)
