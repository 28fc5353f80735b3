"""All that is computed together lies on one device: shown on a card that is pretended, where there is none."""

from __future__ import annotations

import pytest
import torch
from pretend_card import pretended
from torch import nn

import stitchc
from stitchc.passes import InputSpec, Model, TensorImages


@pytest.fixture
def card(monkeypatch):
    if torch.cuda.is_available():
        pytest.skip("there is a real one")
    yield from pretended(monkeypatch)


def net(width: int) -> nn.Module:
    torch.manual_seed(width)
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10),
    ).eval()  # fmt: skip


def compiled(**options):
    spec = InputSpec((3, 16, 16), (0.0,) * 3, (1.0,) * 3)
    models = [Model(f"wide{width}", spec, module=net(width)) for width in (8, 12)]
    torch.manual_seed(0)
    images = TensorImages(torch.rand(40, 3, 16, 16), torch.arange(40) % 10)
    return stitchc.compile(
        *models, data=images, evaluate=images, budget="90%", device="cuda", onnx=False, **options
    ), models


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"recalibrate": True, "max_memory": "40MiB", "adapter": "conv3x3", "rivals": "none"},
        pytest.param(
            {"similarity": "procrustes", "heal": "all", "heal_target": "both", "best": True, "adapter": "fused"},
            marks=pytest.mark.slow,
        ),
        pytest.param({"polish": "3 steps", "rivals": "trained", "adapter": "conv3x3"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_compile_mixes_no_devices(card, options):
    plan, models = compiled(**options)
    assert any("conv2d" in name for name in card.computed) and "torch.Tensor.addmm_" in card.computed, (
        "it computed on the card"
    )
    assert plan.hybrid.verified.device == "cuda"
    for module in (*plan.graphs, plan.hybrid.network, *(model.module for model in models)):
        assert not any(card.place(tensor) for tensor in module.state_dict().values()), "all is back"


@pytest.mark.slow
@pytest.mark.parametrize("method", [{"method": "exact"}, {"method": "stitchnet", "threshold": 0.1}], ids=str)
def test_a_search_mixes_no_devices(card, method):
    spec = InputSpec((3, 16, 16), (0.0,) * 3, (1.0,) * 3)
    models = [Model(f"wide{width}", spec, module=net(width)) for width in (8, 12)]
    images = TensorImages(torch.rand(40, 3, 16, 16), torch.arange(40) % 10)
    options = {"effort": "low", "onnx": False, "rivals": "none", "heal_sweeps": 1}
    found = stitchc.search(*models, data=images, evaluate=images, device="cuda", **method, **options)
    assert found.plan.hybrid.verified.device == "cuda" and len(found.chains) > 1
    assert any("conv2d" in name for name in card.computed)


def test_a_mixture_is_noticed(card):
    layer = nn.Linear(4, 2).to("cuda")
    with pytest.raises(RuntimeError, match="two devices"):
        layer(torch.rand(1, 4))


def test_a_card_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(stitchc.errors.InputError, match="no device 'cuda'"):
        stitchc.compile("digits/resnet", "digits/plain", device="cuda")
