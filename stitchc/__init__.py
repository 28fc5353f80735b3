"""stitchc stitches trained vision networks into new ones that meet a budget.

    import stitchc
    plan = stitchc.compile("a.pt", "b.pt", budget={"flops": 12e6}, data="digits", out="hybrid/")
    model = stitchc.load("hybrid/")  # an nn.Module

Names are loaded on first use, so that `import stitchc` and `stitchc --help` do not import torch.
"""

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .passes.data.notebook import writers_in

if TYPE_CHECKING:
    from .artifact import load
    from .compile import compile
    from .evaluate import evaluate
    from .examine import compare, cost, inspect
    from .families.extract import extract
    from .family import family
    from .passes.data import errors
    from .search import search
    from .space import space
    from .tuning import tune
    from .verification import verify

# onnxruntime writes an identifier of the device into the user's cache folder, and sends what it counts, from the moment
# it is imported: asking it to stop afterwards is too late.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"

_HOME = {
    "compare": "examine",
    "compile": "compile",
    "cost": "examine",
    "errors": "passes.data.errors",
    "evaluate": "evaluate",
    "extract": "families.extract",
    "family": "family",
    "inspect": "examine",
    "load": "artifact",
    "search": "search",
    "space": "space",
    "tune": "tuning",
    "verify": "verification",
}

__all__ = ["__version__", *sorted(_HOME)]


class _Package(ModuleType):
    def __setattr__(self, name: str, value: Any) -> None:
        # The import system binds each submodule to its package, and would so hide the function `compile`
        # behind the module `stitchc.compile` once that is imported.
        if name in _HOME and isinstance(value, ModuleType):
            return
        super().__setattr__(name, value)

    def __reduce__(self) -> tuple[Any, ...]:
        # By its name, as modules are sent to other processes; cloudpickle knows those of the very class ModuleType.
        return import_module, (self.__name__,)


sys.modules[__name__].__class__ = _Package
writers_in(f"{__name__}.report.notebook")


def __getattr__(name: str) -> Any:
    if name in _HOME:
        module = import_module(f"{__name__}.{_HOME[name]}")
        return getattr(module, name, module)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
