"""Pictures in a folder of a disk."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from .classes import Wanted, sorted_out
from .listing import of_folder
from .pictures import Pictures, content_of, decoded


def from_folder(folder: Path, wanted: Wanted) -> Pictures:
    """Pictures under a folder: in class subfolders, or flat; under a folder of the split's name where there are splits.

    Raises:
        DataError: as `sorted_out`.
    """
    found = sorted_out(of_folder(folder), wanted)

    def read(index: int) -> Image.Image:
        return decoded(content_of(Path(found.pictures[index])), str(folder / found.name(index)))

    return found.as_pictures(read)
