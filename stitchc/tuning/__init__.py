"""Training a stitched artifact: the adapter alone, or with the fragments before or after it, or all.

`tune` is the whole of it. settings.py: the options and the papers' presets. parts.py: what trains and what stands
still. views.py: augmented images, the same for the same seed. features.py: what frozen parts compute, kept.
teachers.py: distillation. engine.py: one device, or many processes. loop.py: the steps. checkpoint.py: where to go on.
emit.py: the artifact anew. whole.py: the same training for a network that is no artifact.
"""

from .run import Tuned, tune
from .settings import PRESETS, Settings
from .whole import train
