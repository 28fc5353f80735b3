"""How the mappings in a file fit an architecture, and loading one that does.

A mapping fits if under some prefix it has all that the architecture has, in the same shapes, and nothing else but
bookkeeping. The first that fits exactly is taken, moving averages before the others.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from stitchc.passes.data.errors import BadCheckpoint, did_you_mean

from .envelopes import BOOKKEEPING, Envelope, is_average
from .tensors import as_stored, shape_of, some
from .weights import fill_named

_MOST_PARTS = 64  # of a dotted name
_MOST_PREFIXES = 8
#: Wrappers that name themselves anywhere in a name: DataParallel, torch.compile, FSDP, activation checkpointing.
_WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
#: Names of torchvision's DenseNets before its version 0.3, in which its own files still are.
_OLD_NAMES = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")
_OF_TRAINING = re.compile(r"(criterion|loss\w*|\w*_loss|metrics?|\w*_(acc|accuracy|metrics?)|aux\d|AuxLogits)$")
_MAY_BE_ABSENT = {"num_batches_tracked", "_extra_state", "position_ids", "relative_position_index"}


@dataclass(frozen=True)
class Fit:
    """How an envelope fits an architecture under one prefix.

    names: the architecture's name -> the envelope's. missing: the architecture's names that it lacks. extra: names of
    it that are not the architecture's. shapes: names of the architecture whose tensors have other shapes. left_out:
    names beside the prefix, which are not used.
    """

    envelope: Envelope
    prefix: str
    names: Mapping[str, str]
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    shapes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        return not (self.missing or self.extra or self.shapes)

    @property
    def faults(self) -> int:
        return len(self.missing) + len(self.extra) + len(self.shapes)

    @property
    def key(self) -> str:
        """What `?weights-key=` calls it; "." is the file itself."""
        parts = [part for part in (self.envelope.key, self.prefix.rstrip(".")) if part]
        return ".".join(parts) or "."


def choose(found: list[Envelope], module: nn.Module, key: str | None = None) -> tuple[list[Fit], Fit | None]:
    """The exact fits of `module` among the envelopes, in their order, and the nearest miss, if there is any.

    key: take only what is called so (`?weights-key=`).
    """
    fits: list[Fit] = []
    nearest: Fit | None = None
    for envelope in found:
        for fit in _fits(envelope, module):
            if key is not None and not (fit.key == key or fit.key.startswith(f"{key}.")):
                continue
            if fit.exact and all(fit.key != known.key for known in fits):
                fits.append(fit)
            if nearest is None or fit.faults < nearest.faults:
                nearest = fit
    return sorted(fits, key=lambda fit: not is_average(fit.key)), nearest


def keys(found: list[Envelope]) -> list[str]:
    """The names of the envelopes, for a message."""
    return list(dict.fromkeys(envelope.key or "." for envelope in found))


def fill(module: nn.Module, fit: Fit, origin: str) -> tuple[str, ...]:
    """Loads an exact fit into `module`; returns notes on what had to be changed.

    Raises:
        BadCheckpoint: a tensor whose numbers cannot be the network's.
    """
    own = module.state_dict()
    kinds: Counter[str] = Counter()
    values: dict[str, Any] = {}
    for name, theirs in fit.names.items():
        values[name], changed = as_stored(fit.envelope.state[theirs], own[name], theirs, origin)
        if changed:
            kinds[changed] += 1
    fill_named(module, values)
    return tuple(f"{count} of its tensors were {kind}" for kind, count in kinds.items())


def classes_of(fit: Fit, module: nn.Module, classes: int | None) -> int | None:
    """How many classes a miss has that fits but for its classifier: all tensors of other shapes have them first."""
    if fit.missing or fit.extra or not fit.shapes:
        return None
    own = module.state_dict()
    theirs = {name: fit.envelope.state[fit.names[name]] for name in fit.shapes}
    counts = {tensor.shape[0] for tensor in theirs.values() if tensor.ndim}
    same = all(
        own[name].ndim and own[name].shape[0] == classes and tensor.shape[1:] == own[name].shape[1:]
        for name, tensor in theirs.items()
    )
    return counts.pop() if same and len(counts) == 1 else None


def describe(fit: Fit, others: list[Fit]) -> tuple[str, ...]:
    """What is to be said of the choice; nothing where there was none."""
    notes: list[str] = []
    if fit.key not in (".", "state_dict") or others:
        inside = f"'{fit.envelope.key}'" if fit.envelope.key else "the file itself"
        said = f"its weights are those in {inside}" + (f" under the prefix '{fit.prefix}'" if fit.prefix else "")
        if others:
            named = ", ".join(f"?weights-key={other.key}" for other in others[:3])
            said += f"; others fit too ({named})"
        notes.append(said)
    if beside := [name for name in fit.left_out if not _is_spare(name)]:
        notes.append(f"{len(beside)} tensors beside its weights are not used ({some(beside)})")
    return tuple(notes)


def complaint(nearest: Fit | None, origin: str, arch: str, module: nn.Module, found: list[Envelope]) -> BadCheckpoint:
    """Why nothing in a file fits: what came nearest, what it lacks and what it has too many."""
    hint = (
        "Name the architecture that they belong to with --arch, for example --arch timm/resnet50 or "
        "--arch 'nets.py:make(\"name\")'."
    )
    if nearest is None:
        return BadCheckpoint(f"the weights in {origin} are not those of {arch}: no name is the same", hint)
    own = module.state_dict()
    parts = []
    if nearest.missing:
        parts.append(f"{len(nearest.missing)} of its {len(own)} tensors are missing ({some(nearest.missing)})")
    if nearest.extra:
        parts.append(f"{len(nearest.extra)} are not its own ({some(nearest.extra)})")
    if nearest.shapes:
        state = nearest.envelope.state
        said = [
            f"{name} has shape {shape_of(state[nearest.names[name]])} instead of {shape_of(own[name])}"
            for name in nearest.shapes
        ]
        parts.append(some(said))
    where = f"; nearest is '{nearest.key}'" if nearest.key != "." and len(found) > 1 else ""
    return BadCheckpoint(f"the weights in {origin} are not those of {arch}: {'; '.join(parts)}{where}", hint)


def no_such_key(key: str, found: list[Envelope], origin: str) -> BadCheckpoint:
    """Nothing in the file is called as `?weights-key=` says."""
    known = keys(found)
    return BadCheckpoint(
        f"{origin} has no weights under '{key}'", did_you_mean(key, known) or f"It has some under {some(known)}."
    )


def _fits(envelope: Envelope, module: nn.Module) -> Iterator[Fit]:
    """How it fits under each prefix that comes into question: names as they are, then without wrappers' parts."""
    own, tied = module.state_dict(), _tied(module)
    for bare in (False, True):
        ours = {_bare(name) if bare else name: name for name in own}
        theirs = {_bare(name) if bare else name: name for name in envelope.state}
        if bare and (list(theirs) == list(theirs.values()) or len(theirs) != len(envelope.state)):
            return
        prefixes = _prefixes(ours, theirs)
        exact = False
        needed = len({tied.get(name, (name,))[0] for name in own if not _may_be_absent(name)})
        most = max(prefixes.values(), default=0)
        whole = [prefix for prefix, count in prefixes.items() if count >= min(needed, most)]
        for prefix in whole[:_MOST_PREFIXES]:
            fit = _fit(envelope, prefix, ours, theirs, own, tied, whole)
            exact |= fit.exact
            yield fit
        if exact:
            return


