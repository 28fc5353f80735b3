"""Adapters by name: modules that turn the value at a front's cut into the value that the back expects.

Another package adds one by an entry point of the group `stitchc.adapters` that names its `Kind`; a program adds one
with `register`. `names()` lists them. Importing this package loads torch on first use only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from ..data import plugins
from ..data.errors import CutError, InputError, unknown
from ..data.values import Value
from . import notation

if TYPE_CHECKING:
    from .base import Adapter
    from .kind import Kind

K = TypeVar("K", bound="type[Kind]")

_BUILT_IN = {
    "identity": ".identity:Identity",
    "linear": ".linear:Linear",
    "linear-relu": ".linear:LinearRelu",
    "conv3x3": ".conv:Conv3x3",
    "conv3x3-relu": ".conv:Conv3x3Relu",
    "conv5x5": ".conv:Conv5x5",
    "conv5x5-relu": ".conv:Conv5x5Relu",
    "bottleneck": ".bottleneck:Bottleneck",
    "transformer": ".transformer:Transformer",
    "fused": ".fused:Fused",
}
_ADDED: dict[str, type[Kind]] = {}
_GROUP = "stitchc.adapters"

#: What `auto` chooses among (docs/adapters.md has what each was measured to do).
AUTO = ("linear", "linear-relu", "conv3x3", "conv3x3?resize=before", "conv3x3-relu", "conv5x5-relu")


def names() -> list[str]:
    """The names of all adapters: built in, registered by this program, then added by installed packages."""
    return list(dict.fromkeys([*_BUILT_IN, *_ADDED, *plugins.installed(_GROUP)]))


def register(name: str) -> Callable[[K], K]:
    """Class decorator: make a `Kind`, a frozen dataclass whose fields are its options, known by `name`."""

    def add(kind: K) -> K:
        kind.name = name
        _ADDED[name] = kind
        get.cache_clear()
        return kind

    return add


@cache
def get(text: str) -> Kind:
    """The kind of adapter that a notation names: `linear`, `conv3x3?resize=strided&norm=before`.

    Raises:
        CutError: there is none of that name. InputError: it has no such option, or the option cannot have that value.
    """
    name, options = notation.split(text)
    return notation.read(_class(name), name, options)


def built(text: str, front: Value, back: Value, seed: int) -> Adapter:
    """The adapter between two values, in eval mode. Its random weights depend on `seed` alone, and the global random
    state is left as it was. text: its notation.

    Raises:
        CutError, InputError: as `get`.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return get(text)(front, back).eval()


def without_weights(text: str, front: Value, back: Value) -> Adapter:
    """The adapter between two values on the device "meta": its structure and shapes, without memory for weights.

    Raises:
        CutError, InputError: as `get`.
    """
    import torch

    with torch.device("meta"):
        return get(text)(front, back).eval()


def expand(text: str) -> tuple[str, ...]:
    """The canonical notations of the adapters that a notation stands for: several for `auto`, whose options go to each
    of them, and one for any other.

    Raises:
        CutError, InputError: as `get`.
    """
    name, options = notation.split(text)
    if name != "auto":
        return (get(text).notation,)
    return tuple(dict.fromkeys(_with(word, options).notation for word in AUTO))


def _with(text: str, options: Mapping[str, str]) -> Kind:
    name, own = notation.split(text)
    return notation.read(_class(name), name, {**own, **options})


def _class(name: str) -> type[Kind]:
    if name in _ADDED:
        return _ADDED[name]
    if name not in _BUILT_IN and name in plugins.installed(_GROUP):
        return _installed(name)
    if name not in _BUILT_IN:
        raise unknown(name, "adapter", [*names(), "auto"], CutError)
    module, kind = _BUILT_IN[name].split(":")
    return getattr(import_module(module, __name__), kind)


def _installed(name: str) -> type[Kind]:
    """The kind that an entry point names; it goes by the entry point's name."""
    kind = plugins.load(_GROUP, name)
    from .kind import Kind

    if not (isinstance(kind, type) and issubclass(kind, Kind)):
        raise InputError(
            f"the entry point '{name}' of {_GROUP} is {kind!r}, and no subclass of stitchc.passes.adapters.Kind",
            "Tell the author of the package that adds it.",
        )
    return register(name)(kind)


def __getattr__(name: str) -> Any:
    if name in ("Adapter", "Kind"):
        return getattr(import_module(".base" if name == "Adapter" else ".kind", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
