"""Kinships of architectures: which module of its library one is from, and how large it is, without its memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

from stitchc.passes.data.errors import ModelError, first_line

from .naming import parse


def family(name: str) -> str:
    """The module that an architecture comes from: "timm/resnet", "torchvision/swin_transformer", "digits/nets".

    Raises:
        ModelError: `name` is none of a library.
    """
    return f"{parse(name).form}/{_module(_builder(name)).rpartition('.')[2]}"


def weight(name: str) -> int:
    """The number of parameters of an architecture; it is built of tensors without memory, where that can be.

    Raises:
        ModelError: `name` is none of a library, or the library cannot build it.
    """
    import torch

    builder = _builder(name)
    try:
        with warnings.catch_warnings(action="ignore"):
            try:
                with torch.device("meta"):
                    module = builder()
            except RuntimeError:  # it computes its widths with tensors
                module = builder()
    except Exception as error:  # whatever a library's own code raises
        raise ModelError(f"{name} cannot be built: {first_line(error)}") from error
    return sum(parameter.numel() for parameter in module.parameters())


def _builder(name: str) -> Callable[..., Any]:
    words = parse(name)
    if words.form == "timm":
        import timm

        return timm.model_entrypoint(words.body.partition(".")[0])
    if words.form == "torchvision":
        from torchvision import models

        return models.get_model_builder(words.body.partition("@")[0])
    if words.form == "digits":
        from .digits.data import CLASSES
        from .digits.nets import NETS

        return partial(NETS[words.body], CLASSES)
    raise ModelError(f"'{name}' is no architecture of a library", "Name timm/NAME, torchvision/NAME or digits/NAME.")


def _module(builder: Callable[..., Any]) -> str:
    return builder.func.__module__ if isinstance(builder, partial) else builder.__module__
