"""Recipes: the models and options of one compile or family, and of the trainings after it, as a file to run again.

Models are named by letters: `a` to `z`, then `a1` to `z1`, and so on. Options have the names of the keywords of
`compile`, and in each table [[tune]] those of `tune`.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .options import CompileOptions
from .passes.data.errors import InputError
from .passes.data.model import Model
from .passes.data.option_kinds import Kind
from .passes.data.options import ALWAYS, NEVER, Options, default_of, option_of, options_of
from .recipes.lines import Lines
from .recipes.options import letters, models_of, options_in
from .recipes.schema import SCHEMA
from .recipes.text import toml
from .zoo import foreign
from .zoo.trust import check_data, check_model

if TYPE_CHECKING:
    from .families.options import FamilyOptions

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


# Of a network that was taken out of a family.
_OF_MEMBER = """\
# A recipe of stitchc, of the family that this network is a member of. Make the family, then take the member out:
#     stitchc family --recipe recipe.toml -o FAMILY
{tune}#     stitchc family extract FAMILY {member} -o DIR
"""
_TUNE = "#     stitchc tune FAMILY --recipe recipe.toml\n"


@dataclass(frozen=True)
class Recipe:
    """What a recipe states. models: by their words. options: of the compile. trainings: the options of each. lines:
    where all of that stands, None of one that was not read from a text."""

    models: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    trainings: tuple[Mapping[str, Any], ...] = ()
    lines: Lines | None = field(default=None, compare=False, repr=False)


def dumps(models: Iterable[str | Path | Model], options: CompileOptions | FamilyOptions, verb: str = "compile") -> str:
    """The text of a recipe: a flat table of text, numbers, booleans and lists of them. What is None is left out.

    verb: that runs it.

    Raises:
        InputError: a value that TOML has no words for.
    """
    named = {letter: Kind().plain(model) for letter, model in zip(letters(), models, strict=False)}
    lines = [f"{key} = {toml(value)}" for key, value in (named | stated(options)).items()]
    return "\n".join([_HEAD.replace("VERB", verb), f"schema = {SCHEMA}", *lines]) + "\n"


def of_member(family: str, member: str) -> str:
    """The text of the recipe of a network that was taken out of a family, from the text of the family's: the same, with
    the commands that make the network of it. That chain alone, compiled, would be healed alone, to other weights."""
    lines = family.splitlines(keepends=True)
    first = next((k for k, line in enumerate(lines) if not line.startswith("#")), len(lines))
    tune = _TUNE if "[[tune]]" in family else ""
    return _OF_MEMBER.format(tune=tune, member=member) + "".join(lines[first:])


def commands(text: str) -> list[str]:
    """The commands by which a recipe's own comments say how to run it."""
    return re.findall(r"^#(?: {5}| Then: )(stitchc .+)$", text, re.MULTILINE)


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
        InputError: it is no TOML, of another schema, or states an option that does not exist or cannot be so. The
            message names the line and what stands there, the hint an example.
    """
    from .tuning.settings import TrainingOptions

    try:
        table = foreign.toml_of(text)
    except foreign.Fault as error:
        raise InputError(f"{where}: {error}", 'A recipe holds lines such as: metric = "flops"') from error
    lines = Lines(text.removeprefix("\ufeff"), where)
    schema = table.pop("schema", SCHEMA)
    if schema != SCHEMA:
        raise InputError(
            f"{lines.place('schema')} states schema {schema!r}; this stitchc reads {SCHEMA}",
            f"Use the stitchc that wrote it. For example: schema = {SCHEMA}",
        )
    models = models_of(table, lines)
    trainings = table.pop("tune", [])
    if not isinstance(trainings, list) or not all(isinstance(training, dict) for training in trainings):
        raise InputError(
            f"{lines.place('tune')} has a 'tune' that is no table", "A training begins with a line [[tune]]."
        )
    _check_verb(table, record, lines)
    return Recipe(
        models,
        options_in(record, table, lines),
        tuple(options_in(TrainingOptions, training, lines, n) for n, training in enumerate(trainings)),
        lines,
    )


def _check_verb(table: Mapping[str, Any], record: type[Options], lines: Lines) -> None:
    """Raises InputError where a recipe states an option that another verb has, and not the one that it is given to."""
    from .families.options import FamilyOptions

    verbs = {CompileOptions: "compile", FamilyOptions: "family"}
    for key in table:
        others = [verb for other, verb in verbs.items() if key in options_of(other)]
        if others and key not in options_of(record):
            raise InputError(
                f"{lines.place(key)} states '{key}', which is an option of `stitchc {others[0]}`",
                f"Give the recipe to `stitchc {others[0]} --recipe`. Its first lines say what it makes.",
            )


def with_training(text: str, options: Options) -> str:
    """The text of a recipe with one training more: a table [[tune]] for each, in the order in which they ran."""
    said = "" if "[[tune]]" in text else "\n# Then: stitchc tune DIR --recipe recipe.toml\n"
    lines = [f"{key} = {toml(value)}" for key, value in stated(options).items()]
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


def of_artifact(folder: Path | str, record: Mapping[str, Any]) -> Recipe:
    """What the recipe.toml of an artifact states: one that makes it, or the family that it is or was extracted from.

    record: of the artifact. Raises: as `read`.
    """
    return read(Path(folder) / "recipe.toml", made_by(record))


def made_by(record: Mapping[str, Any]) -> type[Options]:
    """The options that the recipe of an artifact states. record: of the artifact."""
    from .families.options import FamilyOptions

    return FamilyOptions if "members" in record or record.get("extracted") else CompileOptions


def check(found: Recipe, path: Path | str, *, trust: bool = False) -> None:
    """Holds what `read` found in a recipe against what a file may choose: models of the registries, checkpoints below
    the current folder or the recipe's, the embedded digits; with `trust` anything.

    Raises:
        UnsafeCheckpoint: the recipe chooses something else.
    """
    lines, folders = found.lines or Lines("", f"the recipe {path}"), (Path.cwd(), Path(path).parent)
    for letter, words in zip(letters(), found.models, strict=False):
        check_model(words, lines.place(letter), folders, trust=trust)
    for training, options in ((None, found.options), *enumerate(found.trainings)):
        for key in ("arch", "against", "teacher"):
            for words in options.get(key) or ():
                named = _LETTER.sub("", words) if key == "arch" else words
                check_model(named, lines.place(key, training), folders, trust=trust)
        for key in _DATA:
            check_data(options.get(key), lines.place(key, training), key, trust=trust)


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
