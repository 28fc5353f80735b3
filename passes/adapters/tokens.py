"""Prefix tokens (class, distillation, registers): what is done with the front's, and how the back's are made.

carry   the front's go through the same matrix and stay prefix tokens; as many on both sides
drop    the front's are left out; the back has none
concat  each of the front's is concatenated to every pixel, so there are that many times more channels to project; the
        back has none (Traft and Cheney 2025, for a front with a class token and a back without)
mean    each of the back's is the mean of the pixels (the same, for a front without and a back with)
zeros   each of the back's is zero
learned each of the back's is a parameter; fitted, it is the mean that it has in the back's own network
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..data.values import Value

#: Of an adapter; "auto" is `carry` where both sides have equally many, `drop` where the back has none, else `mean`.
RULES = ("auto", "carry", "drop", "concat", "mean", "zeros", "learned")


def resolve(rule: str, front: Value, back: Value) -> str:
    """The rule that holds between two values: "" where neither has prefix tokens."""
    if rule != "auto":
        return rule
    if back.layout == "NC" or not (front.tokens or back.tokens):
        return ""
    if not back.tokens:
        return "drop"
    return "carry" if front.tokens == back.tokens else "mean"


def refuses(rule: str, front: Value, back: Value) -> str:
    """Why an explicit rule cannot hold between two values; "" when it can."""
    if rule == "auto":
        return ""
    if back.layout == "NC":
        return "" if rule == "drop" else f"a vector has no prefix tokens to {rule}"
    if rule == "carry" and not front.tokens == back.tokens > 0:
        return f"tokens=carry needs as many prefix tokens on both sides, not {front.tokens} and {back.tokens}"
    if rule in ("drop", "concat") and (back.tokens or not front.tokens):
        return (
            f"tokens={rule} needs a front with prefix tokens and a back without, not {front.tokens} and {back.tokens}"
        )
    if rule in ("mean", "zeros", "learned") and not back.tokens:
        return f"tokens={rule} makes prefix tokens, and the back has none"
    return ""


def channels(rule: str, front: Value) -> int:
    """Channels of the front's pixels after the rule is applied: more where tokens are concatenated."""
    return front.channels * (1 + front.tokens) if rule == "concat" else front.channels


def concat(pixels_NLC: Tensor, x: Tensor, front: Value) -> Tensor:
    """Every prefix token of x [N, L, C] behind every pixel's channels."""
    tokens = x[:, : front.tokens].flatten(1).unsqueeze(1)
    return torch.cat([pixels_NLC, tokens.expand(-1, pixels_NLC.shape[1], -1)], dim=2)


def prefix(rule: str, pixels_NLC: Tensor, count: int, learned: Tensor | None) -> Tensor:
    """`count` prefix tokens before the pixels."""
    if rule == "learned":
        assert learned is not None
        made = learned.expand(pixels_NLC.shape[0], -1, -1)
    else:
        mean = pixels_NLC.mean(1, keepdim=True)
        made = torch.cat([mean] * count, dim=1) if rule == "mean" else torch.zeros_like(mean).expand(-1, count, -1)
    return join(made, pixels_NLC)


def join(prefix_NLC: Tensor, pixels_NLC: Tensor) -> Tensor:
    """Prefix tokens, then pixels, along the token axis."""
    return torch.cat([prefix_NLC, pixels_NLC], dim=1)
