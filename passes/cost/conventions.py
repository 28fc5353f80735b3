"""What other counters count for a network, so that the figures of any paper can be reproduced, and why they differ.

    macs    ours: convolutions and matrix products, attention's included
    thop    as `thop.profile` (0.1.1): a rule for each layer class of torch.nn itself. Whatever is a function, a method
            or a subclass counts nothing, so neither do attention and the projections of nn.MultiheadAttention.
            Norms are 4 a number (2 without scale and shift), adaptive average pooling is (k + 1) for each number of its
            output where k numbers are averaged, average pooling 1, softmax 3n - 1 for n numbers
    fvcore  as `FlopCountAnalysis` (0.1.5): operators of the traced program. LayerNorm and GroupNorm are 5 a number (4
            without scale), BatchNorm 2 (1), adaptive average pooling 1 for each number of its input, bilinear resizing
            4 for each of its output. Fused attention counts nothing

All are multiply-adds of one image, whatever their authors call them. None counts biases or element-wise functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node
from torch.utils._python_dispatch import TorchDispatchMode

from ..graphs.conventions import target_name
from ..graphs.formulas import macs_of
from ..graphs.operators import counting, fakes

CONVENTIONS = ("macs", "thop", "fvcore")

#: What is counted, in the order of the table.
KINDS = ("convolutions", "linear layers", "attention products", "normalisation", "pooling", "softmax", "resizing")

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
_NORMS = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm, nn.LayerNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
_ADAPTIVE = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)
_AVERAGE = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
_UPSAMPLE = {"linear": 5, "bilinear": 11, "bicubic": 259, "nearest": 1}
# Operators below the level at which fvcore looks, with what it takes for a number with and without scale.
_FVCORE_NORMS = {"native_layer_norm": (5, 4), "native_group_norm": (5, 4), "batch_norm": (2, 1)}
_FVCORE_RESIZES = {"upsample_nearest2d": 1, "upsample_bilinear2d": 4}

Table = Mapping[str, Mapping[str, int]]


def conventions(graph: GraphModule, input_size: Sequence[int]) -> Table:
    """Of each convention, what it counts of each kind for one image of a traced graph."""
    with counting(), fakes():
        counter = _Counter(graph)
        parameter = next((p for p in graph.parameters() if p.is_floating_point()), None)
        counter.run(torch.empty((1, *input_size), dtype=parameter.dtype if parameter is not None else torch.float32))
    return {name: dict(found) for name, found in counter.found.items()}


def reasons(table: Table, others: Sequence[str] = CONVENTIONS[1:]) -> list[str]:
    """Why the columns of `others` differ from ours, a sentence each."""
    said = []
    ours, thop, fvcore = (table[name] for name in CONVENTIONS)
    products = [kind for kind in KINDS[:3] if thop.get(kind, 0) < ours.get(kind, 0)]
    if products and "thop" in others:
        left = sum(ours.get(kind, 0) - thop.get(kind, 0) for kind in products)
        share = left / max(sum(ours.values()), 1)
        said.append(
            f"thop sees classes of torch.nn alone: {share:.0%} of the products lie in functions, methods, subclasses "
            f"and nn.MultiheadAttention ({', '.join(products)})."
        )
    if fvcore.get("attention products", 0) < ours.get("attention products", 0) and "fvcore" in others:
        said.append("fvcore has no rule for fused attention, and takes its products for nothing.")
    adding = [name for name in others if any(table[name].get(kind, 0) for kind in KINDS[3:])]
    if adding:
        added = [kind for kind in KINDS[3:] if any(table[name].get(kind, 0) for name in adding)]
        verb = "add" if len(adding) > 1 else "adds"
        said.append(f"{' and '.join(adding)} {verb} operations that are no products: {', '.join(added)}.")
    return said


class _Counter(Interpreter):
    def __init__(self, graph: GraphModule):
        super().__init__(graph)
        self.found: dict[str, Counter[str]] = {name: Counter() for name in CONVENTIONS}

    def run_node(self, node: Node) -> Any:
        tally = _Tally()
        with tally:
            value = super().run_node(node)
        self.found["macs"].update(tally.products)
        self.found["fvcore"].update(_seen_by_fvcore(node, tally, self.module))
        self.found["fvcore"].update(self._pooled(node))
        if node.op == "call_module":
            given = self.env[node.args[0]] if node.args and isinstance(node.args[0], Node) else None
            self.found["thop"].update(thop_of(self.module.get_submodule(str(node.target)), given, value))
        return value

    def _pooled(self, node: Node) -> dict[str, int]:
        leaf = self.module.get_submodule(str(node.target)) if node.op == "call_module" else None
        if not (isinstance(leaf, nn.AdaptiveAvgPool2d) or target_name(node) == "adaptive_avg_pool2d"):
            return {}
        given = node.args[0] if node.args else node.kwargs["input"]
        assert isinstance(given, Node)
        return {"pooling": self.env[given].numel()}


class _Tally(TorchDispatchMode):
    """products: multiply-adds by kind. around: what fvcore adds, by kind. fused: those of fused attention."""

    def __init__(self) -> None:
        super().__init__()
        self.products: Counter[str] = Counter()
        self.around: Counter[str] = Counter()
        self.fused = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if not isinstance(func, torch._ops.OpOverload) or func.namespace == "prim":
            return out
        name = func._overloadpacket.__name__
        macs = macs_of(func, args, kwargs or {}, out)
        if macs:
            self.products[_kind(name)] += macs
            self.fused += macs * ("attention" in name)
        for norm, (scaled, plain) in _FVCORE_NORMS.items():
            if norm in name:
                self.around["normalisation"] += args[0].numel() * (scaled if args[_SCALE[norm]] is not None else plain)
        if name in _FVCORE_RESIZES:
            self.around["resizing"] += _FVCORE_RESIZES[name] * out.numel()
        return out


#: Where the scale stands among the arguments.
_SCALE = {"native_layer_norm": 2, "native_group_norm": 1, "batch_norm": 1}


def _kind(operator: str) -> str:
    if "conv" in operator:
        return "convolutions"
    return "attention products" if "bmm" in operator or "attention" in operator else "linear layers"


def _seen_by_fvcore(node: Node, tally: _Tally, graph: nn.Module) -> Counter[str]:
    """Without fused attention, however torch computes it here."""
    seen = tally.products + tally.around
    leaf = graph.get_submodule(str(node.target)) if node.op == "call_module" else None
    if isinstance(leaf, nn.MultiheadAttention) or target_name(node) == "scaled_dot_product_attention":
        del seen["attention products"]
    return seen


def thop_of(module: nn.Module, given: Tensor | None, value: Any) -> dict[str, int]:
    """What thop counts for one call of a layer, by kind."""
    kind, layer = type(module), cast(Any, module)
    if given is None or not isinstance(value, Tensor):
        return {}
    if kind in _CONVOLUTIONS:
        return {"convolutions": value.numel() * (given.shape[1] // layer.groups) * prod(layer.weight.shape[2:])}
    if kind is nn.Linear:
        return {"linear layers": layer.in_features * value.numel()}
    if kind in _NORMS:
        scaled = getattr(layer, "affine", False) or getattr(layer, "elementwise_affine", False)
        return {"normalisation": given.numel() * (4 if scaled else 2)}
    if kind in _ADAPTIVE:
        blocks = prod(given.shape[2:]) / prod(value.shape[2:])
        return {"pooling": int((blocks + 1) * value.numel())}
    if kind in _AVERAGE:
        return {"pooling": value.numel()}
    if kind is nn.Softmax:
        n = given.shape[layer.dim]
        return {"softmax": given.numel() // n * (3 * n - 1)}
    if kind is nn.PReLU:
        return {"softmax": given.numel()}
    if kind in (nn.Upsample, nn.UpsamplingBilinear2d, nn.UpsamplingNearest2d):
        return {"resizing": _UPSAMPLE.get(layer.mode, 0) * value.numel()}
    return {}
