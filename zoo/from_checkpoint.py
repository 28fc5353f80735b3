"""Models named by a checkpoint file: its architecture, built without weights, filled with what the file holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from stitchc.passes.data.errors import BadCheckpoint, ModelError
from stitchc.passes.data.model import Model
from stitchc.passes.data.scores import choose

from . import beside, checkpoints, envelopes, fits, records
from .checkpoints import Checkpoint
from .class_names import of_network
from .inputs import FIELDS, assumed, overridden
from .naming import REGISTRIES, Options, Words, parse
from .present import require
from .records import Record
from .trust import data_in_file, words_in_file

#: Builds the model that words name; the architecture alone where they say `weights=none`.
Build = Callable[[Words], Model]

_SMALL = 10_000_000  # parameters that any file may say that its architecture has


def load(words: Words, build: Build, *, arch: str | None = None, trust: bool = False) -> Model:
    """The model of a checkpoint; `arch` names the architecture of one that does not, or of a part of its keys.

    Raises:
        BadCheckpoint, UnsafeCheckpoint: see `checkpoints.read`; also weights that do not fit the architecture.
        ModelError: nobody names the architecture, or it does not exist.
    """
    path = Path(words.body).expanduser()
    if path.is_dir():
        path = beside.weights_in(path)
    checkpoint = _read(path, arch, trust)
    if not arch and not checkpoint.record.arch and (network := envelopes.network(checkpoint.content)) is not None:
        return _pickled(network, path, words)
    if not envelopes.envelopes(checkpoint.content):
        raise BadCheckpoint(f"{path} holds no weights{_said(checkpoint.content)}", "Save a state dict.")
    if not checkpoint.ours:
        checkpoint = _with_beside(checkpoint, path, arch)
    choices = _named_by_user(arch) if arch else _named_by_file(checkpoint.record, path, trust)
    build = build if arch else _no_larger_than(checkpoint, path, build)
    record = replace(checkpoint.record, data=data_in_file(checkpoint.record.data, trust=trust))
    if record.data != checkpoint.record.data:
        note = f"it names the images '{checkpoint.record.data}', which a file may not choose: give --data"
        record = replace(record, notes=(*record.notes, note))
    checkpoint = replace(checkpoint, record=record)
    for choice in choices:
        _check_options(choice, record, path, by_file=arch is None)
    return _first_that_fits(choices, checkpoint, path, words, build)


def _read(path: Path, arch: str | None, trust: bool) -> Checkpoint:
    """The file; of a trusted one, the classes that it was pickled with may lie in the file that `arch` names."""
    require(path)
    code = parse(arch) if trust and arch and not _is_bare(arch) else None
    if code is None or code.form != "code":
        return checkpoints.read(path, trust=trust)
    from .user_code import as_main

    with as_main(code.code[0]):
        return checkpoints.read(path, trust=trust)


def _with_beside(checkpoint: Checkpoint, path: Path, arch: str | None) -> Checkpoint:
    """The checkpoint with what config.json beside it says, if that is of the same architecture."""
    found = beside.read(path.parent)
    own, other = checkpoint.record, found.record
    named = arch.split("/")[-1].split("?")[0].partition(".")[0] if arch else own.arch
    if found.network and not named:
        raise ModelError(
            f"{path} holds the weights of {found.network}, a network of Hugging Face's transformers, which has no name "
            "here",
            "Name a Python file that makes it: --arch nets.py:make, with "
            f"`def make(): return {found.network}.from_pretrained(...)`.",
        )
    if other.arch and named and _is_bare(named) and named != other.arch.partition(".")[0]:
        note = f"{beside.CONFIG} beside it is of {other.arch}, and was not used"
        return replace(checkpoint, record=replace(own, notes=(*own.notes, note)))
    stated = {key: value for key, value in vars(own).items() if value}
    return replace(checkpoint, record=replace(other, **stated))


def _named_by_user(arch: str) -> list[Words]:
    return [parse(f"{registry}/{arch}") for registry in ("timm", "torchvision")] if _is_bare(arch) else [parse(arch)]


def _named_by_file(record: Record, path: Path, trust: bool) -> list[Words]:
    arch = record.arch
    if not arch:
        raise ModelError(
            f"{path} holds weights, but does not say of which architecture",
            "Name it with --arch, for example --arch timm/resnet50 or --arch 'nets.py:make(\"name\")'.",
        )
    names = [arch]
    if _is_bare(arch):
        names = [f"{registry}/{arch}" for registry in ("timm", "torchvision") if record.registry in ("", registry)]
    return [words_in_file(name, str(path), trust=trust, beside=path.parent) for name in names]


def _no_larger_than(checkpoint: Checkpoint, path: Path, build: Build) -> Build:
    """`build`, which makes no network of far more numbers than the file holds: a few bytes could name the largest of a
    registry, or one of ten million classes."""
    tensors = [tensor for one in envelopes.envelopes(checkpoint.content) for tensor in one.state.values()]
    held = {(kept := tensor.untyped_storage()).data_ptr(): kept.nbytes() for tensor in tensors if _has_numbers(tensor)}
    most = sum(held.values()) + _SMALL  # a number takes a byte at least

    def built(words: Words) -> Model:
        try:
            with torch.device("meta"):  # without numbers
                count = sum(parameter.numel() for parameter in _module(build(words)).parameters())
        except Exception:  # some cannot be made so: those are made to be seen
            count = 0
        if count > most:
            raise BadCheckpoint(
                f"{path} says that it is of {words.bare}, which has {count:,} parameters, and holds far fewer numbers",
                "Name the architecture that they belong to with --arch (for example --arch timm/resnet50).",
            )
        return build(words)

    return built


def _has_numbers(tensor: Tensor) -> bool:
    return not tensor.is_meta and tensor.layout == torch.strided


def _is_bare(arch: str) -> bool:
    """Whether it is a registry's own name, as timm's training checkpoints have it."""
    return not any(mark in arch for mark in "/:\\")


def _first_that_fits(choices: list[Words], checkpoint: Checkpoint, path: Path, words: Words, build: Build) -> Model:
    """The model of the first choice whose tensors are those of the checkpoint; else the first one's complaint."""
    complaint: ModelError | None = None
    for choice in choices:
        try:
            model = _model(choice, checkpoint, path, words, build)
        except ModelError as error:
            told = isinstance(complaint, BadCheckpoint) or not isinstance(error, BadCheckpoint)
            complaint = complaint if complaint and told else error
            continue
        return _noting_the_other(model, choice, choices)
    assert complaint is not None
    raise complaint


