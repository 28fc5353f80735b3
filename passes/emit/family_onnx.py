"""The members of a family as ONNX files that share one file of weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import torch

from ..data.family import Family
from ..data.plan import Plan
from .family import Emitted
from .load import load_module
from .onnx import describe, export

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto

#: The folder of the ONNX files, and the file in it that holds the weights of all. ONNX takes none outside the folder.
FOLDER, DATA = "onnx", "model.onnx.data"

# Tensors of fewer bytes stay in the file that uses them: most are shapes, which ONNX wants to see.
_LEAST = 256
# Each begins at a multiple of so many bytes, as vector instructions like it.
_ALIGNED = 64


def export_family(
    plan: Plan,
    family: Family,
    emitted: Emitted,
    folder: Path,
    opset: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes `onnx/NAME.onnx` for each member, input `input`, output `output`, batch axis free, and their weights into
    `onnx/model.onnx.data`, in which each tensor stands once, whoever has it. `model.py` must be in `folder` already.

    BatchNorms are not folded into convolutions: a runtime does that when it loads the file, and a convolution stays the
    same for members whose statistics differ.

    Raises:
        ModelError: the exporter has no translation for what a member does.
    """
    module: Any = load_module(folder)
    images = torch.randn(2, *emitted.input.size, generator=torch.Generator().manual_seed(plan.seed))
    there = folder / FOLDER
    there.mkdir()
    with (there / DATA).open("wb") as file:
        data = _Data(file)
        for done, member in enumerate(family.members):
            if progress:
                progress(done, len(family.members))
            model = export(module.member(member.name), images, opset)
            describe(model, plan, member.hybrid.chain, emitted.input)
            data.take(model)
            (there / f"{member.name}.onnx").write_bytes(model.SerializeToString(deterministic=True))


class _Data:
    """The file of weights, as it grows."""

    def __init__(self, file: BinaryIO):
        self._file = file
        self._at: dict[bytes, int] = {}

    def take(self, model: ModelProto) -> None:
        """Moves the large tensors of a model into the file."""
        for tensor in _tensors(model.graph):
            data = _bytes(tensor)
            if len(data) >= _LEAST:
                _refer(tensor, self._placed(data), len(data))

    def _placed(self, data: bytes) -> int:
        """Where these bytes begin in the file."""
        key = hashlib.sha256(data).digest()
        if key not in self._at:
            self._file.write(b"\0" * (-self._file.tell() % _ALIGNED))
            self._at[key] = self._file.tell()
            self._file.write(data)
        return self._at[key]


def _tensors(graph: GraphProto) -> list[TensorProto]:
    return [tensor for tensor in graph.initializer if not tensor.external_data]


def _bytes(tensor: TensorProto) -> bytes:
    from onnx import numpy_helper

    return tensor.raw_data if tensor.HasField("raw_data") else numpy_helper.to_array(tensor).tobytes()


def _refer(tensor: TensorProto, offset: int, length: int) -> None:
    from onnx import TensorProto

    for field in ("raw_data", "float_data", "int32_data", "int64_data", "double_data", "uint64_data"):
        tensor.ClearField(field)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", DATA), ("offset", offset), ("length", length)):
        tensor.external_data.add(key=key, value=str(value))
