"""Models named `timm/<name>[.<tag>]` and `timm/hf-hub:<owner>/<name>`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import timm
from torch import nn

from stitchc.passes.data.errors import BadCheckpoint, ModelError, WeightsUnavailable, unknown
from stitchc.passes.data.model import InputSpec, Model

from .from_torchvision import unavailable
from .naming import INTERPOLATIONS, Words, words_of
from .network import hub_offline_if_unreachable
from .weights import seeded

LICENCE = "Apache-2.0"  # timm's own; that of pretrained weights stands in their configuration


def load(words: Words, *, trust: bool = False) -> Model:
    """A timm architecture, with the weights of its tag (without one, timm's default tag).

    Raises:
        ModelError: no such architecture or tag. WeightsUnavailable: the weights are neither cached nor reachable.
    """
    options, hub = words.options, words.body.startswith("hf-hub:")
    if not hub:
        _check(words)
    extra: dict[str, Any] = dict(words.arguments)
    if options.num_classes is not None:
        extra["num_classes"] = options.num_classes
    if options.input is not None:
        extra |= _size_arguments(words, options.input)
    module = _create(words, options.weights, extra, trust)
    config: Any = module.pretrained_cfg
    spec = input_of(config)
    tag = config.get("tag")
    name = f"{config['architecture']}.{tag}" if tag else config["architecture"]
    classes = getattr(module, "num_classes", None)
    fresh = options.weights and classes != config.get("num_classes")
    notes: tuple[str, ...] = ("its classifier is untrained",) if fresh else ()
    if config.get("crop_mode", "center") != "center":
        notes += (f"timm crops its images by '{config['crop_mode']}'; here the centre is taken",)
    return Model(
        name=words.bare,
        input=spec,
        arch="" if hub else words_of(f"timm/{name}", classes, options),
        licence=config.get("license") if options.weights else LICENCE,
        classes=classes,
        class_names=_class_names(config, classes) if options.weights else None,
        notes=notes,
        module=module,
    )


def _class_names(config: dict[str, Any], classes: int | None) -> tuple[str, ...] | None:
    """What a pretrained configuration calls the classes; few say it."""
    names = config.get("label_names")
    return tuple(map(str, names)) if isinstance(names, list | tuple) and len(names) == classes else None


def input_of(config: dict[str, Any]) -> InputSpec:
    """The input that a timm `pretrained_cfg` asks for."""
    interpolation = config.get("interpolation", "bicubic")
    known = interpolation in INTERPOLATIONS
    return InputSpec(
        size=tuple(config["input_size"]),
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        interpolation=interpolation if known else "bicubic",
        crop=config.get("crop_pct") or 1.0,
        assumed=() if known else ("interpolation",),
    )


def _check(words: Words) -> None:
    """Refuses an architecture or a tag that timm does not have: it would build one without its configuration."""
    arch, _, tag = words.body.partition(".")
    if not timm.is_model(arch):
        among = "`stitchc zoo list timm/` names them."
        raise unknown(arch, "architecture of timm", timm.list_models(), ModelError, among=among)
    tags = [name.partition(".")[2] for name in timm.list_pretrained(f"{arch}.*")]
    try:
        config = timm.get_pretrained_cfg(words.body)
    except RuntimeError:
        raise ModelError(f"timm's {arch} has no tag '{tag}'", f"It has {', '.join(tags) or 'none'}.") from None
    if words.options.weights and not (config and config.has_weights):
        raise unavailable(words, "timm has none for it" + (f"; it has some for {', '.join(tags)}" if tags else ""))


def _size_arguments(words: Words, size: tuple[int, int, int]) -> dict[str, Any]:
    """Channels always, height and width for the architectures whose parameters depend on them."""
    config = None if words.body.startswith("hf-hub:") else timm.get_pretrained_cfg(words.body)
    arguments: dict[str, Any] = {"in_chans": size[0]}
    if config is not None and config.fixed_input_size:
        arguments["img_size"] = size[1:]
    return arguments


def _create(words: Words, pretrained: bool, extra: dict[str, Any], trust: bool) -> nn.Module:
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        with seeded(), hub_offline_if_unreachable() if _downloads(words) else _nothing(), _pickle_refused(trust):
            return timm.create_model(words.body, pretrained=pretrained, **extra)
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        reason = "they are not in Hugging Face's cache, and the download failed"
        if not isinstance(error, LocalEntryNotFoundError):
            reason += f": {str(error).splitlines()[0]}"
        if words.body.startswith("hf-hub:"):
            raise WeightsUnavailable(
                f"neither weights nor configuration of {words.bare} are available: {reason}",
                "Name the architecture itself, 'timm/NAME?weights=none', or a local file: path/model.safetensors with "
                "--arch timm/NAME.",
            ) from error
        raise unavailable(words, reason) from error
    except RuntimeError as error:
        if not pretrained:
            raise ModelError(f"timm cannot build {words.bare}: {error}", "Leave the options out.") from error
        raise BadCheckpoint(
            f"timm cannot load {words.bare}: {error}", "Delete the cached file and try again."
        ) from error
    except Exception as error:  # whatever a constructor says of arguments that it cannot take
        raise ModelError(
            f"timm cannot build {words.bare} with {_arguments(extra)}: {error}", "Leave the options out."
        ) from error


def _arguments(given: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in given.items()) or "no arguments"


def _downloads(words: Words) -> bool:
    return words.options.weights or words.body.startswith("hf-hub:")


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _pickle_refused(trust: bool) -> Iterator[None]:
    """torch reads weights only, whatever a downloaded configuration asks of timm."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    if not trust:
        os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = before