def _noting_the_other(model: Model, choice: Words, choices: list[Words]) -> Model:
    """A name that several registries have stands for one of them; their images are not prepared alike."""
    from .naming import names

    others = [other.bare for other in choices if other is not choice and other.bare.partition(".")[0] in names()]
    if not others:
        return model
    note = f"'{choice.body}' was taken as {choice.bare}; for the other, name {others[0]}"
    return replace(model, notes=(*model.notes, note))


def _model(choice: Words, checkpoint: Checkpoint, path: Path, words: Words, build: Build) -> Model:
    record, own = checkpoint.record, choice.options
    _refuse_arguments_of_timm(choice, record)
    asked = words.options.over(own)
    size = asked.input or record.size
    stated = asked.num_classes or record.classes
    if choice.form == "code" and asked.num_classes is None:
        stated = None  # the user's call says what it makes
    options = Options(weights=False, num_classes=stated, input=size)
    arguments = record.arguments if _same_architecture(choice, record.arch) else {}
    bare = replace(choice, options=options, arguments=arguments)
    model = build(bare)
    if not checkpoint.ours and record.registry != choice.form and choice.form in REGISTRIES:
        # Their library's own weights want this input; who trained these has not said.
        model = replace(model, input=replace(model.input, assumed=FIELDS))
    if words.options.weights:
        model = _filled(model, bare, checkpoint, path, words, build, rebuild=stated is None)
    if own.output:
        choose(_module(model), own.output)
    model = records.described(model, record, path.stem)
    if not words.options.weights:
        model = replace(model, accuracy=None)
    if arguments:
        model = replace(model, arch="")  # no words say them
    return replace(
        model, name=own.name or model.name, input=overridden(model.input, replace(own, name=None), choice.given)
    )


