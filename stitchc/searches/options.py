"""The options of `stitchc search`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..passes.data.option_kinds import Choice, Count, Share, Texts
from ..passes.data.options import option, with_default
from ..passes.data.pass_options import (
    SEARCH,
    STITCHNET,
    BackendOptions,
    HealOptions,
    MemoryOptions,
    PartitionOptions,
    RankOptions,
    ShareOptions,
    TraceOptions,
    UncountedOptions,
)
from ..shared_options import (
    ArchOptions,
    ArtifactOptions,
    BudgetOptions,
    DataOptions,
    DeviceOptions,
    MeasuringOptions,
    ProbeOptions,
    RivalOptions,
    SeedOptions,
    SimilarityOptions,
    TrustOptions,
)
from .sweep import Sweep


@dataclass(frozen=True, kw_only=True)
class SearchOptions(
    BudgetOptions, BackendOptions, UncountedOptions, DataOptions, MeasuringOptions, HealOptions, RankOptions,
    MemoryOptions, ProbeOptions, RivalOptions, ArtifactOptions, ShareOptions,
):  # fmt: skip
    """Of `stitchc.search`."""

    method: str = option(
        "exact", Choice("exact", "milp", "stitchnet"),
        "How chains are found: exact takes what a chain loses for the sum of what its seams lose, probes the seams "
        "that matter, and finds the best sum, proved best; milp is the same as an integer program, for rules that do "
        "not add up along a chain; stitchnet is Algorithm 1 of StitchNet (arXiv 2301.01947).",
        group=SEARCH,
    )  # fmt: skip
    fragments: int | None = option(
        None, Count(least=2), "Most fragments of a chain.", group=SEARCH, unset="3; 16 of StitchNet"
    )
    keep: int = option(10, Count(least=1), "Number of chains to show.", group=SEARCH)
    differ: int = option(
        2, Count(least=1), "By how many fragments two of the best chains differ at least.", group=SEARCH
    )
    min_share: float | None = with_default(
        ShareOptions, "min_share", None, group=SEARCH, unset="10%; 0% of StitchNet",
        help="Smallest share of its multiply-adds that a model gives before another follows it, and after it follows "
        "another. With 0, the best chains may be one model with the first layers of another.",
    )  # fmt: skip
    repeats: str | None = option(
        None, Choice("none", "forward", "loops"),
        "Whether a model may come again in a chain: never, only further on than where it was left, or anywhere, so "
        "that layers may run twice.",
        group=SEARCH, unset="forward; loops of StitchNet",
    )  # fmt: skip
    adapters: Sequence[str] | None = option(
        None, Texts(), "Adapters that chains may be joined by, such as linear or conv5x5-relu.",
        group=SEARCH, metavar="NAME", unset="identity, linear and conv3x3; fused of StitchNet",
    )  # fmt: skip
    rule: str | None = with_default(
        PartitionOptions, "rule", None, group=SEARCH, unset="single-tensor; stitchnet of StitchNet"
    )
    similarity: str | None = with_default(SimilarityOptions, "similarity", None, unset="cka-unbiased; cka of StitchNet")
    sweep: str | None = option(
        None, Sweep(),
        "Write no artifact, but find the best chain under each of several budgets: macs=20%..90%, or "
        "macs=20%..90%/15 for fifteen.",
        group=SEARCH, unset="none",
    )  # fmt: skip
    ensemble: int = option(
        1, Count(least=1, most=26),
        "Write a network of so many chains, which vote: the mean of their probabilities. The budget is shared evenly.",
        group=SEARCH,
    )  # fmt: skip
    models_at_least: int | None = option(
        None, Count(least=1), "Of milp: how many different models a chain has at least.", group=SEARCH,
        unset="2, where there are as many",
    )  # fmt: skip
    switches: int | None = option(
        None, Count(least=0), "Of milp: how many seams join different models at most.", group=SEARCH, unset="any number"
    )
    hold: Sequence[str] | None = option(
        None, Texts(), "Of milp: a part of a model that the chain has whole, such as A:layer2.0..layer2.3.",
        group=SEARCH, metavar="PART", unset="none",
    )  # fmt: skip
    apart: Sequence[str] | None = option(
        None, Texts(), "Of milp: models that a chain has not all of, by letter or name, such as A+C; or licences, each "
        "for the models that have it, such as CC-BY-NC-4.0+GPL-3.0.",
        group=SEARCH, metavar="A+B", unset="none",
    )  # fmt: skip
    width: int = option(2, Count(least=1), "Of StitchNet: how many fragments are tried next, its K.", group=STITCHNET)
    threshold: float = option(
        0.5, Share(), "Of StitchNet: what the product of the similarities stays above, its T.",
        group=STITCHNET,
    )  # fmt: skip
    start: str = option(
        "all", Choice("all", "smallest", "largest", "closest"),
        "Of StitchNet: the fragments that chains begin with: all, or the one of the fewest or most parameters, or of "
        "the least latency.",
        group=STITCHNET,
    )  # fmt: skip
    candidates: str = option(
        "cka", Choice("cka", "params", "latency"),
        "Of StitchNet: which fragments are tried next: the most similar, those of the fewest parameters, or of the "
        "least latency.",
        group=STITCHNET,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SpaceOptions(
    DataOptions, RankOptions, MemoryOptions, PartitionOptions, ProbeOptions, SeedOptions, DeviceOptions, ArchOptions,
    TraceOptions, TrustOptions,
):  # fmt: skip
    """Of `stitchc.space`."""

    fragments: int = with_default(SearchOptions, "fragments", 2, kind=Count(least=2, most=3), unset="")
    repeats: str = with_default(
        SearchOptions, "repeats", "forward", kind=Choice("none", "forward"), unset="",
        help="Whether a model may come again in a chain: never, or only further on than where it was left, so that "
        "layers are left out.",
    )  # fmt: skip
    adapters: Sequence[str] = with_default(
        SearchOptions, "adapters", ("identity", "linear", "conv3x3"), unset="identity, linear and conv3x3",
        help="Adapters that chains may be joined by; auto stands for several.",
    )  # fmt: skip
    min_share: float = with_default(SearchOptions, "min_share", 0.1, unset="")
