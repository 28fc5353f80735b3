"""The scripts that draw charts: Vega, Vega-Lite and Vega-Embed, as the package vl-convert-python brings them."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import metadata, resources

from ...cache import Store, key_of

_PACKAGE = "vl-convert-python"
_LONGEST = 120  # seconds
_MAKE = (
    "import sys, vl_convert; sys.stdout.reconfigure(encoding='utf-8'); sys.stdout.write(vl_convert.javascript_bundle())"
)


def library() -> str | None:
    """The text of the scripts with their licence; None where the package is missing or does not run here, and charts
    then stay the still pictures that pages hold anyway.

    It takes seconds to make and is kept in the cache.
    """
    try:
        version = metadata.version(_PACKAGE)
    except metadata.PackageNotFoundError:
        return None
    store, key = Store("charts"), key_of(_PACKAGE, version)
    kept = store.read(key)
    if kept is None:
        kept = _made()
        if not kept:
            return None
        store.write(key, kept)
    licence = resources.files(__package__).joinpath("vega.licence").read_text(encoding="utf-8")
    return f"/*\n{licence}*/\n{_embeddable(kept.decode())}"


def own(name: str) -> str:
    """The text of a file of this folder that pages hold: page.css or page.js."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _made() -> bytes | None:
    """The scripts, made by a process of their own: the engine within asks for more address space than some systems
    grant, and ends its process then."""
    try:
        done = subprocess.run(  # noqa: S603  # our own interpreter, and a program that stands here
            [sys.executable, "-I", "-c", _MAKE], capture_output=True, timeout=_LONGEST, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _embeddable(script: str) -> str:
    """The same program without what would end a script element, and with tabs in its strings spelled out."""
    return re.sub("</(script)", r"<\\/\1", script, flags=re.IGNORECASE).replace("<!--", r"<\!--").replace("\t", r"\t")
