"""A generated folder as its user gets it: `model.py` run on its own, `model.onnx` in ONNX Runtime."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

import numpy as np
import torch
from torch import Tensor, nn

from ..data.errors import VerificationError, first_line


def load_module(folder: Path) -> nn.Module:
    """Run `folder/model.py` under a name of its own and call its `load()`. Layers that are made draw random weights,
    which are replaced: the global random state is left as it was.

    Raises:
        VerificationError: the file is missing, is no Python, or does not load its weights.
    """
    path = Path(folder).resolve() / "model.py"
    if not path.is_file():
        raise VerificationError(f"{path} does not exist", "Compile again; an artifact has its model.py.")
    name = f"stitched_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        with torch.random.fork_rng(devices=[]):
            spec.loader.exec_module(module)
            return module.load()
    except Exception as error:
        raise VerificationError(
            f"{path} cannot be loaded: {type(error).__name__}: {first_line(error)}",
            "Was it changed, or written for another torch? The recipe.toml beside it makes it again.",
        ) from error


class _FromSource(SourceFileLoader):
    """Runs the text of the file, and neither reads nor writes bytecode in `__pycache__` beside it, which can say
    something else than the text that was looked at."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def load_onnx(path: Path) -> Callable[[Tensor], Tensor]:
    """The ONNX file as a function from images to outputs, on the CPU.

    Raises:
        VerificationError: ONNX Runtime refuses it.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    # Threads that wait without sleeping would take the processor from torch's, and from other processes.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise VerificationError(
            f"{path} cannot be loaded by ONNX Runtime: {first_line(error)}",
            "An older ONNX Runtime reads a lower operator set: `opset=18`.",
        ) from error

    def run(images: Tensor) -> Tensor:
        (result,) = session.run(["output"], {"input": np.ascontiguousarray(images.numpy())})
        return torch.from_numpy(result)

    return run
