"""The recording front-end: run the model once on fake tensors and write down every call that torch sees.

The batch size is symbolic, so control flow on shapes runs as Python does and the graph holds for any batch. A
`TorchFunctionMode` records functions and tensor methods; calls of `torch.nn` leaves are recorded as call_module nodes.
Nothing of the model is touched: it is copied with fake parameters, so that caches it fills belong to the copy.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx, nn
from torch._dispatch.python import enable_python_dispatcher
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

from ..data.errors import TraceError, first_line
from ..data.scores import chosen, logits_of
from .fake_copy import fake_copy
from .recorder import Recorder

# The batch size that control flow sees while recording: equal to no usual grid, window, head or channel count.
BATCH = 11


def record(model: nn.Module, size: tuple[int, ...]) -> fx.GraphModule:
    """The graph of `model` for float32 images [batch, *size], in eval mode. `graphs/conventions.py` says what it holds.

    The graph shares the model's parameters. Notes on what had to be decided stand in `graph.meta["notes"]`.

    Raises:
        TraceError: the model computes what torch cannot see, or branches on the values of its input.
    """
    shapes = ShapeEnv()
    mode = FakeTensorMode(shape_env=shapes, allow_non_fake_inputs=True)
    with torch.no_grad():
        fake_model, names, kept = fake_copy(model, mode)
        image = mode.from_tensor(
            torch.empty(BATCH, *size),
            symbolic_context=StatelessSymbolicContext(
                dynamic_sizes=[DimDynamic.DYNAMIC] + [DimDynamic.STATIC] * len(size),
                constraint_sizes=[None] * (1 + len(size)),
            ),
            source=ConstantSource("input"),
        )
        recorder = Recorder(fake_model, names, kept, image, shapes)
        try:
            with _module_calls(recorder), _lengths(), _no_fast_path(), mode, enable_python_dispatcher(), recorder:
                result = fake_model(image)
            recorder.finish(*logits_of(result, chosen(model)))
        except TraceError:
            raise
        except Exception as error:
            raise TraceError(_reason(error)) from error
        finally:
            # Caches of torch keep hundreds of environments alive; without this, each with all that it has seen.
            getattr(shapes, "fake_tensor_cache", {}).clear()
    return recorder.module(model)


def _reason(error: Exception) -> str:
    if type(error).__name__ in ("GuardOnDataDependentSymNode", "DataDependentOutputException"):
        return "recording stopped: what it computes next depends on the values of its input, not on shapes alone"
    return f"recording stopped: {type(error).__name__}: {first_line(error)}"


@contextmanager
def _lengths() -> Iterator[None]:
    """`len(x)` is the batch size as `x.shape[0]` is: Python itself would make a plain number of it."""
    original = builtins.len

    def length(value: Any) -> Any:
        return value.shape[0] if isinstance(value, FakeTensor) and value.dim() else original(value)

    builtins.len = length
    try:
        yield
    finally:
        builtins.len = original


@contextmanager
def _no_fast_path() -> Iterator[None]:
    """torch.nn.MultiheadAttention's fused path hides its operators."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _module_calls(recorder: Recorder) -> Iterator[None]:
    original = nn.Module.__call__

    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return recorder.call(original, self, args, kwargs)

    nn.Module.__call__ = call  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__call__ = original  # type: ignore[method-assign]
