"""The mappings in a file that may be a network's weights.

People keep one network in many wrappings: under `state_dict`, `model`, `net`, beside moving averages, optimizers and
counters. So every mapping of tensors at any depth is a candidate, moving averages first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_MOST_DEPTH = 32
_MOST_ITEMS = 1000  # of a list
_AVERAGES = {"ema", "swa", "avg", "averaged", "average", "shadow", "polyak", "modelema", "emamodel"}
#: What training keeps under the names of parameters, and is none.
_NO_WEIGHTS = re.compile(r"optim|scheduler|scaler|exp_avg|momentum|grads?$", re.IGNORECASE)
#: Last parts of names that no forward in eval mode reads, or that the constructor makes anew.
BOOKKEEPING = {
    "num_batches_tracked", "n_averaged", "total_ops", "total_params", "_extra_state", "position_ids",
    "relative_position_index", "attn_mask", "initted", "step", "decay", "num_updates", "_float_tensor",
}  # fmt: skip
#: How averages lie beside the weights that they are of, under names whose dots something else stands for: OpenMMLab's
#: (open-mmlab/mmcv, ExpMomentumEMAHook), and those of latent diffusion (CompVis, LitEma).
_FLAT = (("ema_", "_"), ("model_ema.", ""))


@dataclass(frozen=True)
class Envelope:
    """A mapping of tensors in a file. key: the way to it, "" for the file itself."""

    key: str
    state: Mapping[str, Tensor] = field(repr=False)


def envelopes(content: Any) -> list[Envelope]:
    """The mappings of tensors in what a file holds, moving averages first, then in the order of the file; last, those
    that are put together from their parts."""
    found: list[Envelope] = []
    joined: list[Envelope] = []
    for key, value in _walk(content):
        tensors = {name: tensor for name, one in value.items() if (tensor := _tensor(one)) is not None}
        own = {name: tensor for name, tensor in tensors.items() if isinstance(name, str)}
        if own:
            found += _apart(key, own)
        inner = [(name, one) for name, one in value.items() if isinstance(one, Mapping) and _may_hold_weights(name)]
        parts = {
            f"{name}.{last}": tensor
            for name, one in inner
            for last, value_ in one.items()
            if isinstance(last, str) and (tensor := _tensor(value_)) is not None
        }
        if len({name.partition(".")[0] for name in parts}) > 1:
            joined.append(Envelope(key, {**own, **parts}))
    return sorted(found, key=lambda envelope: not is_average(envelope.key)) + joined


def _apart(key: str, state: Mapping[str, Tensor]) -> list[Envelope]:
    """A mapping, or the weights and the averages that lie in one mapping beside each other."""
    for lead, dot in _FLAT:
        flat = {name for name in state if name.startswith(lead) and "." not in name.removeprefix(lead)}
        raw = {name: tensor for name, tensor in state.items() if name not in flat}
        spelled = {
            lead + form.replace(".", dot): name for name in raw for form in (name.partition(".")[2], name) if form
        }
        averaged = {spelled[name]: state[name] for name in flat if name in spelled}
        if averaged and all(name in spelled or name.removeprefix(lead) in BOOKKEEPING for name in flat):
            inside = f"{key}.ema" if key else "ema"
            return [Envelope(inside, {**raw, **averaged}), Envelope(key, raw)]
    return [Envelope(key, state)]


def network(content: Any) -> nn.Module | None:
    """The network in a trusted file: a moving average if there is one, else the first."""
    found = [(key, value) for key, value in _values(content, "", 0, set()) if isinstance(value, nn.Module)]
    return min(found, key=lambda pair: not is_average(pair[0]))[1] if found else None


def _walk(content: Any) -> Iterator[tuple[str, Mapping[Any, Any]]]:
    """Every mapping in a file, and every network's state dict, with the way to it."""
    for key, value in _values(content, "", 0, set()):
        if isinstance(value, nn.Module):
            yield key, value.state_dict()
        elif isinstance(value, Mapping):
            yield key, value


def _values(value: Any, key: str, depth: int, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Every container and network in `value`, with the way to it."""
    if depth > _MOST_DEPTH or id(value) in seen or not isinstance(value, nn.Module | Mapping | list | tuple):
        return
    seen.add(id(value))
    yield key, value
    inner: list[tuple[str, Any]] = []
    if isinstance(value, Mapping):
        inner = [(name, one) for name, one in value.items() if _may_hold_weights(name)]
    elif isinstance(value, list | tuple) and len(value) < _MOST_ITEMS:
        inner = [(str(index), one) for index, one in enumerate(value)]
    for name, one in inner:
        yield from _values(one, f"{key}.{name}" if key else name, depth + 1, seen)


def _may_hold_weights(name: Any) -> bool:
    return isinstance(name, str) and not _NO_WEIGHTS.search(name)


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" and value.ndim:
        return torch.from_numpy(value)
    return None


def is_average(key: str) -> bool:
    """Whether a way into a file, or a prefix, names a moving average."""
    words = re.split(r"[^a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower())
    return not _AVERAGES.isdisjoint(words)
