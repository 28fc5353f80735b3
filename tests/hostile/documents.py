"""Hostile inputs that are documents of artifacts, altered field by field: plan.json and recipe.toml of every kind of
artifact that is written and read. See `values` for what a case is."""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from values import TEXTS, VALUES, VERBS, Case, command

Place = tuple[Any, ...]

REMOVED = object()  # in the place of a value: the key and all are gone
#: Values that are none of a kind, or odd ones of it.
ODD: dict[type, tuple[Any, ...]] = {
    str: (None, 7, *TEXTS, [], "x" * 200_000, {}),
    float: ("x", None, -1, 10**400, True, float("nan"), 1e300, 0, []),
    list: (None, {}, [None], [[]], ["\x1b[2J\u202e"], "x", [0] * 20_000, [{}]),
    dict: ([], None, {}, {"\x1b[2J": {}}, "x"),
    type(None): (7, "x", [], {}, [None]),
}
#: Verbs that read a plan, those that write what they read more often.
READ_BY = {
    False: ("tune", "eval", "tune", "verify", "tune", "cost", "tune", "compile"),
    True: ("tune", "extract", "tune", "eval", "extract", "cost", "tune", "verify", "extract", "compare"),
}


#: The artifacts whose recipes are altered: of a compile, of a family, and of a training of each.
RECIPES = ("h", "family", "tuned", "tuned_family")


def documents(folder: Path, artifacts: Iterable[str]) -> Iterator[tuple[str, Case]]:
    """artifacts: their folders in `folder`. A field that several have is altered in the first of them."""
    seen: set[Any] = set()
    first, *others = (folder / name for name in artifacts)
    yield from _pair(first, seen)
    for artifact in others:
        yield from _plans(artifact, seen)
    for artifact in (folder / name for name in RECIPES):
        yield from _recipes(artifact)


def _pair(artifact: Path, seen: set[Any]) -> Iterator[tuple[str, Case]]:
    """The plan that most have: two values and a lack of each field."""
    values = (*VALUES, *TEXTS)
    for index, (place, _) in enumerate(_fields(artifact, seen)):
        for number in range(3):
            odd = values[(index * 2 + number) % len(values)] if number < 2 else REMOVED
            verb = VERBS[(index + number) % len(VERBS)] if number < 2 else "tune"
            yield _case(artifact, place, odd, verb, number)
    texts = {"empty": "", "deep": "[" * 100_000, "nan": '{"schema": NaN}', "twice": '{"a": 1, "a": 2}', "list": "[]"}
    for name, text in texts.items():
        yield f"plan.json that is {name}", partial(_plan_text, artifact, text)


def _plans(artifact: Path, seen: set[Any]) -> Iterator[tuple[str, Case]]:
    """What one artifact says beside those before it: a value or a lack of each field."""
    plan = json.loads((artifact / "plan.json").read_text())
    verbs = READ_BY["members" in plan]
    for index, (place, value) in enumerate(_fields(artifact, seen)):
        odd = ODD[_kind(value)]
        yield _case(artifact, place, REMOVED if index % 3 == 2 else odd[index % len(odd)], verbs[index % len(verbs)], 0)


def _fields(artifact: Path, seen: set[Any]) -> list[tuple[Place, Any]]:
    """The places of a plan that hold another field than those in `seen`, which are added to it. A field is a key, the
    key that it stands under, and a kind of value."""
    found = []
    for place, value in places(json.loads((artifact / "plan.json").read_text())):
        names = [key for key in place if isinstance(key, str)]
        field = (*names[-2:], isinstance(place[-1], int), _kind(value))
        if field not in seen:
            seen.add(field)
            found.append((place, value))
    return found


def places(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Where values stand in a document, of lists the first two items, and what stands there."""
    if place:
        yield place, value
    items = value.items() if isinstance(value, dict) else list(enumerate(value))[:2] if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*place, key))


def _kind(value: Any) -> type:
    return float if isinstance(value, bool | int) else type(value)


def _case(artifact: Path, place: Place, value: Any, verb: str, number: int) -> tuple[str, Case]:
    what = "without" if value is REMOVED else "with"
    name = f"plan.json of {artifact.name} {what} {'.'.join(map(str, place))} {number}: {verb}"
    return name, partial(_planned, artifact, place, value, verb)


def _planned(artifact: Path, place: Place, value: Any, verb: str, folder: Path) -> list[str]:
    shutil.copytree(artifact, folder / "h")
    plan = json.loads((folder / "h" / "plan.json").read_text())
    member = plan["members"][0]["name"] if "members" in plan else ""
    altered(plan, place, value)
    (folder / "h" / "plan.json").write_text(json.dumps(plan))
    if verb == "extract":
        return ["family", "extract", "./h", member, "--no-onnx", "-o", "tuned"]
    return command(verb, "./h")


def altered(document: Any, place: Place, value: Any) -> None:
    """Puts a value into a document, or takes away what is there."""
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    if value is REMOVED:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value


def _plan_text(artifact: Path, text: str, folder: Path) -> list[str]:
    shutil.copytree(artifact, folder / "h")
    (folder / "h" / "plan.json").write_text(text)
    return command("verify", "./h")


def _recipes(artifact: Path) -> Iterator[tuple[str, Case]]:
    """Recipes with their right hash in plan.json, which verbs read from an artifact."""
    text = (artifact / "recipe.toml").read_text()
    keys = [key for key in tomllib.loads(text) if key != "tune"]
    family = "members" in json.loads((artifact / "plan.json").read_text())
    changes = {
        "nothing in it": "", "an escape": 'a = "\\u001b[2J\\u202e"\n', "no TOML": "= 1", "NaN": f"{keys[-1]} = nan\n",
        "another verb's option": ('chain = "A:.."' if family else "members = 3") + f"\n{text}",
        "an architecture of code": f'arch = ["evil.py:make"]\n{text}',
        "a training of words": f'{text}\n[[tune]]\nlr = "x"\n',
        "a long list": f"{text}\nopset = [{'0,' * 10_000}]\n",
    }  # fmt: skip
    for index, (name, content) in enumerate(changes.items()):
        verb = ("extract" if index % 2 else "tune") if family else "tune"
        yield f"recipe of {artifact.name} with {name}: {verb}", partial(_recipe, artifact, content, verb)


def _recipe(artifact: Path, text: str, verb: str, folder: Path) -> list[str]:
    digest = hashlib.sha256(text.encode()).hexdigest()
    arguments = _planned(artifact, ("files", "recipe.toml"), digest, verb, folder)
    (folder / "h" / "recipe.toml").write_text(text)
    return [*arguments, *(["--distill", "better"] if verb == "tune" else [])]
