"""What the words that name images say: which form they are, where they lie, and the options after the question mark."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from stitchc.passes.data.errors import DataError, did_you_mean

_QUERY = re.compile(r"\?(\w+=[^?&]*(?:&\w+=[^?&]*)*)$")
_FORMS = (
    "digits, random, folder:DIR, tar:FILE, npz:FILE, cifar10:DIR, cifar100:DIR, imagenette:DIR, pets:DIR, dtd:DIR, "
    "food101:DIR"
)


IN_FILES = ("tar", "npz")
IN_FOLDERS = ("folder", "cifar10", "cifar100", "imagenette", "pets", "dtd", "food101")
_ALONE = ("digits", "random")
_PLACED = (*IN_FILES, *IN_FOLDERS)


@dataclass(frozen=True)
class Options:
    """What may stand behind the question mark. by_prefix: `labels=prefix`, classes are read from the files' names."""

    split: str | None = None
    limit: int | None = None
    seed: int = 0
    by_prefix: bool = False
    classes: str | None = None


@dataclass(frozen=True)
class Words:
    """The words that name images, taken apart. form: "digits", "folder". path: of the file or folder; "." of none."""

    form: str
    path: Path
    options: Options


def parse(words: str) -> Words:
    """Takes the words that name images apart (docs/zoo.md, Images).

    Raises:
        DataError: no words, words that mean nothing, or a file or folder that is not there.
    """
    if not isinstance(words, str):
        hint = f"Write 'folder:{words}'." if isinstance(words, Path) else f"Give text. The forms are {_FORMS}."
        raise DataError(f"a {type(words).__name__} names no images", hint)
    body, options = words, Options()
    if match := _QUERY.search(words):
        body, options = words[: match.start()], _options(words, match[1])
    form, colon, place = body.partition(":")
    _check_form(form, place, bool(colon), options, words)
    return Words(form, Path(os.path.expanduser(place)), options)


def of_one_split(words: str, others: str) -> bool:
    """Whether two names of images name the same split of the same pictures, of which either may take some."""
    try:
        one, other = parse(words), parse(others)
    except DataError:  # what a program has named itself
        return False
    same_place = one.form == other.form and one.path.resolve() == other.path.resolve()
    return same_place and one.form != "random" and one.options.split == other.options.split


def _check_form(form: str, place: str, colon: bool, options: Options, words: str) -> None:
    if form not in (*_ALONE, *_PLACED):
        near, path = did_you_mean(form, [*_ALONE, *_PLACED]), os.path.expanduser(words.partition("?")[0])
        if os.path.exists(path):
            near = f"Write '{'folder' if os.path.isdir(path) else 'tar'}:{words.partition('?')[0]}'."
        raise DataError(
            f"'{words}' names no images: there is no form '{form}'", f"{near} The forms are {_FORMS}.".strip()
        )
    if form in _ALONE and colon:
        raise DataError(f"'{words}': {form} takes no path", f"Write '{form}' alone.")
    if form in _PLACED and not place:
        raise DataError(f"'{words}' does not say where the images are", f"Write it as {form}:PATH.")
    if options.by_prefix and form not in ("folder", "tar"):
        raise DataError(f"'{words}': labels=prefix is for folders and tars", "Leave labels= out.")
    if options.split and form in ("npz", "random"):
        raise DataError(f"'{words}': {form} has no splits", "Leave split= out.")
    path = os.path.expanduser(place)
    if form in IN_FILES and not os.path.isfile(path):
        if os.path.isdir(path):
            raise DataError(f"{path} is a folder, not a file", f"Write 'folder:{place}'.")
        raise DataError(f"there is no file {path}", _near(path))
    if form in IN_FOLDERS and not os.path.isdir(path):
        if os.path.isfile(path):
            raise DataError(f"{path} is a file, not a folder", f"Write 'tar:{place}' or 'npz:{place}', or unpack it.")
        raise DataError(f"there is no folder {path}", _near(path))


def _near(path: str) -> str:
    parent, name = os.path.split(path)
    try:
        siblings = os.listdir(parent or ".")
    except (OSError, ValueError):
        siblings = []
    return did_you_mean(name, siblings) or "Check the path."


def _options(words: str, query: str) -> Options:
    pairs = [pair.split("=", 1) for pair in query.split("&")]
    given = {key: text for key, text in pairs}
    known = ("split", "limit", "seed", "labels", "classes")
    for key, text in pairs:
        if sum(key == other for other, _ in pairs) > 1:
            raise DataError(f"'{words}' says {key} twice", "Say it once.")
        if key not in known:
            raise DataError(
                f"'{words}': there is no option '{key}'",
                f"{did_you_mean(key, list(known))} The options are {', '.join(known)}.".strip(),
            )
        if not text:
            raise DataError(f"'{words}': {key} has no value", f"Write {key}=... or leave it out.")
    if given.get("labels", "prefix") != "prefix":
        raise DataError(f"'{words}': labels can only be read by 'prefix'", "Write labels=prefix, or leave it out.")
    return Options(
        split=given.get("split"),
        limit=_whole(words, "limit", given["limit"], least=1) if "limit" in given else None,
        seed=_whole(words, "seed", given["seed"], least=0) if "seed" in given else 0,
        by_prefix="labels" in given,
        classes=given.get("classes"),
    )


def _whole(words: str, key: str, text: str, least: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18 or int(text) < least:
        raise DataError(
            f"'{words}': {key} is '{text}'", f"It must be a whole number, at least {least} and below 10 to the 18th."
        )
    return int(text)
