"""Counts the operators that run inside a block, on fake or meta tensors, so that neither weights nor memory are
needed."""

from __future__ import annotations

import copy
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from .formulas import formula_of, macs_of, name_of
from .free import is_free


class Operators(TorchDispatchMode):
    """Adds up the multiply-adds of all operators that run inside it, notes those it has no formula for, and tracks
    what they allocate, in bytes, until it is freed.

    by_operator: multiply-adds so far, by name. uncounted: operators without a formula, by name and count.
    peak_bytes: the most that was allocated at one moment.
    """

    supports_higher_order_operators = True  # read by torch: flex_attention is one

    def __init__(self) -> None:
        super().__init__()
        self.by_operator: Counter[str] = Counter()
        self.uncounted: Counter[str] = Counter()
        self.live: dict[int, int] = {}  # bytes of each storage, by its identity; 0 for what was there before
        self.live_bytes = self.peak_bytes = 0

    @property
    def macs(self) -> int:
        """Multiply-adds so far."""
        return self.by_operator.total()

    @contextmanager
    def following(self, *given: Tensor) -> Iterator[None]:
        """From zero, what runs inside the block. `given` are there before it, so they are not allocated in it."""
        self.by_operator, self.uncounted = Counter(), Counter()
        self.live = {tensor.untyped_storage()._cdata: 0 for tensor in given}
        self.live_bytes = self.peak_bytes = 0
        with self:
            yield

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        known = formula_of(name_of(func)) is not None or (isinstance(func, OpOverload) and is_free(func))
        if not known and isinstance(func, OpOverload):
            with self:  # operators that torch composes of others come whole in inference mode
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        name = name_of(func).removeprefix("aten::")
        if macs := macs_of(func, args, kwargs, out):
            self.by_operator[name] += macs
        if not known:
            self.uncounted[name.lstrip("_")] += 1
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._allocated(tensor.untyped_storage())
        return out

    def _allocated(self, storage: torch.UntypedStorage) -> None:
        identity = storage._cdata
        if identity in self.live:
            return
        self.live[identity] = storage.nbytes()
        self.live_bytes += storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        weakref.finalize(storage, self._freed, self.live, identity)

    def _freed(self, live: dict[int, int], identity: int) -> None:
        if live is self.live:
            self.live_bytes -= live.pop(identity, 0)


@contextmanager
def counting() -> Iterator[Operators]:
    """A counter to run things on fake or meta tensors with; operators of MultiheadAttention's fused path come one by
    one."""
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad():
            yield Operators()
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)


def fakes() -> FakeTensorMode:
    """Tensors made inside are fake ones of the processor."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def copy_on(device: str, module: nn.Module) -> tuple[nn.Module, list[Tensor]]:
    """A copy whose parameters and buffers were just made on `device`, and those. The module's own may be fake."""
    memo: dict[int, Any] = {}
    made: list[Tensor] = []
    for tensor in [*module.parameters(), *module.buffers()]:
        new = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
        made.append(new)
        memo[id(tensor)] = nn.Parameter(new, requires_grad=False) if isinstance(tensor, nn.Parameter) else new
    with _disable_current_modes():  # a tensor that the module keeps from an earlier run is copied as it is
        return copy.deepcopy(module, memo), made


def peak_bytes(module: nn.Module, shape: Sequence[int]) -> int:
    """The most that a module allocates at one moment for one value [1, *shape], which is not counted."""
    with counting() as operators:
        module, stored = copy_on("meta", module)
        value = torch.empty((1, *shape), device="meta")
        with operators.following(value, *stored):
            module(value)
    return operators.peak_bytes
