"""Models named `torchvision/<name>[@WEIGHTS]`: torchvision's classification models."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import nn
from torchvision import models

from stitchc.passes.data.errors import BadCheckpoint, ModelError, WeightsUnavailable, unknown
from stitchc.passes.data.model import InputSpec, Model

from .inputs import assumed
from .naming import Words, words_of
from .network import reachable
from .weights import fill_but_classifier, seeded

LICENCE = "BSD-3-Clause"
SWAG_LICENCE = "CC-BY-NC-4.0"  # that of the weights torchvision took over from facebookresearch/SWAG


def load(words: Words) -> Model:
    """A classification model of torchvision with the weights of an entry, by default its DEFAULT.

    Raises:
        ModelError: no such model or entry. WeightsUnavailable: the weights are neither cached nor reachable.
    """
    name, _, entry_name = words.body.partition("@")
    options = words.options
    known = models.list_models(module=models)
    if name not in known and name in models.list_models():
        raise _no_classifier(name)
    if name not in known:
        among = "`stitchc zoo list torchvision/` names them."
        raise unknown(name, "classification model of torchvision", known, ModelError, among=among)
    entry = _entry(name, entry_name)
    own_classes = len(entry.meta["categories"])
    classes = options.num_classes or own_classes
    module, fresh = _trained(name, classes, words, entry) if options.weights else (_build(name, classes, words), ())
    trained = options.weights and not fresh
    return Model(
        name=words.bare,
        input=input_of(entry),
        arch=words_of(f"torchvision/{name}", classes, options),
        licence=SWAG_LICENCE if options.weights and "SWAG" in entry.name else LICENCE,
        classes=classes,
        accuracy=_accuracy(entry) if trained else None,
        notes=(f"its classifier ({', '.join(fresh)}) is untrained",) if fresh else (),
        module=module,
    )


def _no_classifier(name: str) -> ModelError:
    """Of torchvision's other networks: what they are, and what can be done with them."""
    kind = models.get_model_builder(name).__module__.split(".")[2].replace("_", " ")
    hint = "Classification models can be: `stitchc zoo list torchvision/` names them."
    if kind == "segmentation":
        hint += (
            " A segmentation network comes in by a Python file, FILE.py:FACTORY; of what it returns, 'out' is taken."
        )
    return ModelError(
        f"torchvision/{name} is a network for {kind}, which has no name here: only networks that take images and give "
        "one tensor, such as class scores, can be stitched",
        hint,
    )


def input_of(entry: Any) -> InputSpec:
    """The input that the transforms of a weights entry make."""
    preset = entry.transforms()
    if not hasattr(preset, "crop_size"):
        return assumed()
    (side,), (resized,) = preset.crop_size, preset.resize_size
    return InputSpec(
        (3, side, side), tuple(preset.mean), tuple(preset.std), preset.interpolation.value, crop=side / resized
    )


def _entry(name: str, wanted: str) -> Any:
    weights: Any = models.get_model_weights(name)
    if not wanted or wanted == "DEFAULT":
        return weights.DEFAULT
    if wanted not in weights.__members__:
        raise ModelError(f"torchvision/{name} has no weights '{wanted}'", f"It has {', '.join(weights.__members__)}.")
    if not weights[wanted].meta["categories"]:
        raise ModelError(
            f"torchvision/{name}@{wanted} has weights for features alone: its classifier was never trained",
            f"Name other weights: {', '.join(one.name for one in weights if one.meta['categories'])}.",
        )
    return weights[wanted]


def _build(name: str, classes: int, words: Words) -> nn.Module:
    """The architecture as torchvision builds it for the weights of an entry, without them."""
    extra: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3"):
        # Their published weights, and networks trained from those, expect this; it is no part of a state dict.
        extra = {"transform_input": True, "aux_logits": name == "inception_v3", "init_weights": True}
    size = words.options.input or input_of(_entry(name, words.body.partition("@")[2])).size
    if name.startswith("vit_"):
        extra["image_size"] = size[1]
    if name == "maxvit_t":
        extra["input_size"] = size[1:]
    try:
        with seeded():
            return models.get_model(name, weights=None, num_classes=classes, **extra)
    except Exception as error:  # whatever torchvision says of arguments that it cannot take
        raise ModelError(f"torchvision cannot build '{words.given}': {error}", "Leave the options out.") from error


def _trained(name: str, classes: int, words: Words, entry: Any) -> tuple[nn.Module, tuple[str, ...]]:
    """The network with an entry's weights, loaded by torchvision's own builder, which knows the names in old files; and
    the keys of a classifier that is left as initialised, as it has other classes."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(entry.url).path).name
    if not file.exists() and not reachable(entry.url):
        raise unavailable(words, f"they are not in {file.parent}, and {urlsplit(entry.url).hostname} cannot be reached")
    try:
        module = models.get_model(name, weights=entry, progress=sys.stderr.isatty())
    except OSError as error:
        raise unavailable(words, str(error)) from error
    except Exception as error:  # torch raises errors of many kinds for a broken file
        raise BadCheckpoint(
            f"the downloaded weights in {file} cannot be read: {error}", "Delete that file and try again."
        ) from error
    own_classes = len(entry.meta["categories"])
    size = words.options.input
    if classes == own_classes and (size is None or not _fixed_size(name)):
        return module, ()
    other = _build(name, classes, words)
    return other, fill_but_classifier(other, module.state_dict(), classes, own_classes, str(file))


def _fixed_size(name: str) -> bool:
    return name.startswith("vit_") or name == "maxvit_t"


def unavailable(words: Words, reason: str) -> WeightsUnavailable:
    """The error for pretrained weights that cannot be had, with the ways out."""
    return WeightsUnavailable(
        f"the weights of {words.bare} are not available: {reason}",
        f"Write '{words.bare}?weights=none' for a seeded random initialisation, or give a local file: "
        f"path/weights.safetensors with --arch {words.bare.partition('@')[0]}.",
    )


def _accuracy(entry: Any) -> float | None:
    top1 = entry.meta.get("_metrics", {}).get("ImageNet-1K", {}).get("acc@1")
    return None if top1 is None else top1 / 100