def _prefixes(ours: Mapping[str, str], theirs: Mapping[str, str]) -> Counter[str]:
    """How many of the architecture's names are there under each prefix."""
    votes: Counter[str] = Counter()
    for name in theirs:
        parts = name.split(".", _MOST_PARTS)
        for start in range(len(parts)):
            if ".".join(parts[start:]) in ours:
                votes["".join(f"{part}." for part in parts[:start])] += 1
    return votes


def _fit(
    envelope: Envelope,
    prefix: str,
    ours: Mapping[str, str],
    theirs: Mapping[str, str],
    own: Mapping[str, Any],
    tied: Mapping[str, tuple[str, ...]],
    whole: list[str],
) -> Fit:
    names = {ours[name]: theirs[prefix + name] for name in ours if prefix + name in theirs}
    for name, same in tied.items():
        if name not in names and (known := next((other for other in same if other in names), None)):
            names[name] = names[known]
    taken = set(names.values())
    missing = [name for name in own if name not in names and not _may_be_absent(name)]
    other = [name for name, their in names.items() if not _same(own[name], envelope.state[their])]
    shapes = [name for name in other if not _may_be_absent(name)]
    for name in other:
        if _may_be_absent(name):
            del names[name]
    copies = [other for other in whole if other != prefix and other.startswith(prefix)]
    rest = [their for name, their in theirs.items() if their not in taken and name.startswith(prefix)]
    extra: list[str] = []
    beside = [their for name, their in theirs.items() if not name.startswith(prefix)]
    for their in rest:
        inner = _bare(their).removeprefix(prefix)
        copied = any(their.startswith(other) for other in copies)
        (beside if copied or _is_spare(inner) else extra).append(their)
    return Fit(envelope, prefix, names, tuple(missing), tuple(extra), tuple(shapes), tuple(beside))


def _same(own: Any, their: Tensor) -> bool:
    return isinstance(own, Tensor) and own.shape == their.shape


def _may_be_absent(name: str) -> bool:
    """Whether the constructor makes it, or nothing reads it in eval mode."""
    return name.rpartition(".")[2] in _MAY_BE_ABSENT


def _is_spare(name: str) -> bool:
    """Whether nothing depends on it once the network is trained."""
    first, _, _ = name.partition(".")
    return name.rpartition(".")[2] in BOOKKEEPING or bool(_OF_TRAINING.fullmatch(first) and first != name)


def _bare(name: str) -> str:
    """A name without the parts that wrappers put into it, and as torchvision names it today."""
    name = _OLD_NAMES.sub(r"\1", name)
    return ".".join(part for part in name.split(".") if part not in _WRAPPERS) or name


def _tied(module: nn.Module) -> dict[str, tuple[str, ...]]:
    """Names of one and the same tensor."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for name, tensor in module.state_dict().items():
        if isinstance(tensor, Tensor) and tensor.numel():
            key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride())
            groups.setdefault(key, []).append(name)
    return {name: tuple(group) for group in groups.values() if len(group) > 1 for name in group}
