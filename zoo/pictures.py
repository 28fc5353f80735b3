"""Pictures before a sample is drawn from them, and one of them decoded: within a budget of bytes, or not at all."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from PIL import Image, UnidentifiedImageError

from stitchc.passes.data.errors import DataError

#: Those that torchvision's ImageFolder reads.
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
#: Encoded bytes of one picture; more are refused before they are read.
FILE_BYTES = 1 << 28
#: Bytes of one picture once decoded to RGB; more are refused on the word of its header. 8192 x 8192 pixels fit.
DECODED_BYTES = 1 << 28
_PIXEL = 4  # bytes that PIL keeps for one of RGB, which the others are converted to
# Decoded bytes from which pictures are decoded one at a time, so that threads do not multiply the budget.
_LARGE = 1 << 26
_one_large = Lock()
# What is looked for in a file, whatever its suffix: formats that PIL decodes itself. EPS, for one, runs a program.
_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "DIB", "TIFF", "WEBP", "GIF", "MPO", "AVIF", "JPEG2000")


@dataclass(frozen=True)
class Pictures:
    """Pictures before a sample is drawn from them.

    read: the picture at an index, in any mode, from any thread. labels: one per picture, or None. classes: how many
    there are. class_names: [classes], where labels are positions among names; None where they are numbers that somebody
    wrote down. select: told once which indices will be read, so that the rest may be dropped. noise: they are none.
    notes: what whoever reads a figure taken on them must know. where: the name of the picture at an index, for errors.
    """

    count: int
    read: Callable[[int], Image.Image]
    labels: Sequence[int] | None = None
    classes: int | None = None
    class_names: tuple[str, ...] | None = None
    select: Callable[[Sequence[int]], None] = lambda _: None
    noise: bool = False
    notes: tuple[str, ...] = ()
    where: Callable[[int], str] = lambda index: f"picture {index}"


def is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in SUFFIXES


def content_of(path: Path) -> bytes:
    """The bytes of a picture's file.

    Raises:
        DataError: it cannot be read, is no regular file (a pipe would never end), or is larger than FILE_BYTES.
    """
    try:
        found = path.stat()
        if stat.S_ISREG(found.st_mode):
            check_size(found.st_size, str(path))
            return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", "Remove it, or mend it.") from error
    raise DataError(f"{path} is no regular file", "Remove it.")


def check_size(size: int, where: str) -> None:
    """Raises:
    DataError: a picture's file of `size` bytes is larger than FILE_BYTES.
    """
    if size > FILE_BYTES:
        raise DataError(
            f"{where} has {size:,} bytes, and no more than {FILE_BYTES:,} are read of one picture",
            "Remove it, or store a smaller one.",
        )


def decoded(content: bytes, where: str) -> Image.Image:
    """The picture in a file's bytes; `where` names it in errors.

    Raises:
        DataError: it is none, or one that is too large, or whose numbers have no range that anybody stated.
    """
    try:
        Image.init()
        picture = Image.open(io.BytesIO(content), formats=[name for name in _FORMATS if name in Image.OPEN])
    except Exception as error:  # PIL raises errors of many kinds for a broken file
        raise _unreadable(where, error) from error
    size = picture.width * picture.height * _PIXEL
    if size > DECODED_BYTES:
        raise DataError(
            f"{where} has {picture.width:,} x {picture.height:,} pixels: {size:,} bytes, and {DECODED_BYTES:,} are "
            "the most that are decoded",
            "Remove it, or store a smaller one.",
        )
    check_depth(picture, where)
    try:
        if size > _LARGE:
            with _one_large:
                picture.load()
        else:
            picture.load()
    except Exception as error:
        raise _unreadable(where, error) from error
    return picture


def check_depth(picture: Image.Image, where: str = "a picture") -> None:
    """Refuses numbers of 32 bits: what counts as white is not in the file, and a guess would make another picture.

    PIL shows 16 bits as 32 for some formats (mode I); those are scaled, as the formats say what white is.

    Raises:
        DataError: it holds floats or integers of 32 bits.
    """
    kind = {"F": "floats", "I": "integers"}.get(picture.mode)
    if kind is None or (kind == "integers" and picture.format in ("PNG", "PPM")):
        return
    raise DataError(
        f"{where} holds {kind} of 32 bits, and does not say which of them is white",
        "Store it with 8 or 16 bits, or give the numbers as npz:FILE (uint8).",
    )


def printable(name: str) -> str:
    """A file's name as it can be shown: whatever is no character of a line is replaced."""
    return "".join(letter if letter.isprintable() else "�" for letter in name)


def _unreadable(where: str, error: Exception) -> DataError:
    # PIL names the buffer that it was given, not the file.
    cause = "its format is not known" if isinstance(error, UnidentifiedImageError) else str(error)
    return DataError(f"{where} is no picture that can be read: {cause}", "Remove the file, or mend it.")
