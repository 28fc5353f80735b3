"""How long exact search takes: `python benchmarks/search.py [NAME...]`, one thread.

Spaces are synthetic: depths, widths and prices of networks as they are found in registries, losses that grow with the
distance in depth and differ from pair to pair.
"""

from __future__ import annotations

import numpy as np

from stitchc.passes.search.space import Space


def pool(networks: int, cuts: int, seed: int = 0, share: float = 0.5) -> Space:
    """Networks of 20 M to 20 G MACs and 1 M to 90 M parameters. Seams lead from any point between the ends of one to
    the `share` of such points of the others that lie least far ahead or behind, and forward rather than backward."""
    rng = np.random.default_rng(seed)
    points = cuts + 2
    macs = np.exp(rng.uniform(np.log(3e8), np.log(2e10), networks))
    params = macs**0.6 * np.exp(rng.normal(3.2, 0.5, networks))
    depth = np.sort(rng.random((networks, points)), axis=1)
    depth[:, 0], depth[:, -1] = 0, 1
    # Compute is spread evenly over depth, parameters stand toward the end.
    spread = np.stack([depth ** rng.uniform(0.8, 1.3, (networks, 1)), depth ** rng.uniform(1.5, 3.5, (networks, 1))], 2)
    work = np.round(spread * np.stack([macs, params], 1)[:, None])
    own = np.round(2**20 * (0.08 * np.log(2e10 / macs) / np.log(10) + rng.uniform(0, 0.04, networks))) / 2**20
    own_loss = np.round(2**20 * depth * own[:, None]) / 2**20
    model = np.repeat(np.arange(networks), points)
    flat, inner = depth.ravel(), np.tile(np.arange(points), networks)
    ahead = flat[None] - flat[:, None]
    between = (inner > 0) & (inner < points - 1)
    allowed = between[:, None] & between[None] & (model[:, None] != model[None])
    gap = np.where(allowed, np.where(ahead >= 0, ahead, -2 * ahead), np.inf)
    source, target = np.nonzero(gap <= np.quantile(gap[allowed], share))
    gap = gap[source, target]
    alike = rng.gamma(2, 0.02, (networks, networks))[model[source], model[target]]
    loss = alike + 0.5 * gap**1.5 + rng.gamma(1.5, 0.02, len(gap))
    # An adapter of 1x1: channels grow and maps shrink with depth.
    channels = np.round(rng.uniform(16, 64, networks)[model] * 16**flat)
    side = np.round(56 / 8**flat)
    weights = channels[source] * channels[target]
    cost = np.stack([weights * side[target] ** 2, weights], 1)
    return Space(
        model,
        work.reshape(-1, 2),
        source,
        target,
        cost,
        np.round(loss * 2**20) / 2**20,
        ("macs", "params"),
        own_loss=own_loss.ravel(),
    )
