"""Candidates as a table of another library: pandas or polars, whichever is there."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from . import metrics
from .errors import InputError, unknown

if TYPE_CHECKING:
    from .plan import Plan

KINDS = ("pandas", "polars")


def candidates_frame(plan: Plan, kind: str | None = None) -> Any:
    """The candidates of a plan, a row each, in the order of their table, as a DataFrame.

    Columns: `rank` (from 1, missing where nobody ranked it), `front_model`, `front_cut`, `front_node`, the same of the
    back, `adapter`, `similarity`, `score`, `feasible`, and every metric that is known under its key with its unit.

    kind: "pandas" or "polars"; without, the one that the program has imported, else the one that is installed.

    Raises:
        InputError: the plan has no candidates, or there is no such library.
    """
    if plan.candidates is None:
        raise InputError("the plan has no candidates", "`compare` and `compile` make some.")
    return import_module(_library(kind)).DataFrame(columns(plan))


def columns(plan: Plan) -> dict[str, Sequence[Any] | np.ndarray]:
    """What such a frame holds, by column."""
    table = plan.candidates
    assert table is not None
    place = np.full(len(table), np.nan)
    place[table.order] = np.arange(1, len(table.order) + 1)
    found: dict[str, Sequence[Any] | np.ndarray] = {"rank": place}
    for end in ("front", "back"):
        models, cuts = getattr(table, f"{end}_model").tolist(), getattr(table, f"{end}_cut").tolist()
        found[f"{end}_model"] = [plan.models[model].name for model in models]
        found[f"{end}_cut"] = [plan.cuts[model][cut].path for model, cut in zip(models, cuts, strict=True)]
        found[f"{end}_node"] = [plan.cuts[model][cut].node for model, cut in zip(models, cuts, strict=True)]
    found["adapter"] = [table.adapters[index] for index in table.adapter.tolist()]
    found["similarity"] = table.similarity
    found["score"] = np.full(len(table), np.nan) if table.score is None else table.score
    found["feasible"] = table.feasible
    for metric in metrics.every():
        amounts = table.metric(metric.name)
        if not np.isnan(amounts).all():
            found[metric.key] = amounts
    return found


def _library(kind: str | None) -> str:
    if kind is not None and kind not in KINDS:
        raise unknown(kind, "library of frames", KINDS)
    wanted = [kind] if kind else sorted(KINDS, key=lambda name: name not in sys.modules)
    for name in wanted:
        if find_spec(name) is not None:
            return name
    raise InputError(f"{' and '.join(wanted)} cannot be found", f"Install one: pip install {wanted[0]}.")
