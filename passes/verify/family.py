"""A family verified: each member's graph, its module and its ONNX file must compute the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..data.errors import VerificationError
from ..data.family import Family
from ..data.hybrid import Verified
from ..data.model import Images, InputSpec
from ..emit.load import load_module, load_onnx
from ..graphs.placement import exactly
from . import compare, difference_on, inputs_of


def verify_family(
    family: Family,
    networks: Mapping[str, nn.Module],
    spec: InputSpec,
    folder: Path,
    *,
    images: Images | None = None,
    seed: int = 0,
    batches: tuple[int, ...] = (1, 3),
    tolerance: float = 1e-4,
    device: str = "cpu",
) -> Family:
    """The family with what was found of each member: its module, switched to, and its ONNX file, if there is one, held
    against its own network, on probe images (where there are any) and on random ones.

    networks: of each member by its name, for images as `spec` says. tolerance, device: as the pass `Verify`.

    Raises:
        VerificationError: a member differs by more, or gives another class. Says which.
    """
    inputs = list(inputs_of(spec, batches, seed, images))
    module: Any = load_module(folder)
    onnx = _onnx(folder, [member.name for member in family.members])
    members = []
    for member in family.members:
        found = _compared(member.name, networks[member.name], module, onnx, inputs, batches, tolerance)
        if torch.device(device).type != "cpu":
            far = difference_on(device, module.member(member.name), inputs, 10 * tolerance)
            found = replace(found, device=str(exactly(device)), device_max_rel=far)
        members.append(replace(member, hybrid=replace(member.hybrid, verified=found)))
    return replace(family, members=tuple(members))


def verify_family_folder(
    folder: Path,
    names: list[str],
    size: tuple[int, int, int],
    *,
    batches: tuple[int, ...] = (1, 3),
    tolerance: float = 1e-4,
    seed: int = 0,
) -> dict[str, Verified]:
    """Compares the files of a family with each other: of each member its ONNX file, if there is one, and the family
    switched to it, with its modules alone.

    Raises:
        VerificationError: a file is missing or cannot be run, or they differ.
    """
    spec = InputSpec(size, (0.0,) * size[0], (1.0,) * size[0])
    inputs = list(inputs_of(spec, batches, seed, None))
    module: Any = load_module(folder)
    onnx = _onnx(folder, names)
    return {name: _compared(name, module.member(name), module, onnx, inputs, batches, tolerance) for name in names}


def _onnx(folder: Path, names: list[str]) -> dict[str, Callable[[Tensor], Tensor]]:
    there = folder / "onnx"
    return {name: load_onnx(there / f"{name}.onnx") for name in names} if there.exists() else {}


def _compared(
    name: str,
    network: nn.Module,
    module: Any,
    onnx: Mapping[str, Callable[[Tensor], Tensor]],
    inputs: list[Tensor],
    batches: tuple[int, ...],
    tolerance: float,
) -> Verified:
    module.set_member(name)
    emitted = {"model.py": module} | ({"model.onnx": onnx[name]} if onnx else {})
    try:
        return compare(network, emitted, inputs, batches, tolerance)
    except VerificationError as error:
        raise VerificationError(f"the member {name}: {error.message}", error.hint) from error
