"""The report of a search: the pool, the chains that were tried, how far estimates hold, and the one written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from ..passes.data import metrics
from ..passes.data.model import own_name
from ..wording import as_flags
from .notes import Inputs, Notes
from .numbers import Column, Costs, percent, score, several, shape
from .stitch import CompileReport
from .table import short, table

if TYPE_CHECKING:
    from ..search import Searched

#: Columns of scores, in their order; those without a figure are left out.
_SCORES = ("similarity", "expected", "stitched", "healed")


@dataclass(frozen=True)
class PoolTable:
    """record: the key `pool` of a search document."""

    record: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        pool = self.record
        rows = table(ascii_only=options.ascii_only, title="The pool")
        shown = [metrics.get(name) for name in ("macs", "params")]
        costs = Costs(shown, pool["models"])
        rows.add_column("\nmodel", overflow="fold")
        rows.figures("\nfragments", *costs.heads)
        for model in pool["models"]:
            rows.add_row(model["name"], str(model["fragments"]), *costs(model))
        yield rows
        yield Text(
            f"{pool['fragments']} fragments: {pool['starting']} starting, {pool['middle']} middle, "
            f"{pool['terminating']} terminating."
        )


@dataclass(frozen=True)
class ChainTable:
    """The chains that were stitched, the best first. record: a search document."""

    record: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        chains = self.record["chains"]
        used = [link["model"] for one in chains for link in one["chain"] if "model" in link]
        names = dict(zip(used, short(used), strict=True))
        rows = table(ascii_only=options.ascii_only, title="The best chains")
        shown = [metrics.get(name) for name in ("macs", "params")]
        costs = Costs(shown, [one["cost"] for one in chains])
        scores = [name for name in _SCORES if any(_figure(one, name) is not None for one in chains)]
        rows.add_column("\nchain", overflow="fold", ratio=1)
        rows.figures(*costs.heads, *(f"\n{name}" for name in (*scores, "top-1")))
        for index, one in enumerate(chains):
            rows.add_row(
                chain_text(one["chain"], names), *costs(one["cost"]),
                *(score(_figure(one, name)) for name in scores), percent(one["accuracy"]),
                style="bold" if index == self.record["chosen"] else "",
            )  # fmt: skip
        yield rows
        yield from map(Text, self._legend(scores))

    def _legend(self, scores: Sequence[str]) -> Iterator[str]:
        said = self.record["search"]
        if "similarity" in scores:
            yield "similarity: the product of those at the seams, on the chain as it was then."
        if "expected" in scores:
            yield "expected: the score that the losses of the seams add up to."
        if "stitched" in scores:
            yield "stitched, healed: the score on probe images that nothing was fitted on."
        if "front" in self.record:
            yield "top-1: of networks fitted and healed on all images, as a compile of the chain writes them."
        else:
            yield "top-1: of the first as it was written, fitted on all images; of others as the search made them."
        probed = "" if said["probed"] is None else f"{said['probed']} seams probed, "
        yield f"{probed}{several(said['stitched'], 'chain')} stitched."
        if said["unsettled"]:
            yield f"{said['unsettled']} seams of the best chains were not probed; a higher effort probes them."
        if said["stopped"]:
            yield "The search was interrupted: these are the best of what was stitched by then."
        yield from _trusted("The loss of a seam is predicted from the other seams", said["seam_losses"])
        yield from _trusted("The score of chains of three fragments or more is the sum", said["chain_scores"])


def _figure(one: Mapping[str, Any], name: str) -> float | None:
    """The figure of a chain in the column of that name."""
    if name == "healed":
        return one["score"] if one["healed"] else None
    return one["unhealed" if name == "stitched" else name]


@dataclass(frozen=True)
class FrontTable:
    """The best chain under each budget, and the models, by what they take. record: a document of a sweep."""

    record: Mapping[str, Any]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        asked = metrics.get(list(self.record["front"][0]["budget"])[-1])
        found = [*self._chains(asked.name, asked.key), *self._models(asked.key)]
        column = Column(asked.unit, [value for _, limit, amount, _ in found for value in (limit, amount)])
        rows = table(ascii_only=options.ascii_only, title="The front")
        rows.add_column("\nnetwork", overflow="fold", ratio=1)
        rows.figures(column.head("budget"), column.head(asked.column), "\ntop-1")
        for name, limit, amount, accuracy in sorted(found, key=lambda row: (row[1] or row[2], row[2])):
            rows.add_row(name, column(limit), column(amount), percent(accuracy), style="" if limit else "dim")
        yield rows
        names = [model["name"] for model in self.record["models"]]
        given = [name for name in names if own_name(name, names) == name]
        letters = ", ".join(f"{letter} is {name}" for letter, name in zip(ascii_uppercase, given, strict=False))
        yield Text(as_flags(f"In the words of `chain`, by which a compile makes each: {letters}."))

    def _chains(self, metric: str, key: str) -> Iterator[tuple[str, float | None, float, float | None]]:
        for point in self.record["front"]:
            if point["chain"] is not None:
                one = self.record["chains"][point["chain"]]
                yield one["words"], point["budget"][metric], one["cost"][key], one["accuracy"]

    def _models(self, key: str) -> Iterator[tuple[str, float | None, float, float | None]]:
        names = {model["name"]: model["name"] for model in self.record["models"]}
        for model in self.record["models"]:
            yield sized(model["name"], names), None, model["cost"][key], model["accuracy"]


def sized(name: str, names: Mapping[str, str]) -> str:
    """`plain on 4×4` for a model at another size than its own, which its name then ends in. names: of all models, what
    they are called."""
    own = own_name(name, names)
    return names[own] if own == name else f"{names[own]} on {shape(map(int, name.removeprefix(f'{own}@').split('x')))}"


def _trusted(what: str, trust: Mapping[str, Any] | None) -> Iterator[str]:
    if trust is None or trust["error"] is None:
        return
    rank = "" if trust["rank_correlation"] is None else f", rank correlation {trust['rank_correlation']:.2f}"
    yield f"{what} with a mean error of {score(trust['error'])}{rank} ({trust['cases']} cases)."


def chain_text(chain: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> str:
    """`resnet ..layer2.1 / conv3x3 / plain features.4..`: a chain in a line."""
    said = []
    for link in chain:
        if "adapter" in link:
            said.append(link["adapter"]["name"])
        else:
            said.append(f"{names[link['model']]} {link['from_label'] or ''}..{link['to_label'] or ''}")
    return " / ".join(said)


@dataclass(frozen=True)
class SearchReport:
    """The parts of the report, in order. document: of the search."""

    searched: Searched
    document: Mapping[str, Any]
    folder: Path | None = None

    def parts(self) -> list[RenderableType]:
        """What a terminal prints, one after the other."""
        parts: list[RenderableType] = [Notes(self.document["notes"])] if self.document["notes"] else []
        if "front" in self.document:
            return [*parts, PoolTable(self.document["pool"]), ChainTable(self.document), FrontTable(self.document)]
        if self.searched.plan is None:
            return [*parts, PoolTable(self.document["pool"])]
        plan = self.document["plan"]
        inputs = Inputs({model["name"]: model["input"] for model in plan["models"]})
        report = CompileReport(self.searched.plan, plan, folder=self.folder).parts()
        own = [part for part in report if not isinstance(part, Notes | Inputs)]
        return [*parts, inputs, PoolTable(self.document["pool"]), ChainTable(self.document), *own]