def _same_architecture(choice: Words, arch: str) -> bool:
    """Whether `choice` is timm's architecture of this name, whatever the tags."""
    return choice.form == "timm" and choice.body.partition(".")[0] == arch.removeprefix("timm/").partition(".")[0]


def _check_options(choice: Words, record: Record, path: Path, *, by_file: bool) -> None:
    """The options behind an architecture's name are used as those behind the file's name, which win.

    Raises:
        ModelError: one that says nothing of an architecture, or in a file, one that the record contradicts.
    """
    own = choice.options
    if not own.weights or own.weights_key is not None:
        option = "weights-key" if own.weights else "weights"
        raise ModelError(
            f"'{choice.given}': an architecture has no use for {option}=", "Write it behind the file, or leave it out."
        )
    said = {"num_classes": record.classes, "input": record.size, "mean": record.mean, "std": record.std}
    for key, value in own.stated().items() if by_file else ():
        if said.get(key) not in (None, value):
            raise BadCheckpoint(
                f"{path} contradicts itself: its arch says {key}={value}, its record {said[key]}", "Pack it again."
            )


def _refuse_arguments_of_timm(choice: Words, record: Record) -> None:
    if record.arguments and choice.form == "torchvision":
        raise ModelError(
            f"the file says arguments of timm's ({', '.join(record.arguments)}), which {choice.bare} does not take",
            "Name timm's architecture.",
        )


def _filled(
    model: Model, choice: Words, checkpoint: Checkpoint, path: Path, words: Words, build: Build, *, rebuild: bool
) -> Model:
    """The architecture with the file's weights; with `rebuild`, with as many classes as they have."""
    found, key = envelopes.envelopes(checkpoint.content), words.options.weights_key
    exact, nearest = fits.choose(found, _module(model), key)
    if nearest is None and key is not None:
        raise fits.no_such_key(key, found, str(path))
    if not exact and rebuild and nearest and (classes := fits.classes_of(nearest, _module(model), model.classes)):
        try:
            again = build(replace(choice, options=replace(choice.options, num_classes=classes)))
        except ModelError:
            again = model
        if exact := fits.choose(found, _module(again), key)[0]:
            model = replace(again, input=model.input)
    if not exact:
        raise fits.complaint(nearest, str(path), choice.bare, _module(model), found)
    notes = fits.fill(_module(model), exact[0], str(path))
    said = () if checkpoint.ours else fits.describe(exact[0], exact[1:])
    return replace(model, notes=(*model.notes, *said, *notes))


def _said(content: object) -> str:
    if isinstance(content, dict):
        return f": its keys are {', '.join(str(key)[:40] for key in list(content)[:5]) or 'none'}"
    return f", but a {type(content).__name__}"


def _module(model: Model) -> nn.Module:
    assert model.module is not None
    return model.module


def _pickled(network: nn.Module, path: Path, words: Words) -> Model:
    """A whole network of a trusted file."""
    for key in ("weights", "num_classes", "weights_key"):
        if key in words.options.stated():
            raise ModelError(
                f"'{words.given}': a pickled network is what it is, and takes no {key.replace('_', '-')}=",
                "Leave it out; or name the architecture with --arch, and its weights are taken.",
            )
    names = of_network(network)
    return Model(name=path.stem, input=assumed(words.options.input), class_names=names, module=network)
