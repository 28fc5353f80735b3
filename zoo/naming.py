"""What the words that name a model say: which form they are, and the options after the question mark."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any

from stitchc.passes.data.errors import ModelError, did_you_mean, unknown

REGISTRIES = ("timm", "torchvision", "digits")
FORMS = (
    "timm/NAME, torchvision/NAME, digits/NAME, FILE.pt2, a checkpoint (.pt, .pth, .safetensors, or any other file), "
    "timm/local-dir:DIR, or FILE.py:FACTORY; `stitchc zoo list` names them"
)
_CHECKPOINTS = (".pt", ".pth", ".safetensors", ".ckpt", ".bin", ".tar")  # a file that is there may end with anything
_QUERY = re.compile(r"\?([\w-]+=[^?&\"'()]*(?:&[\w-]+=[^?&\"'()]*)*)$")
INTERPOLATIONS = ("nearest", "bilinear", "bicubic")
_MOST = 10_000_000  # of classes, pixels, channels
_FOLDER = "local-dir:"  # timm's scheme for a folder with config.json and weights
_CODE = re.compile(r"^(?P<file>.+?\.py):(?P<call>.+)$", re.DOTALL)


@dataclass(frozen=True)
class Options:
    """What may follow any name: `?weights=none&num_classes=10&input=3x32x32&mean=0.5&std=0.5&crop=0.875&name=mine`.

    weights_key: `?weights-key=`, which of the mappings in a checkpoint to take. output: which of several outputs the
    class scores are, by name or position (see `passes.data.scores.logits_of`).
    """

    weights: bool = True
    num_classes: int | None = None
    input: tuple[int, int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    name: str | None = None
    weights_key: str | None = None
    output: str | None = None
    interpolation: str | None = None
    crop: float | None = None

    def stated(self) -> dict[str, Any]:
        """Those that were given, by their names."""
        return {one.name: getattr(self, one.name) for one in fields(self) if getattr(self, one.name) != one.default}

    def over(self, others: Options) -> Options:
        """Both together; these win."""
        return Options(**{**others.stated(), **self.stated()})


@dataclass(frozen=True)
class Words:
    """A model's name taken apart.

    form: "timm", "torchvision", "digits", "exported" (.pt2), "checkpoint" or "code" (.py:factory).
    body: what follows the form's prefix: "resnet50.a1_in1k", "resnet50@IMAGENET1K_V2", "a.pt", "nets.py:make('x')";
    of timm/local-dir:DIR, a checkpoint, the folder.
    given: all of it, as it was written. arguments: what a file says that timm's constructor is to be given beside.
    """

    form: str
    body: str
    options: Options = field(default_factory=Options)
    given: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def bare(self) -> str:
        """The words without their options."""
        return f"{self.form}/{self.body}" if self.form in REGISTRIES else self.body

    @property
    def code(self) -> tuple[Path, str]:
        """Of form "code": the file and the call in it."""
        match = _CODE.match(self.body)
        assert match is not None
        return Path(match["file"]).expanduser(), match["call"].strip()


def parse(given: str) -> Words:
    """Takes the words that name a model apart (docs/zoo.md, Models).

    Raises:
        ModelError: no words, no such form, no such option, or an option with a value that means nothing.
    """
    if not isinstance(given, str):
        raise ModelError(f"a {type(given).__name__} is no name of a model", "Give text, such as 'digits/resnet'.")
    body, options = given, Options()
    if (match := _QUERY.search(given)) and not _exists(given):
        body = given[: match.start()]
        options = _options(given, match[1])
    if code := _CODE.match(body):
        return Words("code", body, options, given) if code["call"].strip() else _refuse(given)
    prefix, slash, rest = body.partition("/")
    if prefix == "timm" and rest.startswith(_FOLDER) and rest != _FOLDER:
        return Words("checkpoint", rest.removeprefix(_FOLDER), options, given)
    if slash and rest and prefix in REGISTRIES:
        return Words(prefix, rest, options, given)
    suffix = Path(body).suffix.lower()
    if suffix == ".pt2":
        return Words("exported", body, options, given)
    if suffix in _CHECKPOINTS or (suffix != ".py" and _exists(body) and not Path(body).expanduser().is_dir()):
        return Words("checkpoint", body, options, given)
    return _refuse(given)


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # longer than a path can be, or of characters that none has
        return False


def _refuse(given: str) -> Words:
    bare, _, query = given.partition("?")
    if query and not _QUERY.search(given):
        raise ModelError(
            f"'{given}': '{query}' is no list of options", "Write options as ?input=3x32x32&mean=0.5&std=0.5."
        )
    if bare and _exists(bare) and Path(bare).expanduser().is_dir():
        raise ModelError(
            f"'{given}' is a folder", f"Of a folder with config.json and weights, write timm/local-dir:{bare}."
        )
    if bare.endswith(".py"):
        raise ModelError(
            f"'{given}' names a Python file, but not what in it makes the model",
            f"Write '{bare}:factory', or '{bare}:make(\"name\")', after a function in that file.",
        )
    same = [name for name in names() if name.split("/", 1)[1] == bare]
    if same:
        raise ModelError(f"'{given}' does not say whose model it is", f"Write {' or '.join(map(repr, same))}.")
    raise ModelError(f"'{given}' names no model: it has none of the known forms", _hint(bare))


def _hint(bare: str) -> str:
    near = did_you_mean(bare, names(), cutoff=0.75) or "Nothing of that name is here."
    return f"{near} The forms are {FORMS}."


def _options(given: str, query: str) -> Options:
    values: dict[str, object] = {}
    for pair in query.split("&"):
        key, _, text = pair.partition("=")
        if key not in _READ:
            raise unknown(key, f"option of a model: '{given}'", _READ, ModelError)
        read, example = _READ[key]
        name = key.replace("-", "_")
        if name in values:
            raise ModelError(f"'{given}' says {key} twice", "Say it once.")
        try:
            values[name] = read(text)
        except ValueError:
            raise ModelError(f"'{given}': '{text}' is no value for '{key}'", f"Write it as {key}={example}.") from None
    return Options(**values)  # type: ignore[arg-type] # keys and types are those of _READ


def _read_weights(text: str) -> bool:
    if text != "none":
        raise ValueError(text)
    return False


def _read_size(text: str) -> tuple[int, int, int]:
    channels, height, width = (_positive(part) for part in text.split("x"))
    return channels, height, width


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= (number := int(text[:9])) <= _MOST or len(text) > 8:
        raise ValueError(text)
    return number


def _read_floats(text: str) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in text.split(","))
    if not all(abs(number) < 1e6 for number in numbers):  # nan and inf are floats too
        raise ValueError(text)
    return numbers


def _read_deviations(text: str) -> tuple[float, ...]:
    deviations = _read_floats(text)
    if not all(d > 0 for d in deviations):
        raise ValueError(text)
    return deviations


def _read_interpolation(text: str) -> str:
    if text not in INTERPOLATIONS:
        raise ValueError(text)
    return text


def _read_crop(text: str) -> float:
    share = float(text)
    if not 0.01 <= share <= 1:
        raise ValueError(text)
    return share


def _read_name(text: str) -> str:
    if not text or not text.isprintable() or len(text) > 200:
        raise ValueError(text)
    return text


_READ = {
    "weights": (_read_weights, "none"),
    "num_classes": (_positive, "10"),
    "input": (_read_size, "3x224x224"),
    "mean": (_read_floats, "0.485,0.456,0.406"),
    "std": (_read_deviations, "0.229,0.224,0.225"),
    "interpolation": (_read_interpolation, "|".join(INTERPOLATIONS)),
    "crop": (_read_crop, "0.875"),
    "name": (_read_name, "mine"),
    "weights-key": (_read_name, "model"),
    "output": (_read_name, "logits"),
}


@cache
def _all_names() -> tuple[str, ...]:
    import timm
    from torchvision import models

    from .digits import NAMES

    digits = [f"digits/{name}" for name in NAMES]
    torchvision = [f"torchvision/{name}" for name in models.list_models(module=models)]
    return (*digits, *torchvision, *(f"timm/{name}" for name in timm.list_models()))


def names(pattern: str | None = None) -> list[str]:
    """Every name that `load` knows without a file: the embedded zoo, torchvision's classification models, timm's.

    pattern: as of a shell ("timm/resnet*"); without * ? or [, all names that contain it. timm's pretrained tags are
    named too where the pattern holds a dot ("timm/resnet50.*").
    """
    found = _all_names()
    if pattern is None:
        return list(found)
    if "." in pattern:
        import timm

        found = (*found, *(f"timm/{name}" for name in timm.list_pretrained()))
    if not any(mark in pattern for mark in "*?["):
        pattern = f"*{pattern}*"
    return [name for name in found if fnmatch(name, pattern)]


def words_of(bare: str, classes: int | None, options: Options) -> str:
    """The words that build an architecture with this many classes, for the input that the options ask for."""
    query = [f"num_classes={classes}"] if classes is not None else []
    if options.input:
        query.append("input=" + "x".join(map(str, options.input)))
    return bare + ("?" + "&".join(query) if query else "")


def with_output(words: str, output: str | None) -> str:
    """The words that build an architecture, with those that say which of its outputs the class scores are."""
    if output is None or not words:
        return words
    return f"{words}{'&' if _QUERY.search(words) else '?'}output={output}"
