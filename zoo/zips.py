"""Zip archives, opened within a budget: their directory is read whole, and each member costs time."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO

#: Bytes of the directory of an archive, and members in it. A checkpoint has a member for each tensor.
MOST_DIRECTORY = 2**23
MOST_MEMBERS = 100_000


@contextmanager
def opened(place: Path | IO[bytes]) -> Iterator[zipfile.ZipFile]:
    """The archive in a file, to read.

    Raises:
        zipfile.BadZipFile: it is none, or has more members than anything that is read here.
    """
    with place.open("rb") if isinstance(place, Path) else nullcontext(place) as file:
        end = zipfile._EndRecData(file)  # type: ignore[attr-defined] # private: ZipFile reads on without asking
        file.seek(0, os.SEEK_SET)
        if end is not None and end[zipfile._ECD_SIZE] > MOST_DIRECTORY:  # type: ignore[attr-defined] # private
            raise zipfile.BadZipFile(f"its list of members is longer than {MOST_DIRECTORY:,} bytes")
        with zipfile.ZipFile(file) as archive:
            if len(archive.infolist()) > MOST_MEMBERS:
                raise zipfile.BadZipFile(f"it has more than {MOST_MEMBERS:,} members")
            yield archive
