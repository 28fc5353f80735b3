"""The cost of the parts of adapters, in closed form. Multiply-adds are those of convolutions and matrix products."""

from __future__ import annotations

from ..data.values import Price

#: The price of an operation without multiply-adds and without weights.
NOTHING = Price(params=0, macs=0, size=0)


def weights(inputs: int, outputs: int, positions: int, *, bias: bool) -> Price:
    """A convolution or a Linear: `inputs` numbers at each of `positions` make `outputs`."""
    params = inputs * outputs + bias * outputs
    return Price(params=params, macs=inputs * outputs * positions, size=4 * params)


def norm(channels: int) -> Price:
    """A BatchNorm: scale and shift as parameters; in the file also running mean, variance and count of batches."""
    return Price(params=2 * channels, macs=0, size=4 * 4 * channels + 8)


def layer_norm(channels: int) -> Price:
    """A LayerNorm: scale and shift."""
    return parameters(2 * channels)


def parameters(count: int) -> Price:
    """`count` parameters that are only added, such as a position embedding."""
    return Price(params=count, macs=0, size=4 * count)


def attention(channels: int, positions: int) -> Price:
    """Self-attention: projections to queries, keys and values and of the output, with biases, and its two products."""
    products = Price(params=0, macs=2 * positions * positions * channels, size=0)
    return (
        weights(channels, 3 * channels, positions, bias=True)
        + products
        + weights(channels, channels, positions, bias=True)
    )
