"""Fronts at other input sizes: the same weights on smaller or larger images, as models of their own in a plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from .passes.data.errors import InputError, StitchError

if TYPE_CHECKING:
    from .passes.data.chain import Chain
    from .passes.data.model import Model
    from .passes.data.plan import Plan
    from .passes.pipeline import Pass

#: Sizes of each model that are tried where none are named.
TRIED = 2

Size = tuple[int, int, int]


def with_sizes(plan: Plan, sizes: str | Sequence[int], look: Sequence[Pass]) -> Plan:
    """The plan with each model at other sizes behind those that were given. Of two models with one module the later one
    can only give the front (see the pass `cost`).

    sizes: heights and widths in pixels, or "auto": for each model the two largest multiples of its stride below its own
    size. look: the passes that take a model to its cuts. A size at which a model does not run is left out, with a note.

    Raises:
        InputError: no model runs at any of the sizes.
    """
    from .passes import Pipeline, Plan

    found: list[Model] = []
    notes: list[str] = []
    for model in plan.models:
        for size in _sizes(plan, model, sizes, look):
            other = model.at(size)
            try:
                Pipeline(look)(Plan((other,), plan.seed, images=plan.images))
            except StitchError as error:
                notes.append(f"{other.name} was left out: {error.message}.")
            else:
                found.append(other)
    if not found:
        raise InputError(
            f"no model runs at other input sizes ({'; '.join(notes) or 'none is smaller than its own'})",
            "Leave `input_size` out, or name other sizes.",
        )
    return replace(plan, models=(*plan.models, *found), notes=(*plan.notes, *notes))


def _sizes(plan: Plan, model: Model, sizes: str | Sequence[int], look: Sequence[Pass]) -> Iterator[Size]:
    from .passes import Pipeline, Plan
    from .passes.rivals.sizes import multiples_below, stride_of

    own = model.input.size
    if not isinstance(sizes, str):
        yield from ((own[0], side, side) for side in sizes if (side, side) != own[1:])
        return
    seen = Pipeline(look)(Plan((model,), plan.seed, images=plan.images))
    yield from islice(multiples_below(own, stride_of(seen.cuts[0], own)), TRIED)


def without_unused(plan: Plan, given: int) -> Plan:
    """The plan without the models, behind the first `given`, that the choice has no fragment of."""
    used = {fragment.model for candidate in plan.choice for fragment in candidate.chain.fragments}
    kept = [index for index in range(len(plan.models)) if index < given or index in used]
    place = {old: new for new, old in enumerate(kept)}

    def chosen(values: tuple) -> tuple:
        return tuple(values[index] for index in kept) if len(values) == len(plan.models) else values

    def moved(chain: Chain) -> Chain:
        fragments = tuple(replace(fragment, model=place[fragment.model]) for fragment in chain.fragments)
        return replace(chain, fragments=fragments)

    table, timed = plan.candidates, plan.timed
    if table is not None:
        rows = np.isin(table.front_model, kept) & np.isin(table.back_model, kept)
        table, rank = table.only(rows, place), np.cumsum(rows) - 1
        timed = tuple(replace(one, row=int(rank[one.row])) for one in timed if rows[one.row])
    return replace(
        plan,
        models=chosen(plan.models), graphs=chosen(plan.graphs), cuts=chosen(plan.cuts), prices=chosen(plan.prices),
        uncounted=chosen(plan.uncounted), parts=chosen(plan.parts), representations=chosen(plan.representations),
        similarity=tuple(
            replace(pair, a=place[pair.a], b=place[pair.b]) for pair in plan.similarity if {pair.a, pair.b} <= set(kept)
        ),
        candidates=table, timed=timed,
        choice=tuple(replace(candidate, chain=moved(candidate.chain)) for candidate in plan.choice),
    )  # fmt: skip
