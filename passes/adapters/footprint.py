"""The tensors of an adapter in the weights file, and the peak memory of its forward pass, without running it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

import torch

from ..data.values import Value
from ..data.weights_file import Entry
from ..graphs.operators import peak_bytes

if TYPE_CHECKING:
    from .kind import Kind
    from .projection import Projection


@dataclass(frozen=True)
class Footprint:
    """Weights and memory of an adapter. entries: the tensors in the weights file, by their keys within the adapter.
    memory_bytes: peak allocation for one image in float32, output included, input not."""

    entries: tuple[Entry, ...]
    memory_bytes: int


@lru_cache(maxsize=1 << 12)
def footprint(kind: Kind, front: Value, back: Value) -> Footprint:
    """The footprint of a kind between two values: in closed form where there is one; otherwise measured by a run on the
    device "meta", which takes a thousand times as long."""
    return kind.footprint(front, back) or _run(kind, front, back)


def _run(kind: Kind, front: Value, back: Value) -> Footprint:
    with torch.device("meta"):
        adapter = kind(front, back).eval()
    state = adapter.state_dict().items()
    entries = (Entry(key, tuple(t.shape), "F32" if t.is_floating_point() else "I64") for key, t in state)
    return Footprint(tuple(entries), peak_bytes(adapter, front.shape))


def of_projection(kind: Projection, front: Value, back: Value) -> Footprint | None:
    """The footprint of a plain linear map at every position; None for a projection with norms, rank or position bias.

    Each step reads only the output of the step before, so at most two outputs are in memory at a time.
    """
    rule = kind.rule(front, back)
    around = kind.norm != "none" or kind.rank is not None or kind.position != "none"
    if around or kind.steps or kind.by != "bilinear" or rule in ("concat", "zeros", "learned"):
        return None
    same, place, relu = front.grid == back.grid, kind.place(front, back), kind.relu
    inputs, outputs = front.channels, back.channels
    if back.layout == "NC":
        steps = [0 if front.layout == "NC" else inputs, outputs, relu * outputs]
        return _footprint(kind, inputs, outputs, True, _highest(steps))
    if kind.kernel > 1 or not (rule == "carry" or (same and "NCHW" not in (front.layout, back.layout))):
        smaller = 0 if same or place != "before" else inputs * back.pixels
        made = outputs * (front.pixels if place == "after" else back.pixels)
        larger = 0 if same or place != "after" else outputs * back.pixels
        last = outputs * back.pixels
        steps = [_moved(front), smaller, made, larger, relu * last, _moved(back)]
        return _footprint(kind, inputs, outputs, False, max(_highest(steps), _prefixed(rule, back)))
    if same or rule != "carry":
        last = outputs * (prod(front.shape) // inputs if rule == "carry" else back.pixels)
        return _footprint(kind, inputs, outputs, True, max(_highest([last, relu * last]), _prefixed(rule, back)))
    whole = prod(back.shape)
    if place == "before":
        steps = [_moved(front), inputs * back.pixels, inputs * (back.tokens + back.pixels), whole, relu * whole]
        return _footprint(kind, inputs, outputs, True, _highest(steps))
    projected, resized = outputs * (front.tokens + front.pixels), outputs * back.pixels
    copied = outputs * front.pixels if outputs > 1 and front.pixels > 1 else 0
    most = max(projected + copied + resized, projected + resized + whole, whole + relu * whole)
    return _footprint(kind, inputs, outputs, True, most)


def _footprint(kind: Projection, inputs: int, outputs: int, matrix: bool, numbers: int) -> Footprint:
    shape = (outputs, inputs) if matrix else (outputs, inputs, kind.kernel, kind.kernel)
    bias = (Entry("project.bias", (outputs,)),) if kind.bias else ()
    return Footprint((Entry("project.weight", shape), *bias), 4 * numbers)


def _highest(steps: Sequence[int]) -> int:
    """The largest sum of two consecutive outputs; steps of size 0 do nothing."""
    made = [size for size in steps if size]
    return max(a + b for a, b in pairwise([0, *made]))


def _moved(value: Value) -> int:
    """Elements copied by a conversion between maps and this value's layout."""
    return value.channels * value.pixels if value.layout != "NCHW" and value.channels > 1 and value.pixels > 1 else 0


def _prefixed(rule: str, back: Value) -> int:
    """Peak elements while the mean of the pixels is prepended to them."""
    if rule != "mean":
        return 0
    pixels, mean = back.channels * back.pixels, back.channels
    several = mean * back.tokens if back.tokens > 1 else 0
    return max(pixels + mean + several, pixels + (several or mean) + prod(back.shape))
