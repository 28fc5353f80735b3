"""Checkpoint files: reading what others wrote, as data only, and writing ones that describe themselves.

What `write` makes says which architecture it belongs to, and is otherwise plain: a `.pt` is a dict of tensors, text and
numbers that `torch.load(weights_only=True)` reads,

    {"stitchc": 1, "arch": "digits/resnet", "state_dict": {name: tensor}, "record": {"name": ..., "data": ..., ...}}

and a `.safetensors` holds the tensors, with `arch`, `stitchc` and `record` (as JSON) in its metadata.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stitchc.passes.data.errors import BadCheckpoint, OutputError
from stitchc.passes.data.whole_file import try_file, whole_file

from . import foreign, pickled, records
from .present import require
from .records import Record

SCHEMA = 1
_MOST_HEADER = 2**23  # bytes in which a safetensors file lists its tensors: some fifty thousand of them
WRITTEN = (".pt", ".pth", ".safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    content: mappings of tensors, in whatever they are wrapped. record: what it says of the model. ours: whether `write`
    made it, so that its record is whole.
    """

    content: Any = field(repr=False)
    record: Record
    ours: bool = False


def read(path: Path, *, trust: bool = False) -> Checkpoint:
    """Reads a file of torch.save or safetensors, whatever its name ends with.

    Raises:
        BadCheckpoint: missing, damaged, or something else. UnsafeCheckpoint: it holds pickled code, without `trust`.
    """
    require(path)
    if _is_safetensors(path):
        return _read_safetensors(path)
    content = pickled.load(path, trust=trust)
    if not isinstance(content, Mapping):
        return Checkpoint(content, Record())
    arch = content.get("arch")
    if content.get("stitchc"):
        return _own(path, content, content["stitchc"], content.get("arch"), content.get("record"))
    record = records.of_training(content.get("args"), f"{path}, args")
    if not {"best_acc1", "best_prec1"}.isdisjoint(content):  # PyTorch's ImageNet example, which trains torchvision's
        record = replace(record, registry="torchvision")
    return Checkpoint(content, replace(record, arch=_line(arch) or record.arch))


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(9)
    if head[6:8] == b"\0\0" and int.from_bytes(head[:8], "little") > _MOST_HEADER and head[8:] == b"{":
        raise BadCheckpoint(f"{path} lists more tensors than any network has", "Save a state dict.")
    return path.suffix.lower() == ".safetensors" or (len(head) == 9 and head[5:9] == b"\0\0\0{")


def _read_safetensors(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 # not a mapping
    except (SafetensorError, OSError) as error:
        raise pickled.unreadable(path, error) from error
    # safetensors.torch.save_model keeps a shared tensor once, and its other names here.
    state |= {name: state[same] for name, same in metadata.items() if same in state and name not in state}
    arch = metadata.get("arch", "")
    if "stitchc" not in metadata:
        return Checkpoint(state, Record(arch=_line(arch)))
    try:
        record = foreign.json_of(metadata.get("record", "{}"))
    except foreign.Fault as error:
        raise BadCheckpoint(f"{path}, record: {error}", "Pack the model again.") from error
    return _own(path, state, metadata["stitchc"], arch, record)


def _own(path: Path, content: Any, schema: Any, arch: Any, record: Any) -> Checkpoint:
    if str(schema) != str(SCHEMA):
        raise BadCheckpoint(
            f"{path} has schema {str(schema)[:20]!r}; this stitchc reads {SCHEMA}", "Use the stitchc that wrote it."
        )
    arch = foreign.read(foreign.text(1000), arch, f"{path}, arch", BadCheckpoint, "Pack the model again.")
    return Checkpoint(content, replace(records.own(record, f"{path}, record"), arch=arch), ours=True)


def _line(arch: Any) -> str:
    """`arch` where it can be the name of an architecture; other programs keep other things under that key."""
    return arch if isinstance(arch, str) and len(arch) <= 300 and arch.isprintable() else ""


def check_place(path: Path, *, force: bool) -> None:
    """Before the work.

    Raises:
        OutputError: a suffix that is none of a checkpoint's, a file that is there already (without `force`), or a place
            that cannot be written.
    """
    if path.suffix.lower() not in WRITTEN:
        raise OutputError(f"'{path}' has no suffix of a checkpoint", f"End it with {', '.join(WRITTEN)}.")
    if path.exists() and not force:
        raise OutputError(f"{path} exists already", "Choose another name, or overwrite it with --force.")
    try_file(path)


def write(path: Path, state: Mapping[str, Tensor], arch: str, record: Mapping[str, Any]) -> None:
    """Writes a self-describing checkpoint, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    if path.suffix.lower() == ".safetensors":
        from safetensors.torch import save

        content = save(tensors, {"arch": arch, "stitchc": str(SCHEMA), "record": json.dumps(record)})
    else:
        buffer = io.BytesIO()  # torch would put the file's name into the file
        torch.save({"stitchc": SCHEMA, "arch": arch, "state_dict": tensors, "record": dict(record)}, buffer)
        content = buffer.getvalue()
    with whole_file(path) as part:
        part.write_bytes(content)
