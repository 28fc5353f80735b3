"""Latency of chains on another machine, from times that were measured there at some cuts of the models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..cost.chains import seam_price
from ..data.chain import Chain
from ..data.cut_names import find_cut, no_such_cut
from ..data.errors import InputError
from ..data.plan import Plan

#: What stands in a table for a model's own end.
OUTPUT = "output"


@dataclass(frozen=True, eq=False)
class Times:
    """Milliseconds of one image on a device. points: of each model the MACs before the cuts that were measured, its
    input and its output, and the milliseconds until there, both float64 [points] and rising."""

    points: tuple[tuple[np.ndarray, np.ndarray], ...]

    @classmethod
    def of(cls, plan: Plan, table: Mapping[str, Mapping[str, float]], where: str) -> Times:
        """From a table of milliseconds by model and cut; `output` is the model's end.

        Raises:
            InputError: a model without a time of its output, or times that fall. CutError: no such cut.
        """
        names = [model.name for model in plan.models]
        found = {name: known for name, known in table.items()}
        short = {name.rsplit("/", 1)[-1]: name for name in names}
        by_name = {short.get(name, name): known for name, known in found.items()}
        missing = [name for name in names if OUTPUT not in by_name.get(name, {})]
        if missing:
            raise InputError(
                f"{where} says no time of the output of {missing[0]}",
                f"Measure it there, and write for each model: {missing[0]} = {{ {OUTPUT} = 5.2 }}, in milliseconds.",
            )
        return cls(tuple(_points(plan, model, by_name[name], where) for model, name in enumerate(names)))

    def of_chain(self, plan: Plan, chain: Chain) -> float:
        """Milliseconds of a chain: between measured cuts in proportion to the MACs, an adapter's as the MACs of the
        model that it leads to."""
        total = 0.0
        for fragment in chain.fragments:
            macs, ms = self.points[fragment.model]
            ends = [_macs(plan, fragment.model, fragment.start), _macs(plan, fragment.model, fragment.end, last=True)]
            start, end = np.interp(ends, macs, ms)
            total += float(end - start)
        for seam in chain.seams():
            macs, ms = self.points[seam.enters.model]
            total += max(0.0, seam_price(plan, seam)["macs"]) * float(ms[-1]) / max(float(macs[-1]), 1.0)
        return total


def _points(plan: Plan, model: int, known: Mapping[str, float], where: str) -> tuple[np.ndarray, np.ndarray]:
    found = {0.0: 0.0}
    for word, milliseconds in known.items():
        cut = None if word == OUTPUT else find_cut(plan.cuts[model].cuts, word)
        if word != OUTPUT and cut is None:
            raise no_such_cut(plan, word, [model])
        found[_macs(plan, model, cut, last=True)] = milliseconds
    macs = np.array(sorted(found))
    ms = np.array([found[at] for at in macs])
    if (np.diff(ms) < 0).any():
        raise InputError(
            f"{where}: the times of {plan.models[model].name} fall from a cut to a later one",
            "Each is the time from the input to there, so a later one is no shorter.",
        )
    return macs, ms


def _macs(plan: Plan, model: int, cut: int | None, *, last: bool = False) -> float:
    if cut is None:
        return float(plan.prices[model]["macs"]) if last else 0.0
    before = plan.cuts[model][cut].before
    return float(before["macs"]) if before else 0.0
