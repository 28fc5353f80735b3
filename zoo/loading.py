"""From the words that name a model to the model, and from a model to a checkpoint that describes itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from stitchc.passes.data.errors import ModelError
from stitchc.passes.data.model import InputSpec, Model
from stitchc.passes.data.scores import choose, chosen, scores

from . import checkpoints, from_checkpoint, records
from .inputs import overridden
from .naming import Words, parse, with_output
from .weights import check_finite, mismatch, seeded, sha256


def load(name: str | Path, *, trust: bool = False, arch: str | None = None) -> Model:
    """The model that `name` names (docs/zoo.md, Models), in eval mode, with its input transform, licence and hash.

    trust: allow files that run code when they are read. arch: the architecture of a checkpoint that names none.

    Raises:
        ModelError, and its kinds WeightsUnavailable, BadCheckpoint, UnsafeCheckpoint.
    """
    name = str(name) if isinstance(name, Path) else name
    words = parse(name)
    if arch and words.form != "checkpoint":
        raise ModelError(
            f"'{name}' is no checkpoint, so it has no use for the architecture '{arch}'", "Leave --arch out."
        )
    if words.options.weights_key and words.form != "checkpoint":
        raise ModelError(f"'{name}' is no checkpoint, so it has no use for weights-key=", "Leave it out.")
    model = _build(words, trust=trust, arch=arch)
    module = model.network
    if words.options.weights:
        check_finite(module, f"'{name}'")
    spec = overridden(model.input, words.options, name)
    if words.options.output:
        choose(module, words.options.output)
    return replace(
        model,
        module=module,
        arch=with_output(model.arch, chosen(module)),
        name=words.options.name or model.name,
        source=name,
        input=spec,
        accuracy=model.accuracy if _same_images(spec, model.input) else None,  # it was measured on others
        sha256=sha256(module.state_dict()),
    )


def _same_images(spec: InputSpec, other: InputSpec) -> bool:
    return replace(spec, assumed=()) == replace(other, assumed=())


def _build(words: Words, *, trust: bool = False, arch: str | None = None) -> Model:
    """The model as its own source describes it."""
    if words.form == "checkpoint":
        return from_checkpoint.load(words, _architecture, arch=arch, trust=trust)
    if words.form == "digits":
        from . import from_digits

        return from_digits.load(words)
    if words.form == "timm":
        from . import from_timm

        return from_timm.load(words, trust=trust)
    if words.form == "torchvision":
        from . import from_torchvision

        return from_torchvision.load(words)
    if words.form == "exported":
        from . import from_exported

        return from_exported.load(words, trust=trust)
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
    trust: bool = False,
) -> Path:
    """Writes a checkpoint that names its architecture, input, licence, data, classes and accuracy; returns its path.

    arch: the words that build the architecture, for a checkpoint or a model that does not know them. trust: allow files
    that run code when they are read.

    Raises:
        ModelError: nothing names the architecture, or what is named is another network: it has other weights, or gives
            other scores with the same. OutputError: `path` is taken (without `force`), has another suffix than .pt,
            .pth or .safetensors, or cannot be written.
    """
    path = Path(path).expanduser()
    checkpoints.check_place(path, force=force)
    named = arch
    if isinstance(model, str):
        of_file = arch if parse(model).form == "checkpoint" else None
        model = load(model, trust=trust, arch=of_file)
        named = None if of_file and model.arch else arch
    named = named or model.arch
    module = model.module
    if module is None:
        raise ModelError(f"the model {model.name} has no module to pack", "Load it first.")
    if not named:
        raise ModelError(
            f"nothing says which architecture the weights of {model.name} belong to", "Name it with --arch."
        )
    words = parse(named)
    if words.form != "code":
        fresh = _architecture(replace(words, options=replace(words.options, weights=False)))
        _check_same(fresh, model, named)
    checkpoints.write(path, module.state_dict(), named, records.of_model(model))
    return path


def _check_same(fresh: Model, model: Model, named: str) -> None:
    """That an architecture, given the weights of `model`, is the same network."""
    assert fresh.module is not None and model.module is not None
    state = model.module.state_dict()
    if reason := mismatch(fresh.module, state):
        raise ModelError(f"the weights of {model.name} are not those of {named}: {reason}", "Name another --arch.")
    fresh.module.load_state_dict(state)
    choose(fresh.module, chosen(model.module))
    with seeded():
        image = torch.randn(2, *model.input.size)
    ours, theirs = (scores(net, image, model.name) for net in (fresh.module, model.module))
    if ours.shape != theirs.shape or not torch.allclose(ours, theirs, rtol=1e-3, atol=1e-5):
        raise ModelError(
            f"{named}, given the weights of {model.name}, gives other scores: it is another network of the same shapes",
            "Name the architecture as it was built.",
        )
