"""Recipes: the models and options of one compile or family, and of the trainings after it, as a file to run again.

Models are named by letters, as a chain names them: `a`, `b`, ... Options have the names of the keywords of `compile`,
and in each table [[tune]] those of `tune`.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from .options import CompileOptions
from .passes.data.errors import InputError
from .passes.data.model import Model
from .passes.data.option_kinds import Kind
from .passes.data.options import ALWAYS, NEVER, Options, default_of, option_of, options_of, read_all
from .zoo import foreign
from .zoo.trust import check_data, check_model

if TYPE_CHECKING:
    from .family_options import FamilyOptions

SCHEMA = 1

_MOST_BYTES = 2**20
_DATA = ("data", "evaluate")  # the options that may name images in a file
_LETTER = re.compile(r"^[A-Z]=")  # in `arch`: the model that it is of
# The path in "nets.py:make()", in "a.pt?input=3x32x32", in "folder:images?limit=64". Names of a registry hold none.
_MODEL_WORDS = re.compile(
    r"(?!(?:timm|torchvision|digits)/)(?P<path>.+?\.py(?=:)|[^?]+)(?::.+)?(?:\?\w+=.*)?", re.DOTALL
)
_DATA_WORDS = re.compile(r"[a-z]\w+:(?P<path>[^?]+)(?:\?\w+=.*)?", re.DOTALL)

_HEAD = """\
# A recipe of stitchc. Run it again with
#     stitchc VERB --recipe recipe.toml -o DIR
# Options on the command line override what stands here.
"""


@dataclass(frozen=True)
class Recipe:
    """What a recipe states. models: by their words. options: of the compile. trainings: the options of each."""

    models: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    trainings: tuple[Mapping[str, Any], ...] = ()


def dumps(models: Iterable[str | Path | Model], options: CompileOptions | FamilyOptions, verb: str = "compile") -> str:
    """The text of a recipe: a flat table of text, numbers, booleans and lists of them. What is None is left out.

    verb: that runs it.

    Raises:
        InputError: a value that TOML has no words for.
    """
    named = {letter: Kind().plain(model) for letter, model in zip(ascii_lowercase, models, strict=False)}
    lines = [f"{key} = {_toml(value)}" for key, value in (named | stated(options)).items()]
    return "\n".join([_HEAD.replace("VERB", verb), f"schema = {SCHEMA}", *lines]) + "\n"


def stated(options: Options) -> dict[str, Any]:
    """The options of a record that a recipe states, as it states them."""
    found: dict[str, Any] = {}
    for name, of in options_of(type(options)).items():
        value, option = getattr(options, name), option_of(of)
        if value is None or option.recipe == NEVER or (option.recipe != ALWAYS and value == default_of(of)):
            continue
        found[name] = option.kind.plain(value)
    return found


def loads(text: str, where: str = "the recipe", record: type[Options] = CompileOptions) -> Recipe:
    """What a recipe states, read and checked. record: of the options that it may state.

    Raises:
        InputError: it is no TOML, of another schema, or states an option that does not exist or cannot be so.
    """
    from .tuning.settings import TrainingOptions

    try:
        table = foreign.toml_of(text)
    except foreign.Fault as error:
        raise InputError(f"{where}: {error}", 'A recipe holds lines such as: metric = "flops"') from error
    schema = table.pop("schema", SCHEMA)
    if schema != SCHEMA:
        raise InputError(f"{where} has schema {schema}; this stitchc reads {SCHEMA}", "Use the stitchc that wrote it.")
    models = tuple(str(table.pop(letter)) for letter in ascii_lowercase if letter in table)
    trainings = table.pop("tune", [])
    if not isinstance(trainings, list) or not all(isinstance(training, dict) for training in trainings):
        raise InputError(f"{where} has a 'tune' that is no table", "A training begins with a line [[tune]].")
    return Recipe(
        models,
        read_all(record, table, where),
        tuple(read_all(TrainingOptions, training, where) for training in trainings),
    )


def with_training(text: str, options: Options) -> str:
    """The text of a recipe with one training more: a table [[tune]] for each, in the order in which they ran."""
    said = "" if "[[tune]]" in text else "\n# Then: stitchc tune DIR --recipe recipe.toml\n"
    lines = [f"{key} = {_toml(value)}" for key, value in stated(options).items()]
    return text + said + "\n".join(["\n[[tune]]", *lines]) + "\n"


def read(path: Path | str, record: type[Options] = CompileOptions) -> Recipe:
    """What a recipe file states, as `loads`. Files that it names are looked for here, then beside the recipe.

    Raises:
        InputError: the file cannot be read, or as `loads`.
    """
    found, folder = loads(_text(path), f"the recipe {path}", record), Path(path).parent
    return replace(
        found,
        models=tuple(_beside(words, folder, _MODEL_WORDS) for words in found.models),
        options=_seen_from_here(found.options, folder),
        trainings=tuple(_seen_from_here(training, folder) for training in found.trainings),
    )


def check(found: Recipe, path: Path | str, *, trust: bool = False) -> None:
    """Holds what `read` found in a recipe against what a file may choose: models of the registries, checkpoints below
    the current folder or the recipe's, the embedded digits; with `trust` anything.

    Raises:
        UnsafeCheckpoint: the recipe chooses something else.
    """
    where, folders = f"the recipe {path}", (Path.cwd(), Path(path).parent)
    architectures = [_LETTER.sub("", words) for words in found.options.get("arch") or ()]
    for words in (*found.models, *architectures, *(found.options.get("against") or ())):
        check_model(words, where, folders, trust=trust)
    for words in (words for training in found.trainings for words in training.get("teacher") or ()):
        check_model(words, where, folders, trust=trust)
    for options in (found.options, *found.trainings):
        for key in _DATA:
            check_data(options.get(key), where, trust=trust)


def _text(path: Path | str) -> str:
    """The text of a recipe file, with or without a byte-order mark, which editors on Windows put before it."""
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise OSError(0, "not a file")
        with Path(path).open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
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
    for key in _DATA:
        if isinstance(seen.get(key), str):
            seen[key] = _beside(seen[key], folder, _DATA_WORDS)
    for key in ("arch", "against", "teacher"):
        if seen.get(key):
            seen[key] = [_beside(words, folder, _MODEL_WORDS) for words in seen[key]]
    return seen


def _beside(words: str, folder: Path, pattern: re.Pattern[str]) -> str:
    """The words of a model or of images, whose file or folder is here or, if it is not, in `folder`."""
    match = pattern.fullmatch(words)
    if match is None:
        return words
    path = Path(match["path"])
    if path.exists() or not (folder / path).exists():
        return words
    return f"{words[: match.start('path')]}{folder / path}{words[match.end('path') :]}"


def _toml(value: Any) -> str:
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
        return f"[{', '.join(_toml(item) for item in value)}]"
    raise InputError(
        f"a recipe cannot hold a {type(value).__name__}", "Name models and images by words, not by objects."
    )
