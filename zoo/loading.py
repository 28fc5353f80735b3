"""From the words that name a model to the model, and from a model to a checkpoint that describes itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from stitchc.passes.data.errors import ModelError
from stitchc.passes.data.model import Model

from . import checkpoints, from_checkpoint
from .inputs import overridden
from .naming import Words, parse
from .weights import mismatch, sha256


def load(name: str, *, trust_pickle: bool = False, arch: str | None = None) -> Model:
    """The model that `name` names (interface.md, MODEL), in eval mode, with its input transform, licence and hash.

    trust_pickle: allow files that run code when they are read. arch: the architecture of a checkpoint that names none.

    Raises:
        ModelError, and its kinds WeightsUnavailable, BadCheckpoint, UnsafeCheckpoint.
    """
    words = parse(name)
    if arch and words.form != "checkpoint":
        raise ModelError(
            f"'{name}' is no checkpoint, so it has no use for the architecture '{arch}'", "Leave --arch out."
        )
    model = _build(words, trust_pickle=trust_pickle, arch=arch)
    module = model.network
    return replace(
        model,
        module=module,
        name=words.options.name or model.name,
        source=name,
        input=overridden(model.input, words.options, name),
        sha256=sha256(module.state_dict()),
    )


def _build(words: Words, *, trust_pickle: bool = False, arch: str | None = None) -> Model:
    """The model as its own source describes it."""
    if words.form == "checkpoint":
        return from_checkpoint.load(words, _architecture, arch=arch, trust_pickle=trust_pickle)
    if words.form == "digits":
        from . import from_digits

        return from_digits.load(words)
    if words.form == "timm":
        from . import from_timm

        return from_timm.load(words, trust_pickle=trust_pickle)
    if words.form == "torchvision":
        from . import from_torchvision

        return from_torchvision.load(words)
    if words.form == "exported":
        from . import from_exported

        return from_exported.load(words)
    from . import from_code

    return from_code.load(words)


def _architecture(words: Words) -> Model:
    """The model without the weights that its source would give it."""
    if words.form in ("checkpoint", "exported"):
        raise ModelError(f"'{words.given}' is a file of weights, not an architecture", "Try --arch timm/resnet50.")
    if words.form == "code":
        from . import from_code

        return from_code.load(words, architecture=True)
    return _build(words)


def pack(
    model: Model | str,
    path: str | Path,
    *,
    force: bool = False,
    arch: str | None = None,
    trust_pickle: bool = False,
) -> Path:
    """Writes a checkpoint that names its architecture, input, licence, data, classes and accuracy; returns its path.

    arch: the words that build the architecture, for a model that does not know them.

    Raises:
        ModelError: nothing names the architecture, or what is named has other weights. OutputError: `path` is taken
            (without `force`), has another suffix than .pt, .pth or .safetensors, or cannot be written.
    """
    if isinstance(model, str):
        model = load(model, trust_pickle=trust_pickle)
    named = arch or model.arch
    module = model.module
    if module is None:
        raise ModelError(f"the model {model.name} has no module to pack", "Load it first.")
    if not named:
        raise ModelError(
            f"nothing says which architecture the weights of {model.name} belong to", "Name it with --arch."
        )
    state, words = module.state_dict(), parse(named)
    if words.form != "code":
        fresh = _architecture(replace(words, options=replace(words.options, weights=False))).module
        assert fresh is not None
        if reason := mismatch(fresh, state):
            raise ModelError(f"the weights of {model.name} are not those of {named}: {reason}", "Name another --arch.")
    path = Path(path).expanduser()
    checkpoints.write(path, state, named, from_checkpoint.record_of(model), force=force)
    return path
