"""The pages of a comparison, of costs and of a search, which have no artifact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...passes.data.plan import Plan
from ..candidates import CandidateTable
from ..notes import notes_of
from ..search import ChainTable, PoolTable
from .charts import HeatChart, ScatterChart, chains_chart
from .compiled import SIMILARITY
from .dropped import Dropped
from .section import Section


def compared_sections(plan: Plan, top: int, more: Sequence[Any] = ()) -> Iterator[Section]:
    """The page of a comparison of two models. top: candidates in the table. more: parts below that."""
    if plan.similarity:
        yield Section("Similarity", [HeatChart(plan)], SIMILARITY)
    if plan.candidates is not None and len(plan.candidates):
        yield Section("Candidates", [ScatterChart(plan), CandidateTable(plan, top), *more])
        yield Section("What was dropped, and why", [Dropped(plan)])
    yield Section("The models", notes_of(plan))


def search_section(document: Mapping[str, Any]) -> Section:
    """What a search looked among, and the chains that it stitched. document: of the search."""
    parts = [chains_chart(document), ChainTable(document), PoolTable(document["pool"])]
    return Section("The search", parts, "The chains that were stitched, by what they take and how they score.")
