"""Networks as people write them, for 3x8x8 images: one habit each. Those that are refused say with what reason."""

import types
import warnings

import torch
import torch.nn.functional as F
from nets import Small
from torch import Tensor, nn


class Odd(nn.Module):
    """A small classifier, `net`, and the features that its head reads."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.net = Small()
        self.bn = nn.BatchNorm2d(3)

    def features(self, x: Tensor) -> Tensor:
        return self.net.pool(self.net.blocks(self.net.stem(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def weight_norm() -> nn.Module:
    net = Odd()
    net.net.stem = nn.utils.weight_norm(net.net.stem)
    return net


def spectral_norm() -> nn.Module:
    net = Odd()
    net.net.stem = nn.utils.spectral_norm(net.net.stem)
    net(torch.randn(2, 3, 8, 8))
    return net


def pruned() -> nn.Module:
    from torch.nn.utils import prune

    net = Odd()
    prune.l1_unstructured(net.net.stem, "weight", 0.5)
    return net


class Length(Odd):
    def forward(self, x):
        return self.net.head(self.features(x).reshape(len(x), -1))


class Squeeze(Odd):
    def forward(self, x):
        return self.net.head(self.features(x).squeeze())


class SqueezeLast(Odd):
    def forward(self, x):
        return torch.squeeze(self.net(x))


def method_replaced() -> nn.Module:
    net = Odd()

    def forward(self: nn.Conv2d, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * 2, self.bias, padding=1)

    net.net.stem.forward = types.MethodType(forward, net.net.stem)
    return net


def method_wrapped() -> nn.Module:
    net = Odd()
    before = net.net.stem.forward
    net.net.stem.forward = lambda x: before(x) + 1
    return net


def inner_method_replaced() -> nn.Module:
    """As circular padding is patched into convolutions."""
    net = Odd()

    def inner(self: nn.Conv2d, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="circular"), weight, bias)

    net.net.stem._conv_forward = types.MethodType(inner, net.net.stem)
    return net


def compiled() -> nn.Module:
    return torch.compile(Odd())


def compiled_layer() -> nn.Module:
    net = Odd()
    net.net.blocks[0] = torch.compile(net.net.blocks[0])
    return net


class HarmlessMode(Odd):
    """Stays in training mode itself, but nothing in it that acts on that."""

    def eval(self):
        self.net.eval()
        return self


class StandardisedWeights(Odd):
    """Weights, not images, brought to mean 0 and deviation 1, as timm's StdConv2d does it."""

    def forward(self, x):
        stem = self.net.stem
        weight = F.batch_norm(stem.weight.reshape(1, 4, -1), None, None, training=True).reshape_as(stem.weight)
        x = F.conv2d(x, weight, stem.bias, padding=1)
        return self.net.head(self.net.pool(self.net.blocks(x)).flatten(1))


def half() -> nn.Module:
    return Odd().half()


TRACED = [
    weight_norm, spectral_norm, pruned, Length, Squeeze, SqueezeLast, method_replaced, method_wrapped,
    inner_method_replaced, compiled, compiled_layer, HarmlessMode, StandardisedWeights, half,
]  # fmt: skip


class Rows(Odd):
    def forward(self, x):
        return torch.stack([self.net(row[None])[0] for row in x])


class Ranged(Odd):
    def forward(self, x):
        return torch.cat([self.net(x[i : i + 1]) for i in range(x.shape[0])])


class PlainNumber(Odd):
    def forward(self, x):
        return self.net.head(self.features(x).view(int(x.shape[0]), 4))


class LostAxis(Odd):
    def forward(self, x):
        return self.net.head(self.features(x).squeeze()).log_softmax(1)


class AnotherWay(Odd):
    def forward(self, x):
        return self.net(x) * (2 if x.shape[0] == 1 else 1)


class OverBatch(Odd):
    def forward(self, x):
        return self.net(x).softmax(0)


class NoEval(Odd):
    def eval(self):
        return self

    def forward(self, x):
        return self.net(self.bn(x))


class TrainsInForward(Odd):
    def forward(self, x):
        return self.net(self.bn.train()(x))


class FunctionalNorm(Odd):
    def forward(self, x):
        return self.net(F.batch_norm(x, self.bn.running_mean, self.bn.running_var, training=True))


class FunctionalDropout(Odd):
    def forward(self, x):
        return self.net.head(F.dropout(self.features(x).flatten(1), 0.1))


class NoStatistics(Odd):
    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm2d(3, track_running_stats=False)

    def forward(self, x):
        return self.net(self.bn(x))


class Counts(Odd):
    calls = 0

    def forward(self, x):
        self.calls += 1
        return self.net(x) * self.calls


class MakesItsHead(Odd):
    def __init__(self):
        super().__init__()
        self.head = None

    def forward(self, x):
        x = self.features(x).flatten(1)
        if self.head is None:
            self.head = nn.Linear(x.shape[1], 5)
        return self.head(x)


class Lazy(Odd):
    def __init__(self):
        super().__init__()
        self.net.head = nn.LazyLinear(5)


class Meta(Odd):
    def __init__(self):
        super().__init__()
        self.net.head.to("meta")


def quantised_layer() -> nn.Module:
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10)).eval()
    with warnings.catch_warnings(action="ignore"):  # torch.ao says that it will be gone some day
        return torch.ao.quantization.quantize_dynamic(net, {nn.Linear})


def scripted_layer() -> nn.Module:
    net = Odd()
    net.net.stem = torch.jit.script(net.net.stem)
    return net


class Autocast(Odd):
    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.net(x)


class HalfInside(Odd):
    def __init__(self):
        super().__init__()
        self.net.half()

    def forward(self, x):
        return self.net(x.half()).float()


REFUSED = [
    (HalfInside, "its weights are float16, and in float32 it does not run"),
    (Rows, "batch size is made a plain number"),
    (Ranged, "batch size is made a plain number"),
    (PlainNumber, "batch size is made a plain number"),
    (LostAxis, r"fails on 1 image of 3x8x8.*\(on 3 it runs\)"),
    (AnotherWay, "other scores alone than among others"),
    (OverBatch, "depend on the other images of its batch"),
    (NoEval, r"'bn' \(BatchNorm2d\) acts as in training"),
    (TrainsInForward, r"'bn' \(BatchNorm2d\) acts as in training"),
    (FunctionalNorm, r"batch_norm\(\) in FunctionalNorm acts as in training"),
    (FunctionalDropout, r"dropout\(\) in FunctionalDropout acts as in training"),
    (NoStatistics, r"'bn' \(BatchNorm2d\) keeps no running statistics"),
    (Counts, "other scores when it sees them again"),
    (MakesItsHead, "'head.weight' was made only when the network ran"),
    (Lazy, r"'net.head.weight' \(LazyLinear\) has no shape"),
    (Meta, "'net.head.weight' has a shape but no values"),
    (scripted_layer, r"'net.stem' is scripted or traced by torch\.jit"),
    (quantised_layer, r"'2' \(Linear\) is quantised: its weights are packed integers"),
    (Autocast, r"it computes in torch\.autocast"),
]
