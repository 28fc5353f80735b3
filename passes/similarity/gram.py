"""Gram matrices of the values at cuts, taken while the graph runs: one forward pass, no activation kept."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

# Where less than this share of the energy remains once the images' mean is gone, a float32 Gram matrix of the features
# as they are would have rounded most of the remainder away.
_MEAN_DOMINATES = 1e-3


class GramRunner(Interpreter):
    """Runs a graph and takes the Gram matrix at each of `nodes`; a value is freed when its last user has run."""

    def __init__(self, graph: GraphModule, nodes: Sequence[str]):
        super().__init__(graph, garbage_collect_values=True)
        self.nodes = tuple(nodes)
        self._taken: dict[str, tuple[Tensor, float]] = dict.fromkeys(nodes, (torch.empty(0), 0.0))

    def grams(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """For images [n, channels, height, width]: the Gram matrices at all nodes, float64 [nodes, n, n], and the
        traces they would have without any centring, float64 [nodes]. NaN or infinite where the values are."""
        with torch.inference_mode():
            self.run(images)
        taken = [self._taken[name] for name in self.nodes]
        energies = torch.tensor([energy for _, energy in taken], dtype=torch.float64)
        return torch.stack([matrix for matrix, _ in taken]), energies

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if n.name in self._taken:  # now: an in-place ReLU may overwrite the value next
            self._taken[n.name] = gram(value)
        return value


def gram(value: Tensor) -> tuple[Tensor, float]:
    """The linear Gram matrix of a batch of values [n, ...], float64 [n, n] on the CPU, and its trace before centring.

    All features count, flattened. Their mean over the batch is taken away first where it dominates: every metric here
    centres anyway, and after a float32 product it is too late.
    """
    features = _flat(value)
    matrix = (features @ features.T).double()
    energy = matrix.trace().item()
    if not math.isfinite(energy) and features.dtype != torch.float64:
        return gram(value.double())  # squares may overflow float32 where the values do not
    spread = energy - matrix.sum().item() / len(features)
    if spread < _MEAN_DOMINATES * energy:
        features = features - features.mean(dim=0)
        matrix = (features @ features.T).double()
    return matrix.cpu(), energy


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
