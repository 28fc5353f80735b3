"""What the parts of adapters take, in closed form. Multiply-adds as everywhere: convolutions and matrix products."""

from __future__ import annotations

from ..data.values import Price

#: Of what multiplies nothing and keeps nothing.
NOTHING = Price(params=0, macs=0, size=0)


def weights(inputs: int, outputs: int, positions: int, *, bias: bool) -> Price:
    """A convolution or a Linear: `inputs` numbers at each of `positions` make `outputs`."""
    params = inputs * outputs + bias * outputs
    return Price(params=params, macs=inputs * outputs * positions, size=4 * params)


def norm(channels: int) -> Price:
    """A BatchNorm: scale and shift; in the file also the running mean and variance, and the count of batches."""
    return Price(params=2 * channels, macs=0, size=4 * 4 * channels + 8)


def layer_norm(channels: int) -> Price:
    return parameters(2 * channels)


def parameters(count: int) -> Price:
    """Numbers that are added and multiply nothing."""
    return Price(params=count, macs=0, size=4 * count)


def attention(channels: int, positions: int) -> Price:
    """Queries, keys, values and the way out, with biases, and the two products of attention."""
    products = Price(params=0, macs=2 * positions * positions * channels, size=0)
    return (
        weights(channels, 3 * channels, positions, bias=True)
        + products
        + weights(channels, channels, positions, bias=True)
    )
