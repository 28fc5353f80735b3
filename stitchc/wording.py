"""Options in messages and notes, worded as flags.

Errors and notes name options as Python does, marked by backticks: `rank='cascade'`. Whoever uses the command line reads
`--rank cascade`, without the marks; and `stitchc inspect` where a message names the function `inspect`.
"""

from __future__ import annotations

import ast
import re
import shlex
from dataclasses import Field
from functools import cache
from typing import Any

from .passes.data.option_kinds import Switch
from .passes.data.options import option_of, options_of

_MARKED = re.compile(r"`([a-z_]+)(?:=([^`]+))?`")
_VERBS = ("compile", "compare", "inspect", "cost", "search", "family", "tune", "verify")


def as_flags(text: str) -> str:
    """The text with its marked options as flags and its marked functions as verbs; other marks stay."""
    return _MARKED.sub(lambda found: _worded(*found.groups()) or found[0], text)


def flag_of(name: str) -> str:
    """The command-line flag of an option: `--max-memory` for `max_memory`."""
    return f"--{name.replace('_', '-')}"


def _worded(name: str, value: str | None) -> str:
    if name in _VERBS and value is None:
        return f"`stitchc {name}`"
    known = _options().get(name)
    if known is None:
        return ""
    if value is None:
        return flag_of(name)
    try:
        meant: Any = ast.literal_eval(value)
    except (SyntaxError, ValueError):
        meant = value
    kind = option_of(known).kind
    if isinstance(kind, Switch):
        return flag_of(name if meant else f"no_{name}")
    return f"{flag_of(name)} {shlex.quote(meant if isinstance(meant, str) else kind.text(meant))}"


@cache
def _options() -> dict[str, Field]:
    from .families.options import FamilyOptions
    from .options import CompareOptions, CompileOptions, CostOptions, InspectOptions
    from .shared_options import CommonOptions
    from .tuning.settings import TuneOptions

    records = (CompileOptions, CompareOptions, InspectOptions, CostOptions, TuneOptions, FamilyOptions, CommonOptions)
    return {name: of for record in reversed(records) for name, of in options_of(record).items()}
