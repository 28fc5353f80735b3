"""Training a stitched artifact: the adapter alone, or with the fragments before or after it, or all.

`tune` is the whole of it. settings.py: the options and the presets. run.py: from an artifact to the tuned one; job.py:
what is trained on what; outcome.py: what came of it. plain.py: a model that is no artifact yet. parts.py: what trains
and what stands still. views.py: augmented images, the same for the same seed; augment.py: how they are altered.
features.py: what frozen parts compute, kept. taught.py: whom it learns from; origins.py: the models that an artifact
was made from. engine.py: one device, or many processes. loop.py: the steps; state.py: how far they got and what is
best. layout.py: the order in memory. checkpoint.py: where to go on. emit.py: the artifact anew. whole.py: the same
training to a file of weights. Names are loaded on first use: the settings do without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .outcome import Tuned
    from .run import tune
    from .settings import PRESETS, Settings
    from .whole import train

_HOME = {"PRESETS": "settings", "Settings": "settings", "Tuned": "outcome", "train": "whole", "tune": "run"}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
