"""Cuts by the names that a user gives them: index, fx node or module path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .errors import CutError, did_you_mean
from .values import Cut

if TYPE_CHECKING:
    from .plan import Plan


def find_cut(cuts: Sequence[Cut], word: str | int) -> int | None:
    """The index of the cut that a word names by its index, its node or a path, tried in this order; None if none.

    Raises:
        CutError: a path that several cuts have.
    """
    text = str(word)
    if text.isdecimal() and int(text) < len(cuts):
        return int(text)
    for names in (lambda cut: (cut.node,), lambda cut: cut.paths, lambda cut: (cut.path,)):
        matches = [i for i, cut in enumerate(cuts) if text in names(cut)]
        if len(matches) > 1:
            nodes = ", ".join([f"'{cuts[i].node}'" for i in matches])
            raise CutError(f"'{text}' is the path of {len(matches)} cuts", f"Name one by its node: {nodes}.")
        if matches:
            return matches[0]
    return None


def no_such_cut(plan: Plan, word: str | int, models: Sequence[int]) -> CutError:
    """The error for a word that names no cut of any of these models, with the cuts that there are."""
    names = " nor of ".join(plan.models[m].name for m in models)
    cuts = [cut for m in models for cut in plan.cuts[m].cuts]
    near = did_you_mean(str(word), list(dict.fromkeys(n for c in cuts for n in (c.node, c.path, *c.paths))))
    counts = ", ".join(
        [f"{plan.models[m].name} has {len(plan.cuts[m])} cuts, 0 to {len(plan.cuts[m]) - 1}" for m in models]
    )
    shown = ", ".join(cut.node for cut in cuts[:12]) + (", ..." if len(cuts) > 12 else "")
    return CutError(f"'{word}' is no cut of {names}", f"{near} {counts}: {shown}.".strip())
