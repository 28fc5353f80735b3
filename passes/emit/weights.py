"""The weights file: safetensors, the same bytes for the same weights."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from ..data.errors import OutputError, first_line

#: Names of dtypes in a safetensors header, and in torch.
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def tied_keys(state: dict[str, Tensor]) -> dict[str, str]:
    """Keys of parameters that are the very same as an earlier one's, and that key."""
    first: dict[int, str] = {}
    tied: dict[str, str] = {}
    for key in sorted(state):
        if isinstance(state[key], nn.Parameter):
            if id(state[key]) in first:
                tied[key] = first[id(state[key])]
            else:
                first[id(state[key])] = key
    return tied


def write_weights(state: dict[str, Tensor], path: Path) -> dict[str, str]:
    """Write every tensor once, keys sorted. Returns the dtypes that occur: their names in the file and in torch.

    Raises:
        OutputError: the file cannot be written.
    """
    names = {dtype: name for name, dtype in DTYPES.items()}
    tied = tied_keys(state)
    tensors = {key: state[key].detach().to("cpu", copy=True).contiguous() for key in sorted(state) if key not in tied}
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:  # what it makes of errors of the system
        raise OutputError(f"{path.name} cannot be written: {first_line(error)}", "Is the disk full?") from error
    return {names[dtype]: str(dtype) for dtype in dict.fromkeys(t.dtype for t in tensors.values())}
