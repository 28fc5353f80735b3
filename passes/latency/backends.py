"""A module as a function from images to outputs, run by one of several backends."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from ..data.errors import InputError, first_line, unknown
from ..emit.load import load_onnx

BACKENDS = ("eager", "compile", "onnxruntime")


def check_backend(backend: str) -> str:
    """The backend itself.

    Raises:
        InputError: it is none.
    """
    if backend not in BACKENDS:
        raise unknown(backend, "backend", BACKENDS)
    return backend


def on_backend(backend: str, module: nn.Module, image: Tensor) -> Callable[[Tensor], Tensor]:
    """The module, ready to run. `onnxruntime` computes on the processor with as many threads as torch.

    Raises:
        InputError: an unknown backend, or one that cannot take the module.
    """
    if check_backend(backend) == "eager":
        return module
    try:
        return torch.compile(module) if backend == "compile" else _exported(module, image)
    except Exception as error:
        raise InputError(
            f"the backend '{backend}' cannot run this network: {first_line(error)}",
            "Measure it with `backend='eager'`.",
        ) from error


def _exported(module: nn.Module, image: Tensor) -> Callable[[Tensor], Tensor]:
    with tempfile.TemporaryDirectory(prefix="stitchc-") as folder:
        path = Path(folder) / "model.onnx"
        with contextlib.redirect_stdout(io.StringIO()):  # the exporter tells of its progress
            torch.onnx.export(
                module.eval(), (image,), path, input_names=["input"], output_names=["output"], dynamo=True,
                external_data=False,
            )  # fmt: skip
        return load_onnx(path)
