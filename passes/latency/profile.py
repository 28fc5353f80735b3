"""One profile of a network: how long the segments between its cuts take, each run timed at every cut."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch.fx import Graph, GraphModule, Node

from ..graphs.placement import exactly, on_device
from .backends import on_backend
from .clock import Clock, device_name, measure, samples, timing


class Store(Protocol):
    """Where measurements are kept: bytes by a key that is the hash of all that they depend on."""

    def read(self, key: str) -> bytes | None: ...

    def write(self, key: str, content: bytes) -> None: ...


#: Numbers that were measured, and whether the machine was quiet meanwhile.
Measured = tuple[list[float], bool]


def profile(
    graph: GraphModule, size: Sequence[int], cuts: Sequence[str], *, backend: str, device: str, store: Store | None
) -> tuple[np.ndarray, bool]:
    """Milliseconds of each segment, for one image, whose sum is what the whole takes: float64 [cuts + 1]. And whether
    the machine was quiet meanwhile.

    The segments are timed in eager mode; another backend takes the same shares of its own time for the whole.
    """
    subject = f"{graph} {list(size)} {list(cuts)}"

    def take() -> Measured:
        return _profile(graph, size, cuts, backend, device)

    found, is_steady = kept(store, subject, backend, device, take, count=len(cuts) + 1)
    return np.array(found), is_steady


def kept(
    store: Store | None, subject: str, backend: str, device: str, take: Callable[[], Measured], *, count: int = 1
) -> Measured:  # fmt: skip
    """`count` numbers that were measured before under the same conditions on the same subject, or are now. What was
    measured on a busy machine is not kept for others."""
    conditions = [subject, device_name(device), torch.get_num_threads(), backend, torch.__version__]
    key = hashlib.sha256(json.dumps(conditions).encode()).hexdigest()
    known = _times(store.read(key), count) if store is not None else None
    if known is not None:
        return known, True
    numbers, is_steady = take()
    if store is not None and is_steady:
        store.write(key, json.dumps(numbers).encode())
    return numbers, is_steady


def _times(content: bytes | None, count: int) -> list[float] | None:
    """What a store has kept, if it is that many measured times."""
    try:
        found = json.loads(content) if content is not None else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, list) or len(found) != count:
        return None
    return found if all(type(ms) in (int, float) and 0 <= ms < math.inf for ms in found) else None


def _profile(graph: GraphModule, size: Sequence[int], cuts: Sequence[str], backend: str, device: str) -> Measured:
    clock, marks = Clock(device), []
    graph = on_device(graph, exactly(device))
    stamped = _stamped(graph, cuts, lambda: marks.append(clock.mark()))
    image = torch.zeros(1, *size, device=device)

    def run() -> list[Any]:
        marks[:] = [clock.mark()]
        stamped(image)
        marks.append(clock.mark())
        return list(marks)

    with torch.inference_mode():
        found = np.array(samples(run, clock))
    segments = np.median(found, axis=0)
    # The medians of parts do not add up to the median of the whole.
    whole = timing(found.sum(axis=1).tolist(), device)
    if backend != "eager":
        whole = measure(on_backend(backend, graph, image), image, device=device, backend=backend)
    return (segments * (whole.median_ms / segments.sum())).tolist(), whole.is_steady


def _stamped(graph: GraphModule, cuts: Sequence[str], stamp: Callable[[], None]) -> GraphModule:
    """The graph, sharing its weights, with a call of `stamp` after each cut."""
    copy, wanted = Graph(), set(cuts)
    made: dict[Node, Node] = {}
    for node in graph.graph.nodes:
        made[node] = copy.node_copy(node, made.__getitem__)
        if node.name in wanted:
            copy.call_function(stamp)
    return GraphModule(graph, copy).eval()
