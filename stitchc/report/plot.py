"""Files that `--plot` names: a picture for a paper, drawn by matplotlib, or a page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..passes.data.errors import InputError, OutputError
from ..passes.data.whole_file import try_file, whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PICTURES = (".png", ".svg", ".pdf")
PAGE = ".html"
#: What leaves the date and the versions out of a file, so that the same picture is the same bytes.
_DATELESS: dict[str, dict[str, Any]] = {
    ".png": {"Software": None}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None},
}  # fmt: skip


def check_plot(path: Path, *, force: bool = False) -> None:
    """Before anything slow begins.

    Raises:
        InputError: no format that can be written, or matplotlib is missing. OutputError: the file is there already and
            `force` was not given, or it cannot be written.
    """
    formats, ending = (*PICTURES, PAGE), path.suffix.lower()
    if ending not in formats:
        raise InputError(f"'{path}' has no format that can be written", f"End its name in one of {', '.join(formats)}.")
    if ending != PAGE and find_spec("matplotlib") is None:
        raise InputError(
            f"'{path}' is a picture, and matplotlib, which draws pictures, is not installed",
            f"Install it: pip install 'stitchc[plot]'; or name a file that ends in {PAGE}.",
        )
    if path.exists() and not force:
        raise OutputError(f"{path} exists already", "Replace it with `force=True`, or name another file.")
    try_file(path)


def write_plot(path: Path, title: str, parts: Sequence[Any], draw: Callable[[], Figure]) -> None:
    """The page of `parts`, or the picture that `draw` makes, as the ending of `path` says; whole or not at all. The
    same figures, the same bytes.

    Raises:
        OutputError: it cannot be written.
    """
    if path.suffix.lower() == PAGE:
        from .html import write_page

        return write_page(path, title, parts)
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "stitchc", "font.size": 8}), whole_file(path) as part:
        draw().savefig(part, dpi=150, metadata=_DATELESS[path.suffix.lower()])
