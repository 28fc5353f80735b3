"""What a graphics card must give: the same as the processor, within its memory, again and again."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import stitchc
from stitchc.evaluate import accuracy
from stitchc.passes import InputSpec, Model, Plan, TensorImages

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no graphics card"),
]
FEW = {"data": "digits?limit=128", "evaluate": "digits?split=test&limit=200"}


def chain_of(plan: Plan) -> tuple:
    return plan.hybrid.chain, dict(plan.hybrid.price)


def test_choice_prices_and_weights_are_those_of_the_processor(tmp_path):
    """Of a choice that follows from what is fitted in closed form. Healing stops by what it reached, so that rounding
    may end it a step earlier, and of two stitches that are worth the same another be chosen."""
    plans = {
        place: stitchc.compile(
            "digits/resnet", "digits/plain", budget="60%", rank="fit", heal="none", adapter="conv3x3", device=place,
            direction="slow-to-fast", out=tmp_path / place, **FEW,
        )
        for place in ("cpu", "cuda")
    }  # fmt: skip
    assert chain_of(plans["cpu"]) == chain_of(plans["cuda"])
    a, b = (load_file(tmp_path / place / "model.safetensors") for place in plans)
    assert a.keys() == b.keys()
    for name, weights in a.items():  # small penalties magnify rounding in directions that values hardly take
        far = (weights.float() - b[name].float()).norm() / weights.float().norm().clamp_min(1e-6)
        assert far <= 1e-2, (name, float(far))
    images = torch.rand(64, *plans["cpu"].models[0].input.size)
    own, there = (stitchc.load(tmp_path / place)(images) for place in plans)
    assert (own - there).abs().max() <= 1e-3 * own.abs().max()
    verified = plans["cuda"].hybrid.verified
    assert verified.device.startswith("cuda") and verified.device_max_rel <= 1e-3
    assert all(not tensor.is_cuda for tensor in plans["cuda"].hybrid.network.state_dict().values())


def test_what_is_chosen_is_worth_what_the_processor_chooses():
    plans = [
        stitchc.compile("digits/resnet", "digits/plain", budget="60%", device=place, onnx=False, **FEW)
        for place in ("cpu", "cuda")
    ]
    best = [float(plan.candidates.score[plan.candidates.order[0]]) for plan in plans]
    assert best[0] == pytest.approx(best[1], abs=1e-2)


def test_scores_of_rivals_are_those_of_the_processor():
    there, own = (
        stitchc.compile("digits/convnext", "digits/plain", budget="50%", device=place, onnx=False, **FEW)
        for place in ("cuda", "cpu")
    )
    assert [rival.kind for rival in there.rivals] == [rival.kind for rival in own.rivals]
    for a, b in zip(there.rivals, own.rivals, strict=True):
        assert a.score == pytest.approx(b.score, abs=1e-2), (a.model.name, a.kind)


@pytest.mark.parametrize(
    ("names", "options"),
    [
        (("digits/vit", "digits/convnext"), {"polish": "20 steps", "rivals": "trained"}),
        (("digits/resnet",), {"heal": "all", "heal_sweeps": 2}),
        (("digits/resnet", "digits/vit"), {"heal": "adapter", "recalibrate": True}),
        (("digits/resnet", "digits/plain"), {"max_memory": "24MiB"}),
        (("digits/plain", "digits/vit"), {"adapter": "transformer"}),
        (("digits/resnet", "digits/plain"), {"adapter": "fused"}),
        (("digits/resnet", "digits/plain"), {"similarity": "procrustes", "rank": "kl", "best": True}),
        (("digits/resnet", "digits/plain"), {"frontend": "export"}),
        (("digits/resnet", "digits/plain"), {"input_size": "auto"}),
    ],
    ids=str,
)
def test_every_pass_runs_there(names, options):
    plan = stitchc.compile(*names, budget="60%", device="cuda", onnx=False, **FEW, **options)
    assert plan.hybrid.verified.device_max_rel <= 1e-3


def test_a_stated_chain_of_three():
    chain = "A:..stage1.7 / conv3x3 / B:features.4.1..features.7.1 / conv3x3 / C:stage3.0.."
    plan = stitchc.compile(
        "digits/resnet", "digits/plain", "digits/resnet", chain=chain, device="cuda", onnx=False, **FEW
    )
    assert plan.hybrid.verified.device_max_rel <= 1e-3


def test_accuracy_is_that_of_the_processor():
    found = [stitchc.evaluate("digits/resnet", "digits?split=test", device=place).top1 for place in ("cpu", "cuda")]
    assert found[0] == pytest.approx(found[1], abs=0.003)


def test_a_network_that_makes_tensors_of_its_own_is_moved_whole():
    class Positions(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(8, 10)

        def forward(self, x):
            x = self.first(x)
            places = torch.arange(x.shape[0] * 0 + x.shape[3], device=x.device).float()
            x = torch.relu(x + places / 100)
            return self.last(x.mean((2, 3)))

    images = torch.rand(32, 3, 16, 16)
    nets = [Positions().eval() for _ in range(2)]
    spec = InputSpec((3, 16, 16), (0.0,) * 3, (1.0,) * 3)
    models = [Model(name, spec, module=net) for name, net in zip("ab", nets, strict=True)]
    plan = stitchc.compile(*models, data=TensorImages(images), device="cuda", onnx=False)
    assert plan.hybrid.verified.device_max_rel <= 1e-3
    assert all(not p.is_cuda for net in nets for p in net.parameters()), "the user's modules stay where they were"


def test_ten_compiles_leave_nothing_behind():
    taken = []
    for _ in range(10):
        stitchc.compile(
            "digits/resnet", "digits/plain", budget="60%", rank="cka", device="cuda", onnx=False, rivals="none", **FEW
        )
        gc.collect()  # graphs refer to themselves
        taken.append(torch.cuda.memory_allocated())
    assert max(taken[1:]) <= taken[0] + (1 << 20), taken


@pytest.fixture
def little_memory():
    torch.cuda.empty_cache()
    _, whole = torch.cuda.mem_get_info()
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + (768 << 20)) / whole))
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def test_fewer_images_are_shown_where_memory_runs_out(little_memory):
    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Conv2d(3, 64, 3, padding=1), nn.Linear(64, 10)

        def forward(self, x):
            return self.last(self.first(x).mean((2, 3)))

    images = TensorImages(torch.rand(64, 3, 256, 256), torch.zeros(64, dtype=torch.int64))
    spec = InputSpec((3, 256, 256), (0.0,) * 3, (1.0,) * 3)
    found = accuracy(Wide().eval(), spec, images, device="cuda", batch=64)
    assert found.images == 64 and any("memory has no room" in note for note in found.notes)


def test_a_pass_that_runs_out_of_memory_is_run_with_less(little_memory):
    spec = InputSpec((3, 128, 128), (0.0,) * 3, (1.0,) * 3)
    torch.manual_seed(0)

    def net():
        layers = [nn.Conv2d(3, 64, 3, padding=1), nn.ReLU()]
        for _ in range(3):
            layers += [nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)).eval()

    models = [Model(name, spec, module=net()) for name in "ab"]
    images = TensorImages(torch.rand(256, 3, 128, 128))
    plan = stitchc.compile(
        *models, data=images, device="cuda", onnx=False, rivals="none", max_memory="6GiB", front="1", back="3"
    )
    assert plan.hybrid.verified.device_max_rel <= 1e-3
    assert any("Memory ran out" in note for note in plan.notes), plan.notes


@pytest.mark.parametrize("backend", ["eager", "compile", "cudagraphs"])
def test_latency_is_of_the_card_and_says_so(backend):
    from stitchc.examine import timing

    plan = stitchc.cost("digits/resnet")
    timed = timing(plan, backend, "cuda")
    assert timed.device.startswith("cuda: ") and timed.median_ms > 0 and timed.backend == backend


def test_a_budget_of_latency_on_the_card():
    whole = stitchc.compile(
        "digits/resnet", "digits/plain", budget="latency=90%", backend="cudagraphs", device="cuda", onnx=False, **FEW
    )
    assert all(one.device.startswith("cuda: ") for one in whole.timed)
    assert np.isfinite(whole.hybrid.price["latency"])
