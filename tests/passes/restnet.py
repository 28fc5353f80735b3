"""ReStNet's networks: those of the example."""

import importlib.util
from pathlib import Path

from torch import nn

_SPEC = importlib.util.spec_from_file_location("nets", Path(__file__).parents[2] / "examples" / "restnet_nets.py")
_NETS = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_NETS)


def make(name: str, classes: int = 10) -> nn.Module:
    """VGG11, VGG19 or ResNet34 for 32x32 images, in eval mode."""
    return _NETS.make(name, num_classes=classes)


def path(name: str, unit: str) -> str:
    """The path of a unit in the network of that name, as the paper calls it."""
    if name == "ResNet34":
        return unit
    return f"{'classifier' if unit.startswith('fc') else 'features'}.{unit}"
