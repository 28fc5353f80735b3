"""The extra cost of layers whose input gets another number of channels, when an adapter folds into them.

They are convolutions without groups and Linear layers (see `graphs/fold.py`), whose multiply-adds and weights are
proportional to the channels that they read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..data import metrics
from ..data.metrics import CountedCall
from ..data.values import Price
from ..data.weights_file import Stored
from .count import NodeCost


def widened(readers: Sequence[NodeCost], channels: int, given: int) -> Price:
    """The change of every metric that is a sum when these layers read `given` channels instead of `channels`."""
    calls, wide_calls = list[CountedCall](), list[CountedCall]()
    stored, wide_stored = list[Stored](), list[Stored]()
    for reader in readers:
        assert reader.call
        weights = [tensor for tensor in reader.stored if len(tensor.entry.shape) > 1]
        wide_weights = [_wide(tensor, given) for tensor in weights]
        more = sum(t.entry.data_bytes for t in wide_weights) - sum(t.entry.data_bytes for t in weights)
        calls.append(reader.call)
        wide_calls.append(
            replace(
                reader.call,
                macs=reader.call.macs // channels * given,
                weights_bytes=reader.call.weights_bytes + more,
                input_bytes=reader.call.input_bytes // channels * given,
            )
        )
        stored += weights
        wide_stored += wide_weights
    return Price({
        metric.name: sum(metric.amounts(wide_calls, wide_stored)) - sum(metric.amounts(calls, stored))
        for metric in metrics.sums()
    })  # fmt: skip


def _wide(weight: Stored, given: int) -> Stored:
    """weight: [outputs, inputs, ...]."""
    shape = weight.entry.shape
    entry = weight.entry._replace(shape=(shape[0], given, *shape[2:]))
    return Stored(entry, weight.params // shape[1] * given)
