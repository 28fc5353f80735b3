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
from ..data.kept_by_torch import mortal_exports
from ..data.pass_options import BACKENDS
from ..emit.load import load_onnx


def check_backend(backend: str) -> str:
    """The backend itself.

    Raises:
        InputError: it is none.
    """
    if backend not in BACKENDS:
        raise unknown(backend, "backend", BACKENDS)
    return backend


def on_backend(backend: str, module: nn.Module, image: Tensor) -> Callable[[Tensor], Tensor]:
    """The module, ready to run on the device of the image. `onnxruntime` computes on the processor with as many threads
    as torch; `cudagraphs` replays what one run launched on a graphics card, for images of this shape.

    Raises:
        InputError: an unknown backend, or one that cannot take the module.
    """
    if check_backend(backend) == "eager":
        return module
    try:
        return {"compile": _compiled, "cudagraphs": _captured, "onnxruntime": _exported}[backend](module, image)
    except Exception as error:
        raise InputError(
            f"the backend '{backend}' cannot run this network: {first_line(error)}",
            "Measure it with `backend='eager'`.",
        ) from error


def _compiled(module: nn.Module, image: Tensor) -> Callable[[Tensor], Tensor]:
    return torch.compile(module)


def _captured(module: nn.Module, image: Tensor) -> Callable[[Tensor], Tensor]:
    """Launches are recorded once and replayed together, so that none waits for the processor."""
    if image.device.type != "cuda":
        raise RuntimeError(f"it is for graphics cards, and this is {image.device.type}")
    given, graph = image.clone(), torch.cuda.CUDAGraph()
    aside = torch.cuda.Stream(image.device)
    aside.wait_stream(torch.cuda.current_stream(image.device))
    with torch.no_grad(), torch.cuda.stream(aside):  # libraries prepare themselves, which cannot be recorded
        for _ in range(3):
            module(given.clone())
    torch.cuda.current_stream(image.device).wait_stream(aside)
    with torch.no_grad(), torch.cuda.graph(graph):
        made = module(given)

    def run(shown: Tensor) -> Tensor:
        given.copy_(shown)
        graph.replay()
        return made

    return run


def _exported(module: nn.Module, image: Tensor) -> Callable[[Tensor], Tensor]:
    with tempfile.TemporaryDirectory(prefix="stitchc-") as folder:
        path = Path(folder) / "model.onnx"
        with contextlib.redirect_stdout(io.StringIO()), mortal_exports():  # the exporter tells of its progress
            torch.onnx.export(
                module.eval(), (image,), path, input_names=["input"], output_names=["output"], dynamo=True,
                external_data=False,
            )  # fmt: skip
        return load_onnx(path)
