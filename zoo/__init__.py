"""Models and images by name: what `stitchc.passes` is given to work on.

    from stitchc import zoo
    model = zoo.load("timm/resnet50.a1_in1k")     # a Model: the module, its input transform, its licence
    images = zoo.images("folder:photos?limit=512")

Names are loaded on first use, so that importing this package does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .image_sets import images
    from .loading import load, pack
    from .naming import names

_HOME = {"images": "image_sets", "load": "loading", "names": "naming", "pack": "loading"}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
