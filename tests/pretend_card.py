"""The processor, posing as a graphics card: torch says of tensors that they lie there, and refuses to mix them with
others.

It shows on a machine without a card whether all that is computed together lies on one device. What it cannot show is
how a card computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._pytree import tree_leaves, tree_map

CARD = torch.device("cuda", 0)

_GETTERS = {torch.Tensor.device.__get__: CARD, torch.Tensor.is_cuda.__get__: True}
#: Functions that take tensors from both places on a card too.
_BOTH = {
    torch.Tensor.copy_, torch.Tensor.__getitem__, torch.Tensor.__setitem__, torch.Tensor.data.__set__,
    torch._has_compatible_shallow_copy_type,
}  # fmt: skip


class PretendCard(TorchFunctionMode):
    """While it is entered, `device="cuda"` works, and is the processor's memory with a mark on it.

    Of a tensor that nothing is known of (what a transform of torch.func or a backward pass gives) it can lie in either
    place.
    """

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[int, tuple[StorageWeakRef, bool]] = {}
        self.computed: set[str] = set()

    def place(self, tensor: Tensor) -> bool | None:
        """Whether a tensor lies on the card; None where that is not known."""
        ref = _storage(tensor)
        if ref is None or ref.cdata not in self._known:
            return None
        kept, there = self._known[ref.cdata]
        return None if kept.expired() else there

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _GETTERS:
            return _GETTERS[func] if self.place(args[0]) else func(*args)
        leaves = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if func is torch.device or getattr(func, "__name__", "") in ("device", "_parse_to"):
            return func(*args, **kwargs)  # which only name a place
        if func is torch.Tensor.pin_memory:
            return args[0]
        asked = [leaf for leaf in leaves if _is_place(leaf)]
        places = {self.place(tensor) for tensor in tensors if _dim(tensor)} - {None}
        if len(places) > 1 and func not in _BOTH and not asked:
            said = {True: "the card", False: "the processor", None: "either"}
            where = ", ".join(f"{tuple(t.shape)} on {said[self.place(t)]}" for t in tensors)
            raise RuntimeError(f"{resolve_name(func) or func}: tensors on two devices: {where}")
        if func is torch.Tensor.numpy and True in places:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        args, kwargs = tree_map(lambda leaf: "cpu" if _is_card(leaf) else leaf, (args, kwargs))
        found = func(*args, **kwargs)
        if asked or func in (torch.Tensor.cpu, torch.Tensor.cuda):
            there = func is not torch.Tensor.cpu and (not asked or _is_card(asked[-1]))
            return tree_map(lambda leaf: self._sent(leaf, there), found)
        there = self.place(tensors[0]) if func in _BOTH else (True in places if places or not tensors else None)
        if there is not None:
            for leaf in tree_leaves(found):
                if isinstance(leaf, Tensor) and self.place(leaf) is None:
                    self._mark(leaf, there)
        if there:
            self.computed.add(resolve_name(func) or str(func))
        return found

    def _sent(self, leaf: Any, there: bool) -> Any:
        if not isinstance(leaf, Tensor) or self.place(leaf) is there:
            return leaf
        with torch._C.DisableTorchFunction():
            leaf = leaf.clone()
        self._mark(leaf, there)
        return leaf

    def _mark(self, tensor: Tensor, there: bool) -> None:
        ref = _storage(tensor)
        if ref is not None:
            self._known[ref.cdata] = ref, there


def _storage(tensor: Tensor) -> StorageWeakRef | None:
    with torch._C.DisableTorchFunction():
        if tensor.is_meta:
            return None
        try:
            return StorageWeakRef(tensor.untyped_storage())
        except (RuntimeError, NotImplementedError):  # of a transform of torch.func
            return None


def _dim(tensor: Tensor) -> int:
    with torch._C.DisableTorchFunction():
        return tensor.dim()


def _is_place(leaf: Any) -> bool:
    return _is_card(leaf) or (isinstance(leaf, str | torch.device) and str(leaf) == "cpu")


def _is_card(leaf: Any) -> bool:
    return isinstance(leaf, str | torch.device) and str(leaf).split(":")[0] == "cuda"


def pretended(monkeypatch: Any) -> Iterator[PretendCard]:
    """As a fixture: torch has one card, with 8 GiB."""

    class Generator(torch.Generator):
        def __new__(cls, device: Any = None) -> Generator:
            return super().__new__(cls)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (8 << 30, 8 << 30))
    for check in ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check"):  # by version of torch
        monkeypatch.setattr(torch.optim.Optimizer, check, lambda self: None, raising=False)
    monkeypatch.setattr(torch, "Generator", Generator)
    with PretendCard() as card:
        yield card
