"""Models at other input sizes: the same weights on smaller or larger images, as models of their own in a plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from .passes.data.errors import InputError, StitchError
from .passes.data.model import Model
from .passes.data.pass_options import RANKS_OF_PAIRS
from .passes.data.plan import Plan
from .passes.rivals.sizes import Size, multiples_below, saved, somewhat_smaller, stride_of

if TYPE_CHECKING:
    from .options import CompileOptions
    from .passes.data.chain import Chain
    from .passes.pipeline import Pass

#: Sizes of each model that are tried with "auto".
TRIED = 2


def with_sizes(plan: Plan, sizes: str | Sequence[int], look: Sequence[Pass]) -> Plan:
    """The plan, whose models are known by their cuts, with each model at other sizes behind those that were given.

    sizes: heights and widths in pixels, or "auto": for each model the two largest multiples of its stride below its own
    size. look: the passes that take a model to its cuts. A size at which a model does not run is left out, with a note.

    Raises:
        InputError: no model runs at any of the sizes.
    """
    found: list[Plan] = []
    notes: list[str] = []
    for index, model in enumerate(plan.models):
        for size in _sizes(plan, index, sizes):
            other = model.at(size)
            try:
                found.append(_seen(plan, other, look))
            except StitchError as error:
                notes.append(f"{other.name} was left out: {error.message}.")
    if not found:
        raise InputError(
            f"no model runs at other input sizes ({'; '.join(notes) or 'none is smaller than its own'})",
            "Leave `input_size` out, or name other sizes.",
        )
    return replace(_with(plan, found), notes=(*plan.notes, *notes))


def with_smaller(plan: Plan, look: Sequence[Pass]) -> Plan:
    """The plan, whose models are known by their cuts, with all of them on somewhat smaller images behind those that
    were given; as it is where one of them has no such size, or does not run at it."""
    found = []
    for index, model in enumerate(plan.models):
        size = somewhat_smaller(model.input.size, stride_of(plan.cuts[index], model.input.size))
        if size is None:
            return plan
        try:
            found.append(_seen(plan, model.at(size), look))
        except StitchError:
            return plan
    return _with(plan, found)


def tries_smaller(options: CompileOptions, plan: Plan) -> bool:
    """Whether networks on smaller images are to be tried although nobody asks for sizes: where a budget is asked for
    that they save, nothing is chosen by hand, and what they lose shows when they are probed."""
    from .passes.data.budget import as_limits
    from .passes.rank import cannot_probe

    by_hand = options.chain is not None or options.front is not None or options.back is not None
    if by_hand or len(plan.models) != 2 or options.rank in RANKS_OF_PAIRS:
        return False
    assert plan.images is not None
    return not cannot_probe(plan.images) and any(saved(limit.metric) for limit in as_limits(options.budget))


def _sizes(plan: Plan, index: int, sizes: str | Sequence[int]) -> Iterator[Size]:
    own = plan.models[index].input.size
    if isinstance(sizes, str):
        yield from islice(multiples_below(own, stride_of(plan.cuts[index], own)), TRIED)
        return
    yield from ((own[0], side, side) for side in sizes if (side, side) != own[1:])


def _seen(plan: Plan, model: Model, look: Sequence[Pass]) -> Plan:
    from .passes import Pipeline

    return Pipeline(look)(Plan((model,), plan.seed, images=plan.images))


def _with(plan: Plan, more: Sequence[Plan]) -> Plan:
    return replace(
        plan,
        models=(*plan.models, *(one.models[0] for one in more)),
        graphs=(*plan.graphs, *(one.graphs[0] for one in more)),
        cuts=(*plan.cuts, *(one.cuts[0] for one in more)),
    )


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
