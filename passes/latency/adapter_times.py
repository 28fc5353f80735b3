"""The latency of adapters: some are measured, the others predicted from their multiply-adds and memory traffic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .. import adapters as registry
from ..adapters.footprint import footprint
from ..data.values import Value
from .clock import measure
from .profile import Measured, Store, kept

MEASURED = 12  # of each kind
_SECONDS = 0.1  # for each

#: The value at a front's cut and the one that a back expects.
ValuePair = tuple[Value, Value]


def adapter_times(name: str, pairs: Sequence[ValuePair], *, device: str, store: Store | None) -> np.ndarray:
    """Milliseconds in eager mode of the adapter `name` between each two values, which it can join: float64 [pairs].

    With more than `MEASURED` pairs the times are a + b macs + c bytes, fitted to measured ones that are spread evenly
    over what the adapters take, each error relative to what was measured.
    """
    kind = registry.get(name)
    rows = []
    for front, back in pairs:
        price = kind.price(front, back)
        assert not isinstance(price, str), price
        rows.append((1.0, max(price.get("macs", 0), 0) / 1e6, (footprint(kind, front, back).memory_bytes) / 1e6))
    features = np.array(rows)
    order = np.argsort(features[:, 1] + features[:, 2], kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(MEASURED, len(order))).round().astype(int))]
    times = np.array([_time(name, pairs[i], device, store) for i in chosen])
    if len(chosen) == len(pairs):
        found = np.empty(len(pairs))
        found[chosen] = times
        return found
    return features @ _fit(features[chosen] / times[:, None])


def _fit(relative: np.ndarray) -> np.ndarray:
    """The coefficients, none below zero, with which every row sums up to nearly one."""
    kept_columns = list(range(relative.shape[1]))
    while True:
        found = np.linalg.lstsq(relative[:, kept_columns], np.ones(len(relative)), rcond=None)[0]
        if (found >= 0).all() or len(kept_columns) == 1:
            break
        del kept_columns[int(np.argmin(found * relative[:, kept_columns].mean(axis=0)))]
    coefficients = np.zeros(relative.shape[1])
    coefficients[kept_columns] = np.maximum(found, 0)
    return coefficients


def _time(name: str, pair: ValuePair, device: str, store: Store | None) -> float:
    front, back = pair

    def take() -> Measured:
        adapter = registry.built(name, front, back, seed=0).to(device)
        value = torch.zeros(1, *front.shape, device=device)
        found = measure(adapter, value, device=device, seconds=_SECONDS)
        return [found.median_ms], found.is_steady

    (found,), _ = kept(store, f"{name} {front} {back}", "eager", device, take)
    return found
