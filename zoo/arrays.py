"""Pictures in a .npz file: read whole where that is little, else mapped or refused."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from stitchc.passes.data.errors import DataError

from . import zips
from .pictures import Pictures

#: Bytes of an array that are read whole; a larger one that is not compressed is mapped to memory.
READ_BYTES = 1 << 28
#: A compressed array that unpacks to more than this many times its size, and to more than READ_BYTES, is refused.
MOST_TIMES = 100
#: Images in one file; with more, the lists of them alone would take gigabytes.
MOST_IMAGES = 20_000_000
_HEADER = 30  # bytes of a local file header in a zip, before the name


def from_arrays(path: Path) -> Pictures:
    """A .npz with `images` uint8 [n, height, width] or [n, height, width, channels], and perhaps `labels` [n].

    Raises:
        DataError: no such arrays, other types or shapes, labels below 0, an array that unpacks to far more than it is.
    """
    try:
        with zips.opened(path) as archive:
            inside = {name.removesuffix(".npy"): archive.getinfo(name) for name in archive.namelist()}
            found = {name: _array(path, archive, inside[name]) for name in ("images", "labels") if name in inside}
    except DataError:
        raise
    except Exception as error:  # numpy and zipfile raise errors of many kinds for a broken file
        raise DataError(f"{path} cannot be read as .npz: {error}", "Write it with numpy.savez.") from error
    if "images" not in found:
        raise DataError(f"{path} has no array 'images'; it has {', '.join(inside) or 'none'}", "Name it so.")
    images, labels = found["images"], found.get("labels")
    if images.dtype != np.uint8 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] in (1, 3))):
        raise DataError(
            f"{path}: images are {images.dtype} of shape {images.shape}",
            "They must be uint8 of shape [n, height, width, 3], [n, height, width, 1] or [n, height, width].",
        )
    if not images.size:
        raise DataError(f"{path} holds no images", "Check how it was written.")
    if labels is not None and (labels.shape != (len(images),) or labels.dtype.kind not in "iu"):
        raise DataError(
            f"{path}: labels are {labels.dtype} of shape {labels.shape}", "They must be integers, one an image."
        )
    if labels is not None and int(labels.min()) < 0:
        raise DataError(f"{path}: a label is {int(labels.min())}", "They must count the classes from 0.")
    if images.shape[-1] == 1 and images.ndim == 4:
        images = images[..., 0]
    if len(images) > MOST_IMAGES:
        raise DataError(f"{path} holds {len(images):,} images, and {MOST_IMAGES:,} are the most", "Split it.")
    numbers = None if labels is None else [int(label) for label in labels]
    return Pictures(
        len(images),
        lambda index: Image.fromarray(np.ascontiguousarray(images[index])),
        numbers,
        None if numbers is None else max(numbers) + 1,
    )


def _array(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    if member.file_size > max(READ_BYTES, MOST_TIMES * member.compress_size):
        raise DataError(
            f"{path}: '{member.filename}' unpacks to {member.file_size:,} bytes, more than {MOST_TIMES} times its size",
            "No pictures are compressed so well. If it is what it should be, write it with numpy.savez, uncompressed.",
        )
    with archive.open(member) as file:
        shape, in_fortran_order, dtype = _header(file)
        start = file.tell()
        if dtype.hasobject:
            raise ValueError(f"'{member.filename}' holds Python objects")
        if start + int(np.prod(shape, dtype=object)) * dtype.itemsize != member.file_size:
            raise ValueError(f"'{member.filename}' is of shape {shape}, which its {member.file_size:,} bytes are not")
        if member.file_size > READ_BYTES and member.compress_type == zipfile.ZIP_STORED and not in_fortran_order:
            return np.memmap(path, dtype, "r", _offset(path, member) + start, shape)
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)


def _offset(path: Path, member: zipfile.ZipInfo) -> int:
    """Where a member's bytes begin: the lengths of name and extra field stand in the header before them."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        header = file.read(_HEADER)
    return (
        member.header_offset
        + _HEADER
        + int.from_bytes(header[26:28], "little")
        + int.from_bytes(header[28:30], "little")
    )
