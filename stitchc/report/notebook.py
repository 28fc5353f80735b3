"""What notebooks show of plans, cuts, candidates, searches and families: fragments of the report, which stand still.

Importing this makes it known to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..comparison import comparison_record
from ..documents import label, plan_document
from ..passes.data import metrics
from ..passes.data.candidates import Candidates
from ..passes.data.notebook import shown_by
from ..passes.data.plan import Plan
from ..passes.data.values import Cuts, Price
from ..searches.record import search_document
from .candidates import CandidateTable
from .cuts import CutTable
from .family import FamilyTable
from .numbers import amount, score, shape
from .page.charts import still_map
from .page.compiled import joins
from .page.diagram import Diagram
from .page.difference import Difference
from .page.from_rich import fragment, scrolling
from .page.healing import HealingBars
from .page.library import own
from .page.markup import Html, join, tag
from .page.section import Section
from .parent_table import ParentTable
from .rivals import networks
from .search import ChainTable, FrontTable, PoolTable

if TYPE_CHECKING:
    from ..family import FamilyResult
    from ..search import Searched

_ROWS = 10  # of candidates


def element(parts: Sequence[Any]) -> str:
    """The parts of a report in one element that brings its own style."""
    return tag("div", tag("style", Html(own("page.css"))), *map(fragment, parts), class_="stitchc")


def plan_html(plan: Plan) -> str:
    """What is known of a plan so far: its hybrid, its candidates, the similarity of its models, or their cuts."""
    return element(list(_sections(plan)))


def family_html(made: FamilyResult) -> str:
    """A family: its members in a table, and each that was stitched as a chain; of a dry run the plan of its models."""
    if made.record is None:
        return plan_html(made.plan)
    record = made.record
    stitched = [member for member in record["members"] if member["parent"] is None]
    drawn = [part for member in stitched for part in (tag("h3", member["name"]), Diagram(record | member))]
    return element([FamilyTable(record), *drawn])


def search_html(searched: Searched) -> str:
    """A search: its pool, the chains that were stitched, and the front of a sweep."""
    document = search_document(searched, _ROWS)
    chains = [ChainTable(document)] if document["chains"] else []
    front = [FrontTable(document)] if "front" in document else []
    return element([PoolTable(document["pool"]), *chains, *front])


def _sections(plan: Plan) -> Iterator[Section]:
    if plan.hybrids:
        yield from _hybrid(plan)
    if plan.similarity:
        yield Section("Similarity", [_still(plan, k) for k in range(len(plan.similarity))])
    if plan.candidates is not None and len(plan.candidates):
        yield Section("Candidates", [CandidateTable(plan, _ROWS)])
    if plan.cuts and plan.prices and not plan.similarity and not plan.hybrids:
        yield Section("Cuts", [CutTable(*of) for of in zip(plan.models, plan.cuts, plan.prices, strict=True)])
    elif not plan.has("similarity") and not plan.has("candidates") and not plan.hybrids:
        yield Section("A plan", [f"The models are {', '.join(model.name for model in plan.models)}."])


def _hybrid(plan: Plan) -> Iterator[Section]:
    record = plan_document(plan)
    yield Section("The hybrid", [Diagram(record, plan), *_best(plan), ParentTable(record)])
    if joins(plan, record):
        yield Section("What is kept, healed, dropped and new", [Difference(plan, record)])
    if record["healing"]:
        yield Section("Healing", [HealingBars(record["healing"])])


def _best(plan: Plan) -> Iterator[str]:
    """Which network is best, where others were measured."""
    found = plan.recommended
    if found is None or (found.rival is not None and found.rival >= len(plan.rivals)):
        return
    record = plan_document(plan) | comparison_record(plan, None, [None] * len(plan.models))
    if record["recommended"] is None:
        return
    name = next(row["name"] for row in networks(record) if row["best"])
    yield f"Best within the budget by {found.by}, on {found.images} images: {name}."


def _still(plan: Plan, which: int) -> Html:
    of = plan.similarity[which]
    down, across = (plan.models[k].name for k in (of.a, of.b))
    said = f"{of.metric} of {of.images} images: the cuts of {down} (down) by those of {across} (across)"
    known = of.matrix[np.isfinite(of.matrix)]
    span = f"; lowest {score(float(known.min()))}, highest {score(float(known.max()))}." if known.size else "."
    return join(still_map(of.matrix, said), tag("p", said + span, class_="dim"))


def cuts_html(cuts: Cuts) -> str:
    """The cuts of a model, with what lies before each."""
    sums = metrics.sums()
    heads = ("#", "cut", "node", "layout", "shape", *(f"{metric.column} before" for metric in sums))
    rows = ((cut.index, label(cut), cut.node, cut.value.layout, shape(cut.value.shape),
             *(amount((cut.before or Price()).get(metric.name), metric.unit) for metric in sums))
            for cut in cuts.cuts)  # fmt: skip
    said = f"{len(cuts)} cuts by the rule {cuts.rule}; {len(cuts.rejected)} values are none."
    return element([_table(heads, rows), said])


def candidates_html(table: Candidates) -> str:
    """The first candidates by their order; models and cuts are numbers, whose names the plan knows."""
    order = table.order if len(table.order) or table.rank else np.arange(len(table))
    known = [metric for metric in metrics.sums() if metric.name in table.amounts]
    heads = ("#", "front", "back", "adapter", "similarity", "score", *(metric.column for metric in known))
    rows = []
    for place, row in enumerate(order[:_ROWS].tolist(), 1):
        one = table[row]
        ends = (f"model {end.model}, cut {end.cut}" for end in (one.front, one.back))
        amounts = (amount(one.price.get(metric.name), metric.unit) for metric in known)
        rows.append((place, *ends, one.adapter, score(one.similarity), score(one.score), *amounts))
    said = f"{len(rows)} of {len(table)} candidates, {int(table.feasible.sum())} within the budget."
    return element([_table(heads, rows), said])


def _table(heads: Sequence[str], rows: Any) -> Html:
    head = tag("tr", *(tag("th", head, scope="col") for head in heads))
    body = (tag("tr", *(tag("td", cell) for cell in row)) for row in rows)
    return scrolling(tag("table", tag("thead", head), tag("tbody", *body)), ", ".join(heads))


shown_by(Plan, plan_html)
shown_by(Cuts, cuts_html)
shown_by(Candidates, candidates_html)
