"""How to heal, and what healing did: plain data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .pass_options import HealOptions


@dataclass(frozen=True)
class Options:
    """How to heal.

    batch: images of a forward pass. ridges: penalties to choose among, relative to the mean square of a feature. rows:
    positions that an operator is refitted on, at most, evenly spaced. features: an operator with more input features is
    not refitted. layers: blocks behind the seam that are healed, None for all. sweeps: 1 refits operators one by one;
    each further one takes a Gauss-Newton step for the whole of a block after it (see `heal/gauss_newton.py`). target:
    the models whose mean the classifier follows in the end ("auto", "back", "front", "both"; see `heal/classifier.py`).
    flips: whether mirror images serve too, where the models give them the same class. max_memory: bytes that healing
    may take at one moment (see `data/memory.py`), None for 2 GiB.
    """

    batch: int = 64
    ridges: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    rows: int = 200_000
    features: int = 4608
    layers: int | None = None
    sweeps: int = 2
    target: str = "auto"
    flips: bool = False
    max_memory: int | None = None


def healing_options(said: HealOptions, max_memory: int | None, base: Options | None = None) -> Options:
    """How to heal, as a pass or a record of options says it. max_memory: None for what `base` says, as for the rest."""
    base = base or Options()
    limit = base.max_memory if max_memory is None else max_memory
    return replace(
        base, layers=said.heal_layers, sweeps=said.heal_sweeps, target=said.heal_target, flips=said.heal_flips,
        max_memory=limit,
    )  # fmt: skip


@dataclass(frozen=True)
class HealedBlock:
    """What became of one block.

    name: its path in the stitched network. operators: how many were refitted. ridge: the largest that was chosen in it.
    divergence, agreement: on the held-out images, with this block as it stays. kept: whether the refit did.
    """

    name: str
    operators: int
    ridge: float
    divergence: float
    agreement: float
    kept: bool


@dataclass(frozen=True)
class Followed:
    """What became of the classifier, refitted toward the mean of several models after all blocks were healed.

    models: their indices in the plan. pull: what holds its weights back, as it was chosen. divergence, agreement: of
    the hybrid with that mean on the held-out images, before (nats, and a share of the images); followed_divergence,
    followed_agreement: after. kept: whether the refit was.
    """

    models: tuple[int, ...]
    pull: float
    divergence: float
    agreement: float
    followed_divergence: float
    followed_agreement: float
    kept: bool


@dataclass(frozen=True)
class Calibrated:
    """What became of the logits in the end.

    scale: what they were multiplied by, 1 where nothing else came nearer. divergence: the mean divergence of the hybrid
    from what its classifier follows, in nats, on the held-out images, before; calibrated_divergence: after.
    """

    scale: float
    divergence: float
    calibrated_divergence: float


@dataclass(frozen=True)
class Healing:
    """What healing did, measured on probe images that were held out.

    images, held_out: how many. divergence: the mean Kullback-Leibler divergence, in nats, of the hybrid's classes from
    the parent's, before; at the best factor on its logits, as of the blocks, where `calibrated` is given. agreement:
    the share of the images to which both give the same class, before. blocks: what became of each, in the order in
    which they were refitted. followed: what became of the classifier then, None where it stayed with its own parent.
    mirrored: whether mirror images are among the images. calibrated: what became of the logits last, None where the
    classifier was not healed.
    """

    images: int
    held_out: int
    divergence: float
    agreement: float
    blocks: tuple[HealedBlock, ...] = ()
    followed: Followed | None = None
    mirrored: bool = False
    calibrated: Calibrated | None = None

    @property
    def healed_divergence(self) -> float:
        """The divergence in nats after all blocks."""
        return self.blocks[-1].divergence if self.blocks else self.divergence

    @property
    def healed_agreement(self) -> float:
        """The agreement, in [0, 1], after all blocks."""
        return self.blocks[-1].agreement if self.blocks else self.agreement
