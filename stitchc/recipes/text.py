"""Values as TOML writes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..passes.data.errors import InputError


def toml(value: Any) -> str:
    """A text, a number, a boolean, or a list of them.

    Raises:
        InputError: it is something else.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, str | Path):
        # A TOML basic string is a JSON string, but that TOML wants U+007F escaped too.
        # Neither can hold what a path of undecodable bytes has in Python: that is written as its escape.
        text = str(value).encode("utf-8", "backslashreplace").decode()
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return f"[{', '.join(toml(item) for item in value)}]"
    raise InputError(
        f"a recipe cannot hold a {type(value).__name__}", "Name models and images by words, not by objects."
    )
