"""Folders and tars of tiny pictures, each of one grey value that tells which it is."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from stitchc.passes.data.model import InputSpec

PLAIN = InputSpec((3, 4, 4), (0.0,) * 3, (1.0,) * 3)


def content(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (value, value, value)).save(buffer, "PNG")
    return buffer.getvalue()


def values(images, spec: InputSpec = PLAIN) -> list[int]:
    """The grey value of each image."""
    return [round(float(image.mean()) * 255) for batch in images.batches(spec, 3) for image in batch]


def labelled(images) -> dict[int, int]:
    """Grey value -> label."""
    return dict(zip(values(images), images.labels.tolist(), strict=True))


def fill(folder: Path, files: Mapping[str, int | str | None]) -> Path:
    """Makes files in a folder: a picture of that grey value, a link to that path, or an empty folder."""
    for name, what in files.items():
        path = folder / name
        if what is None:
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(what, str):
            path.symlink_to(what)
        else:
            path.write_bytes(content(what))
    return folder


def both(where: Path, files: Mapping[str, int | str | None]) -> list[str]:
    """The words for the files as a folder, as a tar and as a compressed tar."""
    folder = fill(where / "folder", files)
    for suffix in ("", ".xz"):
        with tarfile.open(where / f"a.tar{suffix}", f"w:{suffix[1:]}") as tar:  # type: ignore[call-overload]
            tar.add(folder, arcname="./data")
    return [f"folder:{folder}", *(f"tar:{where}/a.tar{suffix}" for suffix in ("", ".xz"))]
