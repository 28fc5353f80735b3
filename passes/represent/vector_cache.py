"""A cache of Gram vectors from run to run, by a hash of all that they depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from inspect import isfunction
from typing import Protocol

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.fx import GraphModule

_VERSION = "2"  # of what a vector is; another one finds none of the old


class Store(Protocol):
    """Storage of bytes by key. What is missing is computed again."""

    def read(self, key: str) -> bytes | None: ...

    def write(self, key: str, content: bytes) -> None: ...


def vectors_key(graph: GraphModule, images: Iterable[Tensor], metric: str, sizes: Sequence[int]) -> str:
    """The hash of a network, of the images as it sees them, and of how they are compared.

    The network is its code, the settings of its layers and its weights, so that it does not matter where it came from;
    the images are their pixels after the transform, cut into batches in any way.
    """
    whole = hashlib.sha256()
    for words in (_VERSION, torch.__version__, metric, str(list(sizes)), graph.code):
        whole.update(f"{len(words)}:{words}".encode())
    for path, layer in sorted(graph.named_modules(remove_duplicate=False)):
        if path:
            whole.update(f"{path}:{_settings(layer)}:".encode())
    for name, tensor in sorted(graph.state_dict().items()):
        whole.update(f"{name}:{tensor.dtype}:{list(tensor.shape)}:".encode())
        whole.update(_bytes(tensor))
    for batch in images:
        whole.update(_bytes(batch))
    return whole.hexdigest()


def _settings(layer: nn.Module) -> str:
    """What a layer computes beside its weights: its class, and what its constructor keeps (a stride, an epsilon, the
    heads of an attention). The code of a graph calls layers by their paths and says none of it."""
    kept = sorted((name, value) for name, value in vars(layer).items() if not name.startswith("_"))
    said = [f"{name}={value.__qualname__ if isfunction(value) else repr(value)}" for name, value in kept]
    return f"{type(layer).__module__}.{type(layer).__qualname__}({', '.join(said)})"


def read_vectors(store: Store, key: str, cuts: Sequence[str], columns: int) -> dict[str, Tensor]:
    """Those of the cuts' vectors that are kept."""
    content = store.read(key)
    if content is None:
        return {}
    try:
        found = load(content)
    except Exception:  # a damaged file is as good as none; safetensors has no one error for it
        return {}
    return {name: found[name] for name in cuts if name in found and _is_vector(found[name], columns)}


def _is_vector(tensor: Tensor, columns: int) -> bool:
    return tensor.shape == (columns,) and tensor.is_floating_point() and bool(torch.isfinite(tensor).all())


def write_vectors(store: Store, key: str, vectors: dict[str, Tensor]) -> None:
    """Keeps the vectors of the cuts, float32 [length] by the names of their nodes, under `key`."""
    store.write(key, save({name: vector.contiguous() for name, vector in vectors.items()}))


def _bytes(tensor: Tensor) -> memoryview:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
