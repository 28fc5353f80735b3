"""Gram matrices of the values at cuts, taken while the graph runs: one forward pass, no activation kept."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

# If centring leaves less than this share of the energy, a float32 Gram matrix of uncentred features would have lost
# most of the remainder to rounding.
_MEAN_DOMINATES = 1e-3
_ONE = torch.ones(())


class Gram(NamedTuple):
    """scale^2 * matrix is the linear Gram matrix [n, n] of a batch of values; scale^2 * energy is the trace that it has
    without any centring. All stay on the device of the values, so that the host does not wait for it."""

    matrix: Tensor
    energy: Tensor
    scale: Tensor


class GramRunner(Interpreter):
    """Runs a graph and takes the Gram matrix at each of `nodes`; a value is freed when its last user has run.

    pools: for some of the nodes, what takes the value to the features to compare; all features where there is none.
    """

    def __init__(
        self, graph: GraphModule, nodes: Sequence[str], pools: Mapping[str, Callable[[Tensor], Tensor]] | None = None
    ):
        super().__init__(graph, garbage_collect_values=True)
        self.nodes = tuple(nodes)
        self._pools = pools or {}
        self._taken: dict[str, Gram | None] = dict.fromkeys(nodes)

    def grams(self, images: Tensor) -> Gram:
        """For images [n, channels, height, width], all nodes stacked: matrices [nodes, n, n], energies and scales
        [nodes]. Not finite where the values are not. On an accelerator it is still under way when this returns."""
        with torch.inference_mode():
            self.run(images)
            taken = [self._taken[name] for name in self.nodes]
            return Gram(*(torch.stack(parts) for parts in zip(*taken, strict=True)))

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n.name in self._taken:  # at once: an in-place ReLU may overwrite the value next
            pool = self._pools.get(n.name)
            self._taken[n.name] = gram(pool(value) if pool else value)
        return value


def gram(value: Tensor) -> Gram:
    """The linear Gram matrix of a batch of values [n, ...].

    All features are flattened. The product is taken in float32. Every metric centres, and centring after the product
    loses precision, so the mean over the batch is subtracted first; on a CPU only where it dominates.
    """
    features = _flat(value)
    return _gram_on_cpu(features) if features.device.type == "cpu" else _gram_on_accelerator(features)


def whole(taken: Gram) -> tuple[Tensor, Tensor]:
    """Matrices and energies in float64 on the CPU: [nodes, n, n] and [nodes]. Synchronises with the device."""
    squares = taken.scale.cpu().double().square()
    return taken.matrix.cpu().double() * squares[..., None, None], taken.energy.cpu().double() * squares


@np.errstate(over="ignore", invalid="ignore")  # non-finite results are handled below
def _gram_on_cpu(features: Tensor) -> Gram:
    matrix = _square(features)
    array = matrix.numpy()  # for so few elements NumPy is ten times as fast as torch
    energy = float(array.trace(dtype=np.float64))
    spread = energy - float(array.sum(dtype=np.float64)) / len(features)
    if not math.isfinite(spread) and features.dtype != torch.float64:
        return _gram_on_cpu(features.double())  # squares may overflow float32 where the values do not
    if spread < _MEAN_DOMINATES * energy:
        matrix = _square(features - features.mean(dim=0))
    return Gram(matrix, torch.tensor(energy, dtype=torch.float64), _ONE)


def _square(features: Tensor) -> Tensor:
    """The product with the transpose. BLAS spends most of its time on packing such a wide matrix: oneDNN, which torch
    reaches through this operator only, needs a third to a half of it."""
    if features.dtype == torch.float32 and hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return torch.ops.mkldnn._linear_pointwise(features, features, None, "none", [], "")
    return features @ features.T


def _gram_on_accelerator(features: Tensor) -> Gram:
    """Always scaled and centred: reading a number to decide would make the CPU wait for the device."""
    scale = features.abs().amax().clamp_min(torch.finfo(features.dtype).tiny)
    features = features / scale
    energy = features.square().sum()
    features = features - features.mean(dim=0)
    return Gram(features @ features.T, energy, scale)


def regroup(batches: Iterable[Tensor], sizes: Sequence[int]) -> Iterator[Tensor]:
    """The images of `batches` in blocks of the given sizes, in order, however they were batched."""
    wanted = list(reversed(sizes))
    held: list[Tensor] = []
    for batch in batches:
        held.append(batch)
        while wanted and sum(map(len, held)) >= wanted[-1]:
            images = held[0] if len(held) == 1 else torch.cat(held)
            size = wanted.pop()
            yield images[:size]
            held = [images[size:]]


def _flat(value: Tensor) -> Tensor:
    """[n, features]. The order of the features does not matter, so channels-last maps are flattened without a copy."""
    if value.dim() == 4 and not value.is_contiguous() and value.is_contiguous(memory_format=torch.channels_last):
        value = value.permute(0, 2, 3, 1)
    return value.flatten(1).to(torch.promote_types(value.dtype, torch.float32))
