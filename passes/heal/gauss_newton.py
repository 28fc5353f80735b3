"""All operators of a block at once: a Gauss-Newton step on what the block gives, non-linearities included.

Refitted one by one, operators follow the parent's value at every node, even where a ReLU behind them throws the
difference away. The step is free of that: with e = y* - f(w), what the block's output lacks, and J its derivative by
the weights, it solves (J'J + damping) d = J'e by conjugate gradients. J d and J'v are a forward and a backward pass, so
that no matrix is ever made. J'J is averaged over as many images as it takes to see every weight often; J'e is of all.
What stops it is the error on held-out images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast
from warnings import catch_warnings, simplefilter

import torch
from torch import Tensor
from torch.func import functional_call, jvp, vjp
from torch.fx import GraphModule, Node
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..data.chain import Chain
from ..graphs.compose import fragment
from ..graphs.conventions import result
from ..graphs.live import value_bytes
from .blocks import Block
from .least_squares import tensors
from .probe import Probe
from .values import Values

ITERATIONS = 8
SEEN = 30  # output values for each weight of the block that J'J is averaged over; more hardly change it
DAMPING = 1e-4  # of the curvature along the gradient
GAIN = 1e-3  # of the held-out error: what an iteration has to take off it for another to follow

# What torch says of an operator that has no derivative in forward mode: a block with one stays as it is.
_NO_FORWARD_DERIVATIVE = "forward AD"

Weights = dict[str, Tensor]
Pulled = tuple[Tensor, Callable[[Tensor], tuple[Weights]]]
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class _Fit:
    """A block as a function of its weights, and the values it should give."""

    hybrid: Values
    probe: Probe
    chain: Chain
    start: Node
    end: Node
    pieces: int

    @property
    def images(self) -> int:
        """How many images are not held out."""
        return sum(len(chunk.members) for chunk in self.probe.chunks if not chunk.held_out)

    def rows(self, held_out: bool) -> Iterator[tuple[Tensor, Tensor]]:
        """The block's input and the output it should have, of at most `pieces` images at once."""
        for x, y in self._chunks(held_out):
            if len(x) == len(y):  # what folds windows into the batch stays together
                yield from zip(x.split(self.pieces), y.split(self.pieces), strict=True)
            else:
                yield x, y

    def _chunks(self, held_out: bool) -> Iterator[tuple[Tensor, Tensor]]:
        here = self.hybrid.position[self.start]
        for chunk in self.probe.chunks:
            if chunk.held_out != held_out:
                continue
            (x,) = self.hybrid(chunk, [self.start], lambda n: self.hybrid.last[n] >= here or n is self.start)
            part, name = self.end.meta["origin"]
            model = self.chain.models()[part]
            node = self.probe.nodes[model][name]
            position = self.probe.parents[model].position[node]
            yield x, self.probe.parent(model, chunk, [node], position)[0]


def gauss_newton_step(hybrid: Values, probe: Probe, chain: Chain, block: Block, end: Node) -> bool:
    """One step for the weights of a block's operators, in place. Returns whether there was one to take.

    end: the value that should become the parent's.
    """
    whole = hybrid.graph
    last = None if end is result(whole.graph) else end.name
    network = fragment(whole, None if block.start.op == "placeholder" else block.start.name, last)
    names = {id(tensor): name for name, tensor in network.named_parameters()}
    held = {names[id(t)]: t for operator in block.operators for t in tensors(operator) if id(t) in names}
    fit = _Fit(hybrid, probe, chain, block.start, end, _images_at_once(network, probe.shares.running))

    def run(weights: Weights, x: Tensor) -> Tensor:
        return functional_call(network, weights, (x.clone(),))  # cloned: a ReLU may write to it

    start = {name: tensor.detach().clone() for name, tensor in held.items()}
    try:
        with sdpa_kernel(SDPBackend.MATH), catch_warnings():  # the attention that has derivatives of both kinds
            simplefilter("ignore", FutureWarning)  # of torch's own making, on the first forward derivative
            better = _descend(run, start, fit)
    except NotImplementedError as error:
        if _NO_FORWARD_DERIVATIVE not in str(error):
            raise
        return False
    if better is None:
        return False
    for name, tensor in held.items():
        tensor.data.copy_(better[name])
    hybrid.forget(hybrid.position[block.start])
    return True


def _images_at_once(network: GraphModule, limit: int) -> int:
    """A backward pass needs all values of a network, a forward derivative the same again, and what runs a share."""
    values = sum(value_bytes(node) for node in network.graph.nodes)
    return max(1, limit // max(1, 3 * values))


def _descend(run: Callable[[Weights, Tensor], Tensor], start: Weights, fit: _Fit) -> Weights | None:
    """Conjugate gradients from `start` to the weights with the least held-out error; None if no step lowers it."""

    def of(x: Tensor) -> Callable[[Weights], Tensor]:
        return lambda weights: run(weights, x)

    def error(weights: Weights) -> float:
        return sum(float((run(weights, x) - y).square().sum()) for x, y in fit.rows(fit.probe.held_out[0].held_out))

    def gradient() -> Weights:
        total = {name: torch.zeros_like(w) for name, w in start.items()}
        for x, y in fit.rows(False):
            out, back = cast(Pulled, vjp(of(x), start))
            _add(total, back(y - out)[0])
        return total

    def curvature(direction: Weights) -> Weights:
        total = {name: torch.zeros_like(w) for name, w in start.items()}
        images = values = 0
        for x, y in fit.rows(False):
            _, along = cast(Pair, jvp(of(x), (start,), (direction,)))
            _, back = cast(Pulled, vjp(of(x), start))
            _add(total, back(along)[0])
            images, values = images + len(x), values + y.numel()
            if values >= SEEN * unknowns:
                break
        return {name: value * (fit.images / images) for name, value in total.items()}

    unknowns = sum(w.numel() for w in start.values())
    least, best = error(start), None
    left = gradient()
    direction, step = left, {name: torch.zeros_like(w) for name, w in start.items()}
    size, damping = _dot(left, left), 0.0
    for iteration in range(ITERATIONS):
        curved = curvature(direction)
        along = _dot(direction, direction)
        if iteration == 0:
            damping = DAMPING * _dot(direction, curved) / max(along, 1e-30)
        along_curvature = _dot(direction, curved) + damping * along
        if not along_curvature > 0:
            break
        length = size / along_curvature
        _add(step, direction, length)
        left = {name: left[name] - length * (curved[name] + damping * direction[name]) for name in left}
        reached = {name: start[name] + step[name] for name in start}
        far = error(reached)
        if far < least:
            best = reached
        if far > (1 - GAIN) * least:
            break
        least = far
        size, before = _dot(left, left), size
        direction = {name: left[name] + size / before * direction[name] for name in left}
    return best


def _add(total: Weights, more: Weights, factor: float = 1.0) -> None:
    for name, value in more.items():
        total[name] = total[name] + factor * value


def _dot(a: Weights, b: Weights) -> float:
    return sum(float((a[name].double() * b[name].double()).sum()) for name in a)
