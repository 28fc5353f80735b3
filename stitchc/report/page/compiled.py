"""The page of a compile and of a training: the same facts as in the terminal, as a reader wants to see them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...documents import without_formula
from ...env import versions
from ...passes.data.plan import Plan
from ...recipe import commands
from ..candidates import CandidateTable
from ..cost import StageTable
from ..healing import Polished
from ..notes import Inputs, Notes
from ..parent_table import ParentTable
from ..rivals import RivalTable
from ..stitch import VOTING, Checks
from ..tune import Training
from .charts import HeatChart, ScatterChart
from .diagram import Diagram
from .difference import Difference
from .dropped import Dropped
from .healing import HealingBars
from .markup import Html, join, tag
from .members import members
from .provenance import Provenance, Recipe
from .section import Section
from .verdict import Verdict

_TOP = 20  # candidates in the table
_CHAIN = (
    "Fragments in the colours of their models, in the order in which they run, with the shapes that pass between; bars "
    "show shares of the multiply-adds."
)
_DIFFERENCE = (
    "The seam as a difference of graphs: each model as a strip of its blocks, as wide as what they compute, and the "
    "changes in the order of the chain."
)
_CANDIDATES = (
    "All that could be stitched, beside the models, the rivals and the hybrid. In the table those come first that were "
    "compared on most images, after healing where they were healed; the best score of fewer images may be luck."
)
SIMILARITY = "How alike the cuts of the models represent the same images."
_DEPTH = 2  # names deep that stages of the cost are


def sections(plan: Plan, record: Mapping[str, Any], recipe: str, more: Sequence[Section] = ()) -> Iterator[Section]:
    """The page of a compile. plan: with all that the passes left in it. recipe: the text of recipe.toml. more: what
    comes after the seams."""
    yield _verdict(record)
    if record["chain"]:
        yield Section("The chain", [*_voting(record), Diagram(record, plan)], _CHAIN)
    if joins(plan, record):
        yield Section("What is kept, healed, dropped and new", [Difference(plan, record)], _DIFFERENCE)
    yield from more
    if plan.similarity:
        yield Section("Similarity", [HeatChart(plan, k) for k in range(len(plan.similarity))], SIMILARITY)
    if plan.candidates is not None and len(plan.candidates):
        yield Section("Candidates", [ScatterChart(plan, record), CandidateTable(plan, _TOP)], _CANDIDATES)
        yield Section("What was dropped, and why", [Dropped(plan, record)])
    yield from _healed(record, plan)
    yield Section("Cost", [ParentTable(record), *_left_out(record), *_stages(plan)])
    yield from ending(record, recipe)


def artifact_sections(record: Mapping[str, Any], recipe: str) -> Iterator[Section]:
    """The page of an artifact of which the record is all that is at hand: trained, or a member of a family."""
    yield _verdict(record)
    yield Section("The chain", [*_voting(record), Diagram(record)])
    if record.get("tuned"):
        yield Section("Training", [Training(one) for one in record["tuned"]])
    yield from _healed(record)
    yield Section("Cost", [ParentTable(record), *_left_out(record)])
    yield from ending(record, recipe)


def _verdict(record: Mapping[str, Any]) -> Section:
    beside = [RivalTable(record)] if record["recommended"] is not None else []
    notes = [Notes(record["notes"])] if record["notes"] else []
    return Section("Verdict", [Verdict(record), *beside, *notes])


def _voting(record: Mapping[str, Any]) -> list[str]:
    return [VOTING] if record.get("ensemble") else []


def joins(plan: Plan, record: Mapping[str, Any]) -> bool:
    """Whether all chains have a seam, between models whose cuts are known."""
    chains = [member.chain for member in members(record, plan)]
    return all(c is not None and c.adapters and all(f.model < len(plan.cuts) for f in c.fragments) for c in chains)


def _healed(record: Mapping[str, Any], plan: Plan | None = None) -> Iterator[Section]:
    parts: list[Any] = []
    for member in members(record, plan):
        if member.healing:
            parts += [tag("h3", member.title)] if member.title else []
            parts.append(HealingBars(member.healing))
    parts += [Polished(record["polishing"])] if record.get("polishing") else []
    if parts:
        yield Section("Healing", parts)


def _left_out(record: Mapping[str, Any]) -> list[str]:
    """What the costs of the hybrid do not count."""
    return [f"hybrid: {without_formula(record['uncounted'])}"] if record.get("uncounted") else []


def _stages(plan: Plan) -> list[Any]:
    """What each stage of the network takes, where the network is at hand."""
    hybrid = plan.hybrids[0] if plan.hybrids else None
    if hybrid is None or hybrid.graph is None:
        return []
    from ...passes.cost.stages import stages

    return [StageTable(stages(hybrid.network, plan.input_of(hybrid.chain).size, _DEPTH))]


def ending(record: Mapping[str, Any], recipe: str) -> Iterator[Section]:
    """What a page says last: how far its forms agree, what it came from, and how to make it again."""
    if record.get("verified"):
        yield Section("Verification", [Checks(record["verified"])])
    inputs = {model["name"]: model["input"] for model in record["models"] if model.get("input")}
    said = {name: version for name, version in versions().items() if version}
    yield Section("Sources and versions", [Provenance(record, said), *([Inputs(inputs)] if inputs else [])])
    yield Section("The recipe", [Recipe(recipe)], _again(recipe))


def _again(recipe: str) -> Html:
    """How a recipe is run."""
    said = [tag("code", command) for command in commands(recipe)]
    return join(join(*said, between=", then "), " makes this again." if len(said) == 1 else " make this again.")
