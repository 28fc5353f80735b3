"""Checkpoint files: reading what others wrote, as weights only, and writing ones that describe themselves.

What `write` makes says which architecture it belongs to, and is otherwise plain: a `.pt` is a dict of tensors, text and
numbers that `torch.load(weights_only=True)` reads,

    {"stitchc": 1, "arch": "digits/resnet", "state_dict": {name: tensor}, "record": {"name": ..., "data": ..., ...}}

and a `.safetensors` holds the tensors, with `arch`, `stitchc` and `record` (as JSON) in its metadata.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
from argparse import Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stitchc.passes.data.errors import BadCheckpoint, OutputError, UnsafeCheckpoint, did_you_mean

from .naming import CHECKPOINTS
from .weights import unwrapped

SCHEMA = 1
# Where training programs put the weights, the averaged ones first; timm looks in the same places.
_STATES = ("state_dict_ema", "model_ema", "state_dict", "model")


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds.

    state: the state dict. arch: the architecture it names, "" if none. record: what it says of the model, under the
    names of `Model`'s fields. module: the network itself, if it is a pickled one and the user trusts it.
    """

    state: Mapping[str, Tensor]
    arch: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)
    module: nn.Module | None = None


def read(path: Path, *, trust_pickle: bool = False) -> Checkpoint:
    """Reads a .pt, .pth or .safetensors file.

    Raises:
        BadCheckpoint: missing, truncated, or without weights. UnsafeCheckpoint: it holds pickled code.
    """
    require(path)
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    return _from_content(_unpickled(path, trust_pickle), path)


def require(path: Path) -> None:
    """Refuses a path at which there is no file."""
    if path.is_file():
        return
    if path.exists():
        raise BadCheckpoint(f"{path} is a folder, not a file", "Name the file in it.")
    near = sorted(p.name for p in path.parent.iterdir() if p.is_file()) if path.parent.is_dir() else []
    hint = did_you_mean(path.name, near) if near else f"There is no folder {path.parent} either."
    raise BadCheckpoint(f"there is no file {path}", hint or "Check the path.")


def _read_safetensors(path: Path) -> Checkpoint:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 # not a mapping
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    try:
        record = json.loads(metadata.get("record", "{}"))
    except json.JSONDecodeError as error:
        raise _unreadable(path, error) from error
    return Checkpoint(unwrapped(state), metadata.get("arch", ""), record)


def _unpickled(path: Path, trust_pickle: bool) -> Any:
    if trust_pickle:
        try:
            return torch.load(path, map_location="cpu", weights_only=False)
        except Exception as error:  # whatever the file's own code raises
            raise _unreadable(path, error) from error
    try:
        # timm keeps its command line in a Namespace: attributes, no behaviour.
        with torch.serialization.safe_globals([Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many kinds for a broken file
        if code := _code_in(error):
            raise UnsafeCheckpoint(
                f"{path} holds pickled code ({code}), not only weights: reading it would run whatever it says",
                "Save its weights alone (torch.save(model.state_dict(), ...)) and name its architecture with --arch; "
                "or, if you trust where the file comes from, give --trust-pickle.",
            ) from error
        if "TorchScript" in str(error):
            raise BadCheckpoint(
                f"{path} is a TorchScript program", "Save the network by torch.export.save as a .pt2 file instead."
            ) from error
        raise _unreadable(path, error) from error


def _code_in(error: Exception) -> str:
    """The class or function that torch's weights-only unpickler refused, "" when it failed for another reason."""
    text = str(error)
    for mark in ("Unsupported global: GLOBAL ", "Unsupported class ", "Unsupported operand "):
        if mark in text:
            return text.split(mark, 1)[1].split()[0].rstrip(".,")
    return ""


def _unreadable(path: Path, error: Exception) -> BadCheckpoint:
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return BadCheckpoint(
        f"{path} ({path.stat().st_size:,} bytes) cannot be read as a checkpoint, it may be truncated: {reason[0]}",
        "Copy or download the file again.",
    )


def _from_content(content: Any, path: Path) -> Checkpoint:
    if isinstance(content, nn.Module):
        return Checkpoint(content.state_dict(), module=content)
    if not isinstance(content, Mapping):
        raise BadCheckpoint(f"{path} holds a {type(content).__name__}, not weights", "Save a state dict.")
    place = next((key for key in _STATES if content.get(key) is not None), None)
    if place and isinstance(content[place], nn.Module):
        return Checkpoint(content[place].state_dict(), module=content[place])
    state = content[place] if place and isinstance(content[place], Mapping) else content
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    if not tensors:
        raise BadCheckpoint(
            f"{path} holds no weights: its keys are {', '.join(map(str, list(content)[:5])) or 'none'}",
            f"Put the state dict under one of {', '.join(_STATES)}, or save it alone.",
        )
    record = dict(content["record"]) if content.get("stitchc") else _of_timm(content)
    arch = content.get("arch")
    return Checkpoint(unwrapped(tensors), arch if isinstance(arch, str) else "", record)


def _of_timm(content: Mapping[str, Any]) -> dict[str, Any]:
    """What timm's training checkpoints say of the model, in the arguments that it was trained with."""
    arguments = content.get("args")
    given = vars(arguments) if isinstance(arguments, Namespace) else {}
    record: dict[str, Any] = {}
    if given.get("num_classes"):
        record["classes"] = given["num_classes"]
    if given.get("input_size"):
        record["size"] = tuple(given["input_size"])
    elif given.get("img_size"):
        record["size"] = (given.get("in_chans") or 3, given["img_size"], given["img_size"])
    for key in ("mean", "std"):
        if given.get(key):
            record[key] = tuple(given[key])
    return record


def write(path: Path, state: Mapping[str, Tensor], arch: str, record: Mapping[str, Any], *, force: bool) -> None:
    """Writes a self-describing checkpoint, whole or not at all.

    Raises:
        OutputError: a suffix that is none of a checkpoint's, a file that is there already (without `force`), or a place
            that cannot be written.
    """
    if path.suffix.lower() not in CHECKPOINTS:
        raise OutputError(f"'{path}' has no suffix of a checkpoint", f"End it with {', '.join(CHECKPOINTS)}.")
    if path.exists() and not force:
        raise OutputError(f"{path} exists already", "Choose another name, or overwrite it with --force.")
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in state.items()}
    if path.suffix.lower() == ".safetensors":
        from safetensors.torch import save

        content = save(tensors, {"arch": arch, "stitchc": str(SCHEMA), "record": json.dumps(record)})
    else:
        buffer = io.BytesIO()  # torch would put the file's name into the file
        torch.save({"stitchc": SCHEMA, "arch": arch, "state_dict": tensors, "record": dict(record)}, buffer)
        content = buffer.getvalue()
    _write_whole(path, content)


def _write_whole(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}", "Choose another place.") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
