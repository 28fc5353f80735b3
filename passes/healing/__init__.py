"""Healing: the weights behind a seam refitted in closed form, block by block, toward the values that the parent has.

No labels, no gradients, no parameter more. docs/healing.md has the equations. The pass `heal` uses this, and whoever
wants to know what a candidate would be worth when healed:

    probe = Probe(plan.graphs, [model.input for model in plan.models], plan.images, Options(...), keep=True)
    healing = heal(stitched, probe, {"front": 0, "back": 1})     # in place; for the next one the parents are known

Names are loaded on first use, so that importing this package does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .probe import Probe
    from .record import HealedBlock, Healing, Options
    from .walk import heal

_HOME = {"HealedBlock": "record", "Healing": "record", "Options": "record", "Probe": "probe", "heal": "walk"}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
