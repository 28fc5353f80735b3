"""What a recipe may state, as a JSON schema, by which editors complete and check it; and an example of each option."""

from __future__ import annotations

import re
from dataclasses import Field
from functools import singledispatch
from typing import Any

from ..families.options import Budgets, FamilyOptions
from ..heads.words import Head
from ..option_kinds import Limits, Pictures, Sides, Subjects
from ..options import CompileOptions
from ..passes.data.option_kinds import (
    Bytes,
    Choice,
    Choices,
    Count,
    Effort,
    Kind,
    Number,
    Share,
    Switch,
    Text,
    Texts,
    Work,
)
from ..passes.data.options import NEVER, Options, default_of, option_of, options_of

Schema = dict[str, Any]

#: The version of recipes.
SCHEMA = 1

#: The keys that models may have.
MODEL_KEY = re.compile("[a-z](?:[1-9][0-9]*)?")

_TEXT: Schema = {"type": "string"}
#: Of options whose values are words, an example by what stands for the value in help.
_EXAMPLES: dict[str, Any] = {
    "DATA": "digits", "CUT": "layer2.1", "MODEL": ["digits/plain"], "[A=]NAME": ["A=timm/resnet18"],
    "SPEC": "A:..stage1.0 / B:features.4.2..", "[METRIC=]Q": ["macs=60%"],
}  # fmt: skip


def schema() -> Schema:
    """The JSON schema (draft 7) of recipes, of a compile or of a family: every option with its help, its default and
    what it may be. Names that other packages add (metrics, ranking rules) are those of this installation."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A recipe of stitchc",
        "type": "object",
        "anyOf": [_of_verb(CompileOptions, "compile"), _of_verb(FamilyOptions, "family")],
    }


def _of_verb(record: type[Options], verb: str) -> Schema:
    from ..tuning.settings import TrainingOptions

    model = _TEXT | {"description": "A model, by its words: timm/NAME, torchvision/NAME, digits/NAME or a checkpoint."}
    training = {"type": "object", "additionalProperties": False, "properties": _properties(TrainingOptions)}
    return {
        "title": f"A recipe of stitchc {verb}",
        "properties": {
            "schema": {"const": SCHEMA, "description": "The version of recipes."},
            **_properties(record),
            "tune": {"type": "array", "items": training, "description": f"The trainings after the {verb}, in order."},
        },
        "patternProperties": {f"^{MODEL_KEY.pattern}$": model},
        "additionalProperties": False,
    }


def example(of: Field) -> Any:
    """A value that the option can take, as a recipe states it: the default where that says something."""
    said, default = option_of(of), default_of(of)
    if default not in (None, ()):
        return said.kind.plain(default)
    return _EXAMPLES.get(said.metavar) or shape(said.kind)["examples"][0]


def _properties(record: type[Options]) -> Schema:
    known = {name: of for name, of in options_of(record).items() if option_of(of).recipe != NEVER}
    return {name: _property(of) for name, of in known.items()}


def _property(of: Field) -> Schema:
    said, default = option_of(of), default_of(of)
    found = {**shape(said.kind), "description": said.help.replace("`", ""), "examples": [example(of)]}
    return found if default is None else found | {"default": said.kind.plain(default)}


@singledispatch
def shape(kind: Kind) -> Schema:
    """What a recipe may state for an option of that kind, with an example."""
    return {"type": ["string", "integer"], "examples": ["layer2.1"]}


@shape.register
def _(kind: Text) -> Schema:
    return _TEXT | {"examples": ["auto"]}


@shape.register
def _(kind: Pictures) -> Schema:
    return _TEXT | {"examples": ["digits"]}


@shape.register(Texts)
@shape.register(Subjects)
@shape.register(Limits)
@shape.register(Budgets)
def _(kind: Kind) -> Schema:
    return {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}], "examples": [["digits/plain"]]}


@shape.register
def _(kind: Switch) -> Schema:
    return {"type": "boolean", "examples": [True]}


@shape.register
def _(kind: Choice) -> Schema:
    return {"enum": list(kind.known), "examples": [kind.known[0]]}


@shape.register
def _(kind: Choices) -> Schema:
    return {"anyOf": [_TEXT, {"type": "array", "items": {"enum": list(kind.known)}}], "examples": [[kind.known[0]]]}


@shape.register
def _(kind: Number) -> Schema:
    return {"type": "number", **_range(kind), "examples": [max(kind.least, 1.0)]}


@shape.register
def _(kind: Count) -> Schema:
    return {"type": "integer", **_range(kind), "examples": [int(max(kind.least, 1))]}


@shape.register
def _(kind: Share) -> Schema:
    percent = {"type": "string", "pattern": r"^\s*[0-9.]+\s*%\s*$"}
    return {"anyOf": [{"type": "number", **_range(kind)}, percent], "examples": ["10%"]}


@shape.register
def _(kind: Bytes) -> Schema:
    return {"anyOf": [{"type": "integer", "minimum": 0}, _TEXT], "examples": ["2GiB"]}


@shape.register
def _(kind: Effort) -> Schema:
    seconds = [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": "^[0-9.]+s?$"}]
    return {"anyOf": [{"enum": list(kind.words)}, *seconds], "examples": ["60s"]}


@shape.register
def _(kind: Work) -> Schema:
    return _TEXT | {"examples": ["60s"]}


@shape.register
def _(kind: Sides) -> Schema:
    side = {"type": "integer", "minimum": 1}
    return {"anyOf": [_TEXT, side, {"type": "array", "items": side}], "examples": ["auto"]}


@shape.register
def _(kind: Head) -> Schema:
    return _TEXT | {"examples": ["classes=0-4=low,5-9=high"]}


def _range(kind: Number) -> Schema:
    found: Schema = {}
    if kind.least > -float("inf"):
        found["exclusiveMinimum" if kind.above else "minimum"] = kind.least
    if kind.most < float("inf"):
        found["maximum"] = kind.most
    return found
