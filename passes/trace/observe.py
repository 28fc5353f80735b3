"""A network run before it is traced: its scores for one image and for several, and whether it is in eval mode.

The scores of an image must depend on that image alone. A network whose scores depend on the batch, on chance or on a
training mode is refused here; otherwise every later figure would hold for one batch, or one run, only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.overrides import TorchFunctionMode

from ..data.errors import ModelError, TraceError
from ..data.scores import scores_and_note

BATCH = 3
IMAGES = 2 * BATCH - 1  # one that is run alone and in two batches, and the others of each batch

#: Relative to the largest score: the difference allowed between two batches of one size, where each image is computed
#: in the same way; and between batches of two sizes, whose sums are rounded in another order.
_SAME, _AT_MOST_ROUNDING = 1e-4, 0.1

#: Functions that act otherwise in training: the position and the default of the argument that says so.
_MODES = {
    "batch_norm": (5, False), "dropout": (2, True), "dropout_": (2, True), "dropout1d": (2, True),
    "dropout2d": (2, True), "dropout3d": (2, True), "alpha_dropout": (2, False), "feature_alpha_dropout": (2, False),
    "rrelu": (3, False), "rrelu_": (3, False),
}  # fmt: skip


@dataclass(frozen=True)
class Observed:
    """Scores by the size of the batch: of the first image alone, and of the first `BATCH`. note: what the network
    returned besides, "" where that is nothing."""

    scores: dict[int, Tensor]
    note: str


def observe(module: nn.Module, images: Tensor, name: str = "the network") -> Observed:
    """What a network gives for a few images, alone and together.

    module: as `scores.ready` returns it. images: `IMAGES` of them, [n, channels, height, width].

    Raises:
        TraceError: it does not run on one image, or on several; it runs in training mode; its scores of an image depend
            on the others of its batch, or differ from one run to the next; it makes layers only when it runs.
    """
    first, others = images[:BATCH], torch.cat([images[:1], images[BATCH:]])
    before = {path for path, _ in module.named_parameters()}
    several, note = _run(module, first, name)
    made = [path for path, _ in module.named_parameters() if path not in before]
    if made:
        raise TraceError(
            f"{name}: '{made[0]}' was made only when the network ran, with weights that nobody trained",
            "Run the network once where it is made, then load its weights.",
        )
    try:
        alone, _ = _run(module, first[:1], name)
    except TraceError as error:
        raise TraceError(
            f"{error.message} (on {BATCH} it runs)",
            "A layer loses the axis of a single image: squeeze() without an axis takes that too; name the axes.",
        ) from error
    if alone.shape[1:] != several.shape[1:]:
        raise TraceError(
            f"{name} returns {tuple(several.shape)} for {BATCH} images and {tuple(alone.shape)} for one",
            "Each image must get scores of one shape: mind view(), flatten() and squeeze() without an axis.",
        )
    again, _ = _run(module, others, name)
    if _differ(again[0], several[0]):
        if _differ(_run(module, first, name)[0], several):
            raise TraceError(
                f"{name} gives the same images other scores when it sees them again",
                "It does something at random in forward, or keeps state from run to run; it cannot be compiled.",
            )
        raise TraceError(
            f"the scores that {name} gives an image depend on the other images of its batch",
            "Something mixes the images: a softmax or a mean over axis 0, statistics over the batch.",
        )
    if _differ(alone[0], several[0], _AT_MOST_ROUNDING):
        raise TraceError(
            f"{name} gives an image other scores alone than among others",
            "Does forward go another way for a batch of one (if x.shape[0] == 1)?",
        )
    return Observed({1: alone, BATCH: several}, note)


def _run(module: nn.Module, images: Tensor, name: str) -> tuple[Tensor, str]:
    try:
        with _watched(module):
            return scores_and_note(module, images.clone(), name)
    except TraceError:
        raise
    except ModelError as error:
        raise TraceError(error.message, error.hint) from error


def _differ(a: Tensor, b: Tensor, allowed: float = _SAME) -> bool:
    return not float((a - b).abs().max()) <= allowed * float(torch.maximum(a.abs().max(), b.abs().max()))


@contextmanager
def _watched(root: nn.Module) -> Iterator[None]:
    """While it runs, every call that acts as in training, on the batch instead of on each image, is refused."""
    watch = _Watch(root)
    original = nn.Module.__call__

    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return watch.call(original, self, args, kwargs)

    nn.Module.__call__ = call  # type: ignore[method-assign]
    try:
        with watch:
            yield
    finally:
        nn.Module.__call__ = original  # type: ignore[method-assign]


class _Watch(TorchFunctionMode):
    def __init__(self, root: nn.Module):
        super().__init__()
        self.paths = {id(m): path for path, m in root.named_modules()}
        self.scopes: list[nn.Module] = []

    def call(self, original: Callable[..., Any], module: nn.Module, args: Any, kwargs: Any) -> Any:
        if isinstance(module, _BatchNorm) and not module.training and module.running_mean is None:
            raise TraceError(
                f"{self._place(module)} keeps no running statistics: it normalises an image by the others "
                "of its batch, so that scores depend on the batch",
                "Train it with track_running_stats=True, or use a norm of each image alone (GroupNorm).",
            )
        if module.training and _acts_in_training(module):
            raise self._in_training(self._place(module))
        self.scopes.append(module)
        try:
            return original(module, *args, **kwargs)
        finally:
            self.scopes.pop()

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(function, "__name__", "")
        if name in _MODES:
            position, default = _MODES[name]
            training = args[position] if len(args) > position else kwargs.get("training", kwargs.get("train", default))
            if training and not _is_harmless(name, args, kwargs):
                raise self._in_training(f"{name}() in {self._place(self.scopes[-1]) if self.scopes else 'forward'}")
        return function(*args, **kwargs)

    def _place(self, module: nn.Module) -> str:
        path = self.paths.get(id(module), "")
        return f"'{path}' ({type(module).__name__})" if path else type(module).__name__

    def _in_training(self, what: str) -> TraceError:
        return TraceError(
            f"{what} acts as in training when the network runs, though the network is in eval mode",
            "Does it override eval() or train(), call train() in forward, or leave out training=self.training? What it "
            "gives then depends on the batch or on chance.",
        )


def _is_harmless(name: str, args: Any, kwargs: Any) -> bool:
    """Dropping nothing; statistics over one row alone, by which weights are standardised, not images."""
    if "dropout" in name:
        return (args[1] if len(args) > 1 else kwargs.get("p", 0.5)) == 0
    return name == "batch_norm" and (args[0] if args else kwargs["input"]).shape[0] == 1


def _acts_in_training(module: nn.Module) -> bool:
    """Whether a layer of torch computes something else in training mode."""
    if isinstance(module, _DropoutNd):
        return module.p > 0
    if isinstance(module, nn.MultiheadAttention | nn.RNNBase):
        return module.dropout > 0
    if isinstance(module, _InstanceNorm):
        return module.track_running_stats
    return isinstance(module, _BatchNorm | nn.RReLU)
