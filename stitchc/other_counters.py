"""Two other counters, thop and torch's own, run on a copy of a network: what they find beside our figure, and why."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .passes.data.plan import Plan

_SHOWN = 3  # operators in a reason


@dataclass(frozen=True)
class Comparison:
    """macs: multiply-adds of one image by counter, "stitchc" first; None where the counter failed.
    why: the reasons for which the others differ, a sentence each."""

    macs: Mapping[str, int | None]
    why: Sequence[str]


def compare_counters(plan: Plan) -> Comparison:
    """What thop and `torch.utils.flop_counter` count of the plan's first model, priced before, and why they differ."""
    import torch

    model, price = plan.models[0], plan.prices[0]
    assert model.module is not None
    parameter = next((p for p in model.module.parameters() if p.is_floating_point()), None)
    image = torch.zeros(1, *model.input.size, dtype=parameter.dtype if parameter is not None else torch.float32)
    by_thop, why = _by_thop(model.module, image, plan)
    by_torch, more = _by_torch(model.module, image, int(price["macs"]))
    return Comparison({"stitchc": int(price["macs"]), "thop": by_thop, "torch": by_torch}, [*why, *more])


def _by_thop(module: nn.Module, image: Tensor, plan: Plan) -> tuple[int | None, list[str]]:
    """Its count and what it does otherwise. Its "FLOPs" are multiply-adds."""
    from thop import profile

    from .passes.cost.conventions import conventions, reasons

    try:
        found, _ = profile(copy.deepcopy(module), inputs=(image,), verbose=False)
    except Exception as error:  # whatever another project's code raises on a network that it does not expect
        return None, [f"thop failed: {type(error).__name__}: {error}"]
    table = conventions(plan.graphs[0], plan.models[0].input.size)
    expected = sum(table["thop"].values())
    why = [] if int(found) == plan.prices[0]["macs"] else reasons(table, ["thop"])
    if int(found) != expected:
        why.append(f"By its rules as we know them thop would count {expected:,}.")
    return int(found), why


def _by_torch(module: nn.Module, image: Tensor, ours: int) -> tuple[int | None, list[str]]:
    """Its count, two FLOPs being a multiply-add, and what it does otherwise, operator by operator."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from .passes.graphs.operators import Operators

    counter, operators = FlopCounterMode(display=False), Operators()
    try:
        with torch.no_grad(), counter, operators:
            copy.deepcopy(module)(image)
    except Exception as error:  # as above
        return None, [f"torch's counter failed: {type(error).__name__}: {error}"]
    found = counter.get_flop_counts().get("Global", {})
    theirs = {str(packet).rpartition(".")[2]: flops // 2 for packet, flops in found.items()}
    why = []
    if differing := _differing(operators.by_operator, theirs):
        why.append(f"torch {torch.__version__.partition('+')[0]} counts otherwise: {differing}.")
    if operators.macs != ours:
        why.append(
            f"Run as it is, the network takes {operators.macs:,}: what needs no image, or what the output does not "
            "need, is left out of the code that is priced."
        )
    return counter.get_total_flops() // 2, why


def _differing(ours: Mapping[str, int], theirs: Mapping[str, int]) -> str:
    """The operators that torch counts otherwise, those that matter most first."""
    gaps = {name: abs(ours.get(name, 0) - theirs.get(name, 0)) for name in {**ours, **theirs}}
    names = sorted((name for name, gap in gaps.items() if gap), key=lambda name: (-gaps[name], name))
    said = [f"{name} ({theirs.get(name, 0):,} for our {ours.get(name, 0):,})" for name in names[:_SHOWN]]
    return ", ".join(said) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
