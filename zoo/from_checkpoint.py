"""Models named by a checkpoint file: its architecture, built without weights, filled with what the file holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from stitchc.passes.data.errors import BadCheckpoint, ModelError
from stitchc.passes.data.model import InputSpec, Model

from .checkpoints import Checkpoint, read
from .inputs import assumed
from .naming import Words, parse
from .weights import classes_of, fill, mismatch

#: Builds the model that words name; the architecture alone where they say `weights=none`.
Build = Callable[[Words], Model]

_REGISTRIES = ("timm", "torchvision", "digits")


def load(words: Words, build: Build, *, arch: str | None = None, trust_pickle: bool = False) -> Model:
    """The model of a checkpoint; `arch` names the architecture of one that does not, or of a part of its keys.

    Raises:
        BadCheckpoint, UnsafeCheckpoint: see `checkpoints.read`; also weights that do not fit the architecture.
        ModelError: nobody names the architecture, or it does not exist.
    """
    path = Path(words.body).expanduser()
    checkpoint = read(path, trust_pickle=trust_pickle)
    if checkpoint.module is not None and not arch:
        return _pickled(checkpoint, path, words)
    if not arch and not checkpoint.arch:
        raise ModelError(
            f"{path} holds weights, but does not say of which architecture",
            "Name it with --arch, for example --arch timm/resnet50 or --arch 'nets.py:make(\"name\")'.",
        )
    choices = _named_by_user(arch) if arch else _named_by_file(checkpoint.arch, path)
    model = _described(_filled(choices, checkpoint, path, words, build), checkpoint.record, path)
    return model if words.options.weights else replace(model, accuracy=None)


def _named_by_user(arch: str) -> list[Words]:
    if _is_bare(arch):
        return [parse(f"{registry}/{arch}") for registry in ("timm", "torchvision")]
    return [parse(arch)]


def _named_by_file(arch: str, path: Path) -> list[Words]:
    """Only architectures of registries: a file of weights must not choose which program runs."""
    if _is_bare(arch) or arch.split("/")[0] in _REGISTRIES:
        return _named_by_user(arch)
    raise ModelError(
        f"{path} belongs to the architecture '{arch}', which is not one of {', '.join(_REGISTRIES)}; "
        f"a checkpoint may not choose code to run",
        f"Name it yourself: --arch '{arch}', with the path where that file lies.",
    )


def _is_bare(arch: str) -> bool:
    """Whether it is a registry's own name, as timm's training checkpoints have it."""
    return "/" not in arch and ":" not in arch


def _filled(choices: list[Words], checkpoint: Checkpoint, path: Path, words: Words, build: Build) -> Model:
    """The model of the first choice whose tensors are those of the checkpoint; else the first one's complaint."""
    complaint: ModelError | None = None
    for choice in choices:
        try:
            return _fill_one(choice, checkpoint, path, words, build)
        except ModelError as error:
            if complaint is None or not isinstance(complaint, BadCheckpoint):
                complaint = error
    assert complaint is not None
    raise complaint


def _fill_one(choice: Words, checkpoint: Checkpoint, path: Path, words: Words, build: Build) -> Model:
    own, record = choice.options, checkpoint.record
    stated = words.options.num_classes or own.num_classes or record.get("classes")
    size = words.options.input or own.input or (tuple(record["size"]) if "size" in record else None)
    options = replace(own, weights=False, num_classes=stated, input=size)
    if choice.form == "code" and own.num_classes is None and words.options.num_classes is None:
        options = replace(options, num_classes=None)  # the user's call says what it makes
    model = build(replace(choice, options=options))
    if not words.options.weights:
        return model
    classes = classes_of(checkpoint.state, _module(model))
    if stated is None and classes not in (None, model.classes) and mismatch(_module(model), checkpoint.state):
        try:
            again = build(replace(choice, options=replace(options, num_classes=classes)))
        except ModelError:
            again = model
        if not mismatch(_module(again), checkpoint.state):
            model = again
    fill(_module(model), checkpoint.state, str(path), choice.bare)
    return model


def _module(model: Model) -> Any:
    assert model.module is not None
    return model.module


def _described(model: Model, record: Mapping[str, Any], path: Path) -> Model:
    """`model` under what its file records, where it records anything."""
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in record.items()}
    spec = model.input
    stated = {field.name: given[field.name] for field in fields(spec) if field.name in given}
    if "assumed" not in stated:
        stated["assumed"] = tuple(name for name in spec.assumed if name not in stated)
    if len(stated.get("mean", spec.mean)) != stated.get("size", spec.size)[0]:
        raise BadCheckpoint(f"{path} contradicts itself: its mean has not a number per channel", "Pack it again.")
    return replace(
        model,
        name=given.get("name") or path.stem,
        input=replace(spec, **stated),
        licence=given.get("licence"),
        data=given.get("data"),
        classes=given.get("classes") or model.classes,
        accuracy=given.get("accuracy"),
        notes=given.get("notes", ()),
    )


def _pickled(checkpoint: Checkpoint, path: Path, words: Words) -> Model:
    if not words.options.weights:
        raise ModelError(f"'{words.given}': a pickled network has its weights in it", "Leave weights=none out.")
    return Model(name=path.stem, input=assumed(words.options.input), module=checkpoint.module)


def record_of(model: Model) -> dict[str, Any]:
    """What a packed file says of a model; the inverse is `_described`. Plain values only."""
    spec: InputSpec = model.input
    record = {
        "name": model.name,
        "licence": model.licence,
        "data": model.data,
        "classes": model.classes,
        "accuracy": model.accuracy,
        "notes": model.notes,
        "source": model.source,
        **asdict(spec),
    }
    return {key: list(value) if isinstance(value, tuple) else value for key, value in record.items()}
