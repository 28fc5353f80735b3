"""The scores of a network: one function from images to them, whatever it returns and in whatever precision it computes.

Every verb that runs a network as its author wrote it (accuracy, distillation, timing, the check of a graph) runs it
through `scores`, so that none of them takes another output, or another mode, than the rest.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from .errors import ModelError, TraceError, first_line, unknown
from .out_of_memory import ran_out

if TYPE_CHECKING:
    from .model import Model

#: The names that class scores go by where a network names its outputs, the surest first.
NAMES = ("logits", "out", "output")
_CHOICE = "stitchc_output"  # where a network keeps what `choose` was told
_SHOWN = 6  # outputs in a message

_FAILED = (
    "It must take one batch [images, channels, height, width] of this size; position tables and flattened heads fit "
    "one size alone. Another is stated as ?input=3x224x224."
)
_GUARDED = (  # of an exported program
    "The program was exported for other sizes: export it for any number of images, with "
    'dynamic_shapes=({0: torch.export.Dim("batch", min=1)},).'
)


def scores(module: nn.Module, images: Tensor, name: str = "the network") -> Tensor:
    """What a network gives for images [n, channels, height, width], as float32 [n, ...]: [n, classes] of a classifier.

    Raises:
        ModelError: it has no weights, fails on these images, returns nothing that stands for scores, returns another
            number of them than there are images, or scores that are infinite or undefined.
    """
    return scores_and_note(module, images, name)[0]


def scores_and_note(module: nn.Module, images: Tensor, name: str = "the network") -> tuple[Tensor, str]:
    """As `scores`, with a note on further outputs of the network; "" where there are none."""
    scoring = Scoring(ready(module, name))
    shape = f"{len(images)} image{'s' * (len(images) != 1)} of {'x'.join(map(str, images.shape[1:]))}"
    try:
        with torch.no_grad(), eagerly():
            found = scoring(images)
    except TraceError as error:  # nothing in what it returns stands for scores
        raise type(error)(f"{name}: {error.message}", error.hint) from error
    except Exception as error:
        if ran_out(error):  # which whoever shows so many images at once can do something about
            raise
        guarded = "Guard failed" in str(error)
        raise ModelError(f"{name} fails on {shape}: {first_line(error)}", _GUARDED if guarded else _FAILED) from error
    if len(images) == 1 and found.dim() == 1 and len(found) > 1:  # `squeeze()` took the axis of the one image too
        found = found[None]
    if found.dim() == 0 or found.shape[0] != len(images):
        raise ModelError(
            f"{name} returns {tuple(found.shape)} for {shape}: not one row of scores an image",
            "The first axis of what it returns must be that of the images: mind view(), flatten() and squeeze() "
            "without an axis.",
        )
    if not torch.isfinite(found).all():
        bad = int((~torch.isfinite(found).flatten(1).all(1)).sum()) if found.dim() > 1 else len(found)
        raise ModelError(
            f"{name} gives scores that are infinite or undefined (NaN) for {bad} of {shape}",
            "Its weights are damaged, or it overflows in its own precision: load it in float32.",
        )
    return found, scoring.note


def ready(module: nn.Module, name: str = "the network") -> nn.Module:
    """The network itself, in eval mode: out of the wrappers that torch.compile and nn.DataParallel put around it.

    Raises:
        ModelError: a parameter or buffer that has no values.
    """
    while True:
        inner = getattr(module, "_orig_mod", None)
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            inner = module.module
        if not isinstance(inner, nn.Module):
            break
        module = inner
    for path, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if nn.parameter.is_lazy(tensor):
            owner = type(module.get_submodule(path.rpartition(".")[0])).__name__
            raise ModelError(
                f"{name}: '{path}' ({owner}) has no shape and no values before the network has run once",
                "Run it once on an image of its size where it is made, then load its weights.",
            )
        if tensor.is_meta:
            raise ModelError(
                f"{name}: '{path}' has a shape but no values (it lies on the device 'meta')",
                "Make the network outside of torch.device('meta'), or load_state_dict(..., assign=True).",
            )
    with suppress(NotImplementedError):  # an exported program has one mode
        module.eval()
    return module


def in_eval_mode(module: nn.Module) -> nn.Module:
    """The network, if all of it is in eval mode; else a copy in eval mode with the very same weights, so that whoever
    is training it can go on.

    Raises:
        ModelError: it cannot be copied.
    """
    if not any(one.training for one in module.modules()):
        return module
    kept = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    try:
        copied = copy.deepcopy(module, kept)
        with suppress(NotImplementedError):  # an exported program has one mode
            copied.eval()
        return copied
    except Exception as error:  # of whatever the user's modules hold
        raise ModelError(
            f"a {type(module).__name__} in training mode cannot be copied: {first_line(error)}",
            "Put it into eval mode: network.eval().",
        ) from error


def with_eval_mode(model: Model) -> Model:
    """The model with its network as `in_eval_mode` gives it; the very same where that changes nothing."""
    if model.module is None or (module := in_eval_mode(model.module)) is model.module:
        return model
    return replace(model, module=module)


class Scoring(nn.Module):
    """A network as a module from float32 images to float32 scores: `scores` without its checks.

    note: once it has run, what it returned besides the scores, "" where that is nothing.
    """

    note = ""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.precision = _precision(network)

    def forward(self, images: Tensor) -> Tensor:
        found, self.note = logits_of(self._run(images), chosen(self.network))
        return found.float()

    def _run(self, images: Tensor) -> Any:
        if self.precision is torch.float32:
            return self.network(images)
        try:  # a network of another precision may convert its images itself
            return self.network(images)
        except RuntimeError:
            return self.network(images.to(self.precision))


def _precision(module: nn.Module) -> torch.dtype:
    floating = (p.dtype for p in module.parameters() if p.is_floating_point())
    return next(floating, torch.float32)


@contextmanager
def eagerly() -> Iterator[None]:
    """Functions and layers under torch.compile run as the Python that they were made from: the same values, at once."""
    if "torch._dynamo" not in sys.modules:  # nothing was compiled, and importing it takes a second
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


def choose(network: nn.Module, output: str | None) -> nn.Module:
    """The same network, of whose outputs this one is the class scores from now on, wherever it is run or traced; None
    for the one that can only be it. See `logits_of`."""
    _kept(network)[_CHOICE] = output
    return network


def chosen(network: nn.Module) -> str | None:
    """What `choose` was told for a network; None where it was told nothing."""
    return _kept(network).get(_CHOICE)


def _kept(network: nn.Module) -> dict[str, Any]:
    """What a copy of a network keeps: its attributes; of a graph, `meta` alone."""
    return network.meta if isinstance(network, GraphModule) else vars(network)


def logits_of(result: Any, output: str | None = None) -> tuple[Tensor, str]:
    """The output that holds the class scores, and a note for the user when there are other outputs.

    result: what a network returned: a tensor, or mappings, named tuples, dataclasses, tuples and lists of them, nested
    as they like. A tensor in them is called by the names and positions on the way to it: "logits", "0", "out.1".
    output: which of them to take, or which part of them to look in. Without it the tensor is taken that goes by a known
    name (`NAMES`), else the only one of two axes, [images, classes], else the only one. Where several could be it, none
    is taken: it might be another network's worth of scores, or a feature.

    Raises:
        TraceError: no tensor stands for scores, several may, or there is no such output.
    """
    if isinstance(result, Tensor) and not result.is_complex():
        if output is not None:
            raise TraceError(f"it returns one tensor, and no output '{output}'", "Leave output= out.")
        return result, ""
    found = dict(_tensors(result))
    if not found:
        raise TraceError(
            f"the model returns a {type(result).__name__} in which no tensor stands for class scores",
            "Only networks that return one tensor (a classifier's logits or a feature) can be stitched; "
            "wrap the model so that it returns that tensor.",
        )
    inside = found if output is None else {path: found[path] for path in found if f"{path}.".startswith(f"{output}.")}
    if not inside:
        raise unknown(output, "output of the network", found, TraceError)
    path = output if output in inside else _only(inside)
    if path is None:
        raise TraceError(
            f"it returns {_listed(inside)}: which of them are the class scores cannot be known",
            f"Choose one behind its name, such as ?output={next(iter(inside))}; or wrap the network so that it returns "
            "that tensor alone.",
        )
    return found[path], f"the model returns {_listed(found)}; '{path}' is taken" if len(found) > 1 else ""


def _only(found: Mapping[str, Tensor]) -> str | None:
    """The path of the tensor that alone can be the class scores."""
    for name in NAMES:
        if named := {path: tensor for path, tensor in found.items() if name in path.split(".")}:
            found = named
            break
    flat = {path: tensor for path, tensor in found.items() if tensor.dim() == 2} or found
    return next(iter(flat)) if len({id(tensor) for tensor in flat.values()}) == 1 else None


def _tensors(result: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Tensor]]:
    """Every tensor with an axis for images in what a network returned, by its path. A list of mappings, as detectors
    return it, has one for each image, none of them for all; what topk() and sort() return is in another order than the
    classes; complex numbers have none."""
    if isinstance(result, Tensor):
        if result.dim() and not result.is_complex():
            yield ".".join(path), result
        return
    if type(result).__module__ == "torch.return_types":
        return
    parts = _named(result)
    if parts is None and isinstance(result, tuple | list):
        per_image = isinstance(result, list) and all(isinstance(part, Mapping) for part in result)
        parts = {} if per_image else dict(enumerate(result))
    for key, part in (parts or {}).items():
        yield from _tensors(part, (*path, str(key)))


def _listed(found: Mapping[str, Tensor]) -> str:
    """Paths of tensors with their shapes behind the axis of the images: "logits [10], features [64, 8, 8]"."""
    shown = [f"{path} {[*tensor.shape[1:]]}" for path, tensor in list(found.items())[:_SHOWN]]
    return ", ".join([*shown, *(["..."] if len(found) > _SHOWN else [])])


def _named(result: Any) -> dict[Any, Any] | None:
    if isinstance(result, Mapping):
        return dict(result)
    if isinstance(result, tuple) and hasattr(result, "_asdict"):
        return result._asdict()
    if is_dataclass(result) and not isinstance(result, type):
        return {field.name: getattr(result, field.name) for field in fields(result)}
    return None
