"""What polishing did: plain data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Polishing:
    """A training toward the outputs of other networks, on the probe images and without labels.

    teachers: the names of the networks. images, held_out: how many were trained on, and how many were not and decide.
    steps: of the optimizer, each of `batch` images. kept: after how many of them the network was best on the held-out
    images, 0 where none made it better. divergence, agreement: on those, before: the mean Kullback-Leibler divergence
    in nats from the teachers' probabilities at the temperature of the training, times its square, and the share of the
    images that get the class that the teachers say; polished_divergence, polished_agreement: of what was kept.
    """

    teachers: tuple[str, ...]
    images: int
    held_out: int
    steps: int
    batch: int
    kept: int
    divergence: float
    agreement: float
    polished_divergence: float
    polished_agreement: float
