"""What a file that comes from somebody may choose: the one place where that is decided.

Words that the user types may name anything. Words that stand in a file (a checkpoint's `arch`, a model in plan.json, a
line of a recipe that is not the user's own) may name the architectures of registries, and files beside that file; never
code to run, a network address, or a place elsewhere on the disk. `--trust` lifts that. It is decided on parsed words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from stitchc.passes.data.errors import ModelError, UnsafeCheckpoint

from .naming import REGISTRIES, Words, parse

_PLAIN = re.compile(r"[\w.+-]+(@\w+)?")  # a registry's own name: no path, no scheme
_CHOOSES = {"code": "code to run", "exported": "a program", "checkpoint": "a file elsewhere"}


def words_in_file(text: str, where: str, *, trust: bool = False, beside: Path | None = None) -> Words:
    """The words that name a model in a file. where: the file, for messages. beside: the folder in which other files of
    weights may be named, and from which paths count; None for none.

    Raises:
        ModelError: they name nothing. UnsafeCheckpoint: they choose what only the user may choose, without `trust`.
    """
    words = parse(text)
    if words.form in REGISTRIES:
        if _PLAIN.fullmatch(words.body) or trust:
            return words
        raise _refused(text, where, "a network address or a place on the disk")
    inside = beside is not None and _lies_in(beside, words.body)
    if trust or (inside and words.form == "checkpoint"):
        return words if beside is None else replace(words, body=str(beside / words.body))
    raise _refused(text, where, _CHOOSES[words.form])


def check_model(text: str, where: str, folders: Sequence[Path], *, trust: bool = False) -> None:
    """Holds words that a recipe or a plan.json names a model by against what a file may choose: an architecture of a
    registry, or a checkpoint in one of `folders`, in which the words are looked up.

    Raises:
        UnsafeCheckpoint: they choose what only the user may choose, without `trust`.
    """
    try:
        words = parse(text)
    except ModelError:
        if not trust and Path(text).is_dir():  # of an artifact, which is a program
            raise _not_by_file(text, where, "a folder, which may be a program") from None
        return  # they name nothing, and whoever loads them says so
    if trust or (words.form in REGISTRIES and _PLAIN.fullmatch(words.body)):
        return
    if words.form == "checkpoint" and any(_lies_under(folder, words.body) for folder in folders):
        return
    raise _not_by_file(text, where, _CHOOSES.get(words.form, "a network address or a place on the disk"))


def _not_by_file(text: str, where: str, what: str) -> UnsafeCheckpoint:
    return UnsafeCheckpoint(
        f"{where} names the model {text!r}; a file may name an architecture of {', '.join(REGISTRIES)} or a "
        f"checkpoint beside it, but it may not choose {what}",
        "Name the model yourself; or, if you trust where the file comes from, give --trust.",
    )


def check_data(text: str | None, where: str, option: str, *, trust: bool = False) -> None:
    """Holds words that a recipe or a plan.json names images by against what a file may choose: the embedded digits.

    option: by which the user can name them instead.

    Raises:
        UnsafeCheckpoint: they name others, without `trust`.
    """
    if data_in_file(text, trust=trust) != text:
        raise UnsafeCheckpoint(
            f"{where} names the images {text!r}; a file may name the embedded digits only",
            f"Name them yourself: `{option}={text!r}`; or, if you trust where the file comes from, give --trust.",
        )


def data_in_file(text: str | None, *, trust: bool = False) -> str | None:
    """DATA words that stand in a file, if it may name them: the embedded digits; with `trust` any. Else None."""
    if text is None or trust or re.fullmatch(r"(digits|random)(\?[\w=&]*)?", text):
        return text
    return None


def _lies_under(folder: Path, body: str) -> bool:
    place = Path(body)
    return _is_relative(body) and (folder / place).resolve().is_relative_to(folder.resolve())


def _lies_in(folder: Path, body: str) -> bool:
    place = Path(body)
    return _is_relative(body) and (folder / place).resolve().parent == folder.resolve()


def _is_relative(body: str) -> bool:
    """Whether it can be the path of a file, and no absolute one."""
    return "\0" not in body and not Path(body).is_absolute()


def _refused(text: str, where: str, what: str) -> UnsafeCheckpoint:
    return UnsafeCheckpoint(
        f"{where} names the model {text!r}; a file may name an architecture of {', '.join(REGISTRIES)}, but it "
        f"may not choose {what}",
        f"Name it yourself: --arch '{text}', with the path where it lies; or, if you trust where the file comes from, "
        "give --trust.",
    )
