"""Recipes: the options of one compile, as a file that runs it again. Names are those of the flags and of `compile`."""

from __future__ import annotations

import codecs
import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .passes.data.errors import InputError, did_you_mean

SCHEMA = 1

#: The options of a compile that decide what comes out, in the order of the file. Where it goes (`out`), and what is
#: shown meanwhile, are no part of a recipe.
KEYS = (
    "a", "b", "budget", "metric", "backend", "allow_uncounted", "data", "evaluate", "direction", "adapter", "chain",
    "heal", "heal_layers", "heal_sweeps", "heal_target", "recalibrate", "rank", "effort", "min_share", "similarity",
    "max_memory", "front", "back", "probe_images", "onnx", "opset", "seed", "device", "arch", "frontend",
)  # fmt: skip

_MODELS, _DATA = ("a", "b", "arch"), ("data", "evaluate")  # the options that may name a file

# The path in "nets.py:make()", in "a.pt?input=3x32x32", in "folder:images?limit=64". Names of a registry hold none.
_MODEL_WORDS = re.compile(
    r"(?!(?:timm|torchvision|digits)/)(?P<path>.+?\.py(?=:)|[^?]+)(?::.+)?(?:\?\w+=.*)?", re.DOTALL
)
_DATA_WORDS = re.compile(r"[a-z]\w+:(?P<path>[^?]+)(?:\?\w+=.*)?", re.DOTALL)

_HEAD = """\
# A recipe of stitchc. Run it again with
#     stitchc compile --recipe recipe.toml -o DIR
# Options on the command line override what stands here.
"""


def dumps(options: Mapping[str, Any]) -> str:
    """The text of a recipe: a flat table of text, numbers, booleans and lists of them. None is left out.

    Raises:
        InputError: a name that is no option of a recipe, or a value that TOML has no words for.
    """
    _check_names(options, "the recipe")
    lines = [f"{key} = {_toml(options[key])}" for key in KEYS if options.get(key) is not None]
    return "\n".join([_HEAD, f"schema = {SCHEMA}", *lines]) + "\n"


def loads(text: str, where: str = "the recipe") -> dict[str, Any]:
    """The options that a recipe states.

    Raises:
        InputError: it is no TOML, of another schema, or names an option that does not exist.
    """
    try:
        options = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{where} is no TOML: {error}", 'A recipe holds lines such as: metric = "flops"') from error
    schema = options.pop("schema", SCHEMA)
    if schema != SCHEMA:
        raise InputError(f"{where} has schema {schema}; this stitchc reads {SCHEMA}", "Use the stitchc that wrote it.")
    options.pop("tune", None)  # what `stitchc tune` reads: see `trainings`
    _check_names(options, where)
    return options


def with_tuning(text: str, options: Mapping[str, Any]) -> str:
    """The text of a recipe with one training more: a table [[tune]] for each, in the order in which they ran."""
    said = "" if "[[tune]]" in text else "\n# Then: stitchc tune DIR --recipe recipe.toml\n"
    lines = [f"{key} = {_toml(value)}" for key, value in options.items() if value is not None]
    return text + said + "\n".join(["\n[[tune]]", *lines]) + "\n"


def trainings(path: Path | str) -> list[dict[str, Any]]:
    """The options of the trainings that a recipe file states, in order.

    Raises:
        InputError: the file cannot be read, or is no recipe.
    """
    read(path)
    stated = tomllib.loads(_text(path)).get("tune", [])
    return [_seen_from_here(options, Path(path).parent) for options in stated]


def read(path: Path | str) -> dict[str, Any]:
    """The options of a recipe file. Files that it names are looked for here, then beside the recipe.

    Raises:
        InputError: the file cannot be read, or as `loads`.
    """
    return _seen_from_here(loads(_text(path), f"the recipe {path}"), Path(path).parent)


def _text(path: Path | str) -> str:
    """The text of a recipe file, with or without a byte-order mark, which editors on Windows put before it."""
    try:
        content = Path(path).read_bytes()
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if wide else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise InputError(
            f"the recipe {path} cannot be read: {reason}", "Every artifact holds a recipe.toml."
        ) from error


def _seen_from_here(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The options with paths that lead, from the current folder, to what lies beside the recipe."""
    seen = dict(options)
    for key in (*_MODELS, *_DATA):
        if isinstance(seen.get(key), str):
            seen[key] = _beside(seen[key], folder, data=key in _DATA)
    return seen


def _beside(words: str, folder: Path, *, data: bool) -> str:
    """The words of a model or of images, whose file or folder is here or, if it is not, in `folder`."""
    match = (_DATA_WORDS if data else _MODEL_WORDS).fullmatch(words)
    if match is None:
        return words
    path = Path(match["path"])
    if path.exists() or not (folder / path).exists():
        return words
    return f"{words[: match.start('path')]}{folder / path}{words[match.end('path') :]}"


def _check_names(options: Mapping[str, Any], where: str) -> None:
    for name in options:
        if name not in KEYS:
            hint = did_you_mean(name, list(KEYS)) or f"Options are {', '.join(KEYS)}."
            raise InputError(f"{where} has an option '{name}' that does not exist", hint)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, str | Path):
        # A TOML basic string is a JSON string, but that TOML wants U+007F escaped too.
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Sequence):
        return f"[{', '.join(_toml(item) for item in value)}]"
    raise InputError(
        f"a recipe cannot hold a {type(value).__name__}", "Name models and images by words, not by objects."
    )
