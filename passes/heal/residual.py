"""The output that an operator in a residual branch should have, so that the sum is right and not only its branch.

With s = P(y) + r, where P leads from the operator's output y to the sum, r is the other branch, and the parent has
s* = P(y*) + r*, the sum is right when y = y* + P^-1 (r* - r). P may be any chain of nodes that scales and permutes
elements: Identity, Dropout, a folded BatchNorm, layer scale, permutations, windows, rolls. Whether P is of this
form is tested numerically: for P(y) = D M y + c with a permutation M and a diagonal D, P'P = M' D^2 M is diagonal,
so that P^-1 v = P' v / (P' P 1), with P' the transpose that torch's autograd gives.
"""

from __future__ import annotations

import operator as op
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from ..graphs.conventions import is_tensor, target_name
from .values import Values

_SUMS = (op.add, op.iadd, torch.add)
_LONGEST = 16  # nodes of a branch between its last operator and the sum


@dataclass(frozen=True)
class Branch:
    """How an operator's output reaches a sum. start: the operator's node. chain: the nodes between. other: what is
    added to it."""

    start: Node
    chain: tuple[Node, ...]
    other: Node

    @property
    def beside(self) -> list[Node]:
        """The integers and parameters that the chain reads beside its value."""
        inside = {self.start, *self.chain}
        return [n for node in self.chain for n in node.all_input_nodes if n not in inside]

    def inverse(self, values: Values, known: Mapping[Node, Any], y: Tensor, v: Tensor) -> Tensor:
        """P^-1 v, the change of an output like y that changes the end of the chain by v; 0 where nothing does."""
        if not self.chain:
            return v
        with torch.enable_grad():
            zero = torch.zeros_like(y).requires_grad_()
            end = values.through(self.chain, self.start, zero, known)
            (back,) = torch.autograd.grad(end, zero, v, retain_graph=True)
            ones = values.through(self.chain, self.start, torch.ones_like(y), known) - end
            (square,) = torch.autograd.grad(end, zero, ones.detach())
        usable = square > 1e-8 * square.amax()
        return torch.where(usable, back / torch.where(usable, square, 1), 0)

    def invertible(self, values: Values, known: Mapping[Node, Any], y: Tensor) -> bool:
        """Whether the chain is affine and a scaled permutation of elements, tested on random numbers in the shape of
        y."""
        if not self.chain:
            return True
        generator = torch.Generator(y.device).manual_seed(0)
        probe = torch.randn(y.shape, generator=generator, device=y.device)
        shown = (torch.zeros_like(y), probe, 2 * probe)
        zero, once, twice = (values.through(self.chain, self.start, x, known) for x in shown)
        if not torch.allclose(twice - once, once - zero, rtol=1e-3, atol=1e-4):
            return False
        again = self.inverse(values, known, y, once - zero)
        reached = again != 0
        return bool(reached.any()) and torch.allclose(again[reached], probe[reached], rtol=1e-2, atol=1e-3)


def branch_of(node: Node, position: Mapping[Node, int], healed: Container[Node]) -> Branch | None:
    """The sum that a node's value flows into alone, where the other summand is final by then; None where none is.

    healed: the operators that are healed, in graph order.
    """
    chain: list[Node] = []
    here = node
    while len(chain) <= _LONGEST and len(here.users) == 1:
        user = next(iter(here.users))
        tensors = [n for n in user.all_input_nodes if is_tensor(n) and n.op != "get_attr"]
        if _is_sum(user) and len(tensors) == 2:
            (other,) = [n for n in tensors if n is not here]
            known = other.meta["shape"] == here.meta["shape"] and not _waits(other, node, position, healed)
            return Branch(node, tuple(chain), other) if known else None
        if tensors != [here] or not is_tensor(user):
            return None
        chain.append(user)
        here = user
    return None


def _waits(other: Node, node: Node, position: Mapping[Node, int], healed: Container[Node]) -> bool:
    """Whether `other` needs the node itself, or an operator that is healed after it."""
    first = position[node]
    seen, stack = {other}, [other]
    while stack:
        here = stack.pop()
        if here is node or (here in healed and position[here] > first):
            return True
        new = [n for n in here.all_input_nodes if n not in seen]
        seen.update(new)
        stack += new
    return False


def _is_sum(node: Node) -> bool:
    name = target_name(node)
    adds = node.target in _SUMS or (node.op == "call_method" and name in ("add", "add_"))
    return adds and not node.kwargs
