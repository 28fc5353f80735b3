"""What training drops at random, and BatchNorm's statistics: written code trains as the model it was traced from."""

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional as F

from stitchc.passes import Codegen, Hybrid, Pipeline, Plan, Trace, Verify
from stitchc.passes.emit.load import load_module
from stitchc.passes.graphs.drops import DropPath

SIZE = (3, 32, 32)


def written(network: nn.Module, folder) -> nn.Module:
    """The generated module of a whole network."""
    images = torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(0))
    plan = Pipeline([Trace()])(Plan.of(network, images=images))
    plan = plan.with_hybrid(Hybrid.whole(plan.graphs[0]))
    Pipeline([Codegen(folder=folder), Verify()])(plan)
    return load_module(folder)


class Branch(nn.Module):
    """timm's DropPath by its name and attributes; the function `dropout`; a dropout layer that never drops."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.drop_path = timm.layers.DropPath(0.5)
        self.still = nn.Dropout(0.0)
        self.fc = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.drop_path(self.conv(x))
        return self.fc(F.dropout(self.still(x.mean((2, 3))), 0.3, self.training))


def test_drop_path_and_dropout_stand_where_they_stood(tmp_path):
    torch.manual_seed(0)
    parent = Branch().eval()
    made = written(parent, tmp_path)
    (path,) = [m for m in made.modules() if type(m).__name__ == "DropPath"]
    (dropout,) = [m for m in made.modules() if isinstance(m, nn.Dropout)]
    assert (path.p, dropout.p) == (0.5, 0.3)

    # In place of chance, both halve what they are given: the outputs are equal only if they stand in the same places.
    images = torch.randn(2, *SIZE)
    parent.drop_path.forward = path.forward = dropout.forward = lambda x: x / 2
    parent.still.forward = lambda x: x
    real, F.dropout = F.dropout, lambda x, *_: x / 2
    try:
        want = parent(images)
    finally:
        F.dropout = real
    assert torch.allclose(made(images), want, atol=1e-6)
    assert not torch.allclose(want, load_module(tmp_path)(images), atol=1e-3)


def test_drop_path_drops_whole_images_and_keeps_the_mean():
    layer = DropPath(0.25)
    x = torch.ones(20_000, 2, 3)
    torch.manual_seed(0)
    y = layer(x)
    kept = y[:, 0, 0] != 0
    assert torch.equal(y, torch.where(kept[:, None, None], 4 / 3, 0.0).expand_as(x))
    assert float(kept.double().mean()) == pytest.approx(0.75, abs=0.02)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.slow
def test_stochastic_depth_of_real_networks_keeps_its_rates(tmp_path):
    parent = timm.create_model("test_convnext", drop_path_rate=0.2).eval()
    made = written(parent, tmp_path)
    want = [m.drop_prob for m in parent.modules() if type(m).__name__ == "DropPath"]
    assert [m.p for m in made.modules() if type(m).__name__ == "DropPath"] == pytest.approx(want, abs=1e-6)
    assert len(want) == 8
    found = written(made, tmp_path / "again")  # traced from its own code, it says the same
    assert [m.p for m in found.modules() if type(m).__name__ == "DropPath"] == pytest.approx(want, abs=1e-6)


def test_batch_norm_called_as_a_function_trains_as_in_the_parent(tmp_path):
    """timm's BatchNormAct2d calls `F.batch_norm(training=False)` when it is recorded."""
    torch.manual_seed(0)
    parent = timm.create_model("test_efficientnet").eval()
    made = written(parent, tmp_path)
    assert any(type(m).__name__ == "BatchNormAct2d" for m in parent.modules())
    images = torch.randn(4, *SIZE)
    parent.train(), made.train()
    want, got = parent(images), made(images)
    assert torch.allclose(got, want, atol=1e-4)
    assert not torch.allclose(want, parent.eval()(images), atol=1e-2)
    F.cross_entropy(got, torch.arange(4)).backward()
    statistics = {key: value for key, value in parent.state_dict().items() if "running" in key}
    mine = made.state_dict()
    assert statistics
    assert all(torch.allclose(mine[f"part0.{key}"] if f"part0.{key}" in mine else mine[key], value, atol=1e-5)
               for key, value in statistics.items())  # fmt: skip
