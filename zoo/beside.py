"""What lies beside a file of weights and describes it: config.json as timm and Hugging Face write it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stitchc.passes.data.errors import BadCheckpoint

from . import foreign, hugging_face, records
from .records import Record

_WEIGHTS = ("model.safetensors", "pytorch_model.bin", "model.pth", "model.pt")
CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"


@dataclass(frozen=True)
class Beside:
    """record: what the files beside the weights say. network: the class of Hugging Face's transformers that they belong
    to, which has no name here, or ""."""

    record: Record
    network: str = ""


def weights_in(folder: Path) -> Path:
    """The file of weights in a folder as timm and Hugging Face write it.

    Raises:
        BadCheckpoint: there is no config.json in it, or not one file of weights.
    """
    if not (folder / CONFIG).is_file():
        raise BadCheckpoint(f"there is no {CONFIG} in {folder}", "Name the file of weights itself, with --arch.")
    known = [folder / name for name in _WEIGHTS if (folder / name).is_file()]
    found = known[:1] or sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        listed = ", ".join(path.name for path in found) or "none"
        raise BadCheckpoint(
            f"{folder} holds no one file of weights: it has {listed}",
            "Name the file of weights itself; save weights that are parted into several files as one.",
        )
    return found[0]


def read(folder: Path) -> Beside:
    """What config.json and preprocessor_config.json in `folder` say; nothing where they are missing, or are of some
    other program.

    Raises:
        BadCheckpoint: one of them is broken, or has a value that means nothing.
    """
    record, network = Record(), ""
    config, of_input = _json(folder / CONFIG), _json(folder / PREPROCESSOR)
    if isinstance(config, dict) and isinstance(config.get("architecture"), str):
        record = records.of_timm(config, str(folder / CONFIG))
    elif isinstance(config, dict) and ("architectures" in config or "id2label" in config):
        network, record = hugging_face.of_config(config, str(folder / CONFIG))
    if of_input is not None and record.mean is None:
        said = hugging_face.of_preprocessor(of_input, str(folder / PREPROCESSOR))
        record = replace(
            record, size=said.size, mean=said.mean, std=said.std, crop=said.crop, interpolation=said.interpolation,
            notes=(*record.notes, *said.notes),
        )  # fmt: skip
    return Beside(record, network)


def _json(path: Path) -> Any:
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            return foreign.json_of(file.read(foreign.MOST_BYTES + 1))
    except (foreign.Fault, OSError) as error:
        raise BadCheckpoint(f"{path}: {error}", "Mend it, or take it away.") from error
