"""Files that torch.save wrote: what is in them found out before torch reads them, and read as data alone.

A pickle is a program, which is looked at without running it; a zip archive tells sizes and checksums, which torch
itself does not check.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path, PosixPath
from typing import Any, BinaryIO

import numpy as np
import torch

from stitchc.passes.data.errors import BadCheckpoint, UnsafeCheckpoint, first_line

from . import zips
from .pickle_scan import Seen, scan

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
_MOST_PICKLE_BYTES = 256 * 2**20  # of the pickle itself; tensors lie beside it
_MOST_INFLATION = 20  # torch.save compresses nothing, others may
_LEGACY_PICKLES = 5  # before version 1.6: magic number, protocol, system, content, keys of the storages
_OLD_PROTOCOL = 2  # torch reads those up to it as data alone

_OTHERS = {
    b"version https://git-lfs": ("a pointer of Git LFS, not the file itself", "Run `git lfs pull` where it lies."),
    b"<!DOCTYPE": ("a web page", "Its download failed: fetch it again."),
    b"<html": ("a web page", "Its download failed: fetch it again."),
    b"\x89HDF": ("an HDF5 file, as Keras writes it", "Bring its weights into a state dict of torch."),
    b"GGUF": ("a GGUF file", "Bring its weights into a state dict of torch."),
    b"\x1f\x8b": ("compressed by gzip", "Unpack it with gunzip."),
    b"7z\xbc\xaf": ("compressed by 7-Zip", "Unpack it."),
    b"\xfd7zXZ": ("compressed by xz", "Unpack it with unxz."),
}


def load(path: Path, *, trust: bool = False) -> Any:
    """The content of a file of torch.save: tensors, text, numbers and containers of them; with `trust` anything.

    Raises:
        UnsafeCheckpoint: it would run code. BadCheckpoint: it is broken, or something else than such a file.
    """
    seen = _look(path, trust)
    try:
        if trust:
            return torch.load(path, map_location="cpu", weights_only=False)
        with torch.serialization.safe_globals(_data()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except (Exception, SystemExit) as error:  # torch raises errors of many kinds, a trusted file's own code any
        raise _unfound(path, error) if trust else _refused(path, seen, error) from error


def load_bytes(path: Path, content: bytes) -> Any:
    """The content of a file of torch.save that lies within the file at `path`, as data alone.

    Raises:
        Exception: it is broken, or would run code.
    """
    with zips.opened(io.BytesIO(content)) as archive:
        check_zip(path, archive)
        for name in archive.namelist():
            if name.rpartition("/")[2] == "data.pkl":
                scan(io.BytesIO(archive.read(name)), Seen())
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def unreadable(path: Path, error: BaseException | str) -> BadCheckpoint:
    """The error for a file that is broken."""
    reason = str(error).strip().splitlines() or [type(error).__name__]
    return BadCheckpoint(
        f"{path} ({path.stat().st_size:,} bytes) cannot be read as a checkpoint, it may be truncated: {reason[0]}",
        "Copy or download the file again.",
    )


def check_zip(path: Path, archive: zipfile.ZipFile) -> None:
    """Holds a zip archive to what it says of itself: names once, sizes that can be, and the checksum of each member
    unless it was saved without any.

    Raises:
        BadCheckpoint: it does not keep to them.
    """
    members = archive.infolist()
    names = [member.filename.lower() for member in members]
    if len(set(names)) != len(names):
        raise unreadable(path, "it has two members of one name")
    size = path.stat().st_size
    packed, unpacked = (sum(getattr(member, key) for member in members) for key in ("compress_size", "file_size"))
    if packed > size or unpacked > _MOST_INFLATION * size:
        raise unreadable(path, f"its members would take {unpacked:,} bytes")
    unsummed = not any(member.CRC for member in members)  # saved under torch.serialization.set_crc32_options(False)
    for member in members:
        if unsummed:
            del member.CRC  # so that it is not compared
        try:
            with archive.open(member) as file:
                checksum = 0
                while part := file.read(2**20):
                    checksum = zlib.crc32(part, checksum)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
            reason = "its checksum differs" if "CRC" in str(error) else str(error)
            raise BadCheckpoint(
                f"{path} is damaged: of its member {member.filename} {reason}",
                "Copy or download the file again.",
            ) from error
        member.CRC = checksum  # of such a file, for whoever reads it next


def _look(path: Path, trust: bool) -> Seen:
    """What the pickles in a file would do, where it is not trusted.

    Raises:
        BadCheckpoint: it is no file of torch.save, or is broken, or asks for more than it holds.
    """
    with path.open("rb") as file:
        head = file.read(16)
        for magic, (kind, hint) in _OTHERS.items():
            if head.startswith(magic[:16]):
                raise BadCheckpoint(f"{path} is {kind}", hint)
        file.seek(0)
        seen = Seen()
        try:
            for stream in _pickles(path, head, file):
                if not trust:
                    scan(stream, seen)
        except BadCheckpoint:
            raise
        except Exception as error:  # pickletools raises errors of many kinds
            raise unreadable(path, error) from error
    return seen


def _pickles(path: Path, head: bytes, file: BinaryIO) -> Iterator[BinaryIO]:
    if head.startswith(_ZIP):
        with zips.opened(file) as archive:
            check_zip(path, archive)
            names = archive.namelist()
            _refuse_programs(path, names)
            for name in names:
                if name.rpartition("/")[2] == "data.pkl":
                    if archive.getinfo(name).file_size > _MOST_PICKLE_BYTES:
                        raise unreadable(path, f"its pickle is larger than {_MOST_PICKLE_BYTES:,} bytes")
                    with archive.open(name) as stream:
                        yield stream  # type: ignore[misc] # a readable stream of bytes
        return
    if not head.startswith(_PICKLE):
        if path.suffix == ".toml":
            raise BadCheckpoint(f"{path} is no model", f"If it is a recipe, write --recipe {path}.")
        raise BadCheckpoint(
            f"{path} is neither a file of torch.save nor a safetensors file" if head else f"{path} is empty",
            "Weights in another format (ONNX, TensorFlow, NumPy) must be brought into a state dict of torch. If it "
            "should be one, copy or download it again.",
        )
    for _ in range(_LEGACY_PICKLES):
        if not file.read(1):
            return  # a plain pickle, which torch refuses itself
        file.seek(-1, 1)
        yield file


def _refuse_programs(path: Path, names: list[str]) -> None:
    inner = {name.partition("/")[2] for name in names}
    if "constants.pkl" in inner:
        raise BadCheckpoint(
            f"{path} is a TorchScript program", "Save the network by torch.export.save as a .pt2 file instead."
        )
    if "archive_format" in inner or any(name.startswith("models/") for name in inner):
        raise BadCheckpoint(f"{path} is a program of torch.export.save", "Give it a name that ends with .pt2.")
    if not any(name.rpartition("/")[2] == "data.pkl" for name in names):
        raise BadCheckpoint(f"{path} is a zip archive, but none that torch.save wrote", "Unpack it, and name the file.")


def _refused(path: Path, seen: Seen, error: BaseException) -> Exception:
    """What to say of a file that torch does not read as data."""
    said = str(error)
    words = set(re.split(r"[^\w.]+", said))
    code = sorted(name for name in seen.named if {name, name.removeprefix("builtins.")} & words)
    if code:
        where = " Its class lies in the script that saved it: with --trust, name that too: --arch FILE.py:CLASS."
        return UnsafeCheckpoint(
            f"{path} holds pickled code ({code[0]}), not only weights: reading it would run whatever it says",
            "Save its weights alone (torch.save(model.state_dict(), ...)) and name its architecture with --arch; "
            "or, if you trust where the file comes from, give --trust (or --trust-pickle)."
            + (where if code[0].startswith("__main__.") else ""),
        )
    if seen.protocol > _OLD_PROTOCOL or "Unsupported operand" in said:
        return UnsafeCheckpoint(
            f"{path} was saved with pickle_protocol={seen.protocol}, which torch reads only with leave to run code",
            "Save it without pickle_protocol; or, if you trust where the file comes from, give --trust.",
        )
    return unreadable(path, error)


def _unfound(path: Path, error: BaseException) -> BadCheckpoint:
    """What to say of a trusted file that cannot be read: mostly its classes lie in a script that is not here."""
    if isinstance(error, ModuleNotFoundError) or (isinstance(error, AttributeError) and "get attribute" in str(error)):
        return BadCheckpoint(
            f"{path} was pickled with code that is not found here: {first_line(error)}",
            "Name the script that it was saved from, and its class: --trust --arch FILE.py:CLASS. Or install the "
            "package that the code is of.",
        )
    return unreadable(path, error)


def _data() -> list[Any]:
    """What is data beside torch's own: plain numbers and arrays of numpy, and an option parser's result, which has
    attributes and no behaviour. timm keeps its command line in one."""
    try:
        from numpy._core import multiarray
    except ImportError:  # numpy 1
        from numpy.core import multiarray  # type: ignore[no-redef]
    made = [(getattr(multiarray, name), name) for name in ("scalar", "_reconstruct")]
    named = [(what, f"numpy.{core}.multiarray.{name}") for what, name in made for core in ("core", "_core")]
    kinds = [type(np.dtype(code)) for code in "?bBhHiIlLqQefdgUSM"]
    return [Namespace, PosixPath, np.dtype, np.ndarray, *named, *kinds]
