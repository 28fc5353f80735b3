"""The options of the passes that a user may want to set, as records that the passes take their fields from.

They stand here, and not with their passes, so that a command line can tell of them without loading torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from .option_kinds import Bytes, Choice, Count, Effort, Kind, Share, Switch, Text, Work
from .options import WHEN_CHANGED, Options, option
from .plugins import installed

BUDGET, CHOICE, SEARCH, FAMILY, STITCHNET, HEALING, RIVALS, IMAGES, OUTPUT, MODELS = (
    "Budget", "Choice of a stitch", "Search", "Family", "StitchNet", "Healing", "Rivals", "Images", "Output", "Models",
)  # fmt: skip

#: Which values are cuts (see the pass `partition`).
RULES = ("single-tensor", "stitchnet")
#: Between chains that vote.
VOTE = " + "
DIRECTION = Choice("slow-to-fast", "fast-to-slow", "both", "given")
EFFORT = Effort(words=("low", "medium", "high"))
#: The entry points by which other packages add rules to rank by (see the pass `rank`).
RANKS = "stitchc.ranks"
#: Those of pairs of cuts, which say nothing of a network alone.
RANKS_OF_PAIRS = ("cka", "fit")
RANK = Choice(known=lambda: ("cascade", "cka", "fit", "agreement", "kl", "accuracy", *installed(RANKS)))

#: Runtimes that latency is measured with.
BACKENDS = ("eager", "compile", "cudagraphs", "onnxruntime")


@dataclass(frozen=True, kw_only=True)
class TraceOptions(Options):
    """Options of the pass `trace`."""

    frontend: str = option(
        "auto", Choice("auto", "record", "export"),
        "How a network is turned into a graph: by recording its modules, by torch.export, or by the first that works.",
        group=MODELS,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PartitionOptions(Options):
    """Options of the pass `partition`."""

    rule: str = option(
        "single-tensor", Choice(*RULES),
        "Which values are cuts: all that alone cross the network, or of those the ones that StitchNet (arXiv "
        "2301.01947) cuts at.",
        group=MODELS,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class DirectionOptions(Options):
    """Which model gives the front: an option of the pass `cost`."""

    direction: str = option(
        "both", DIRECTION,
        "Which model comes first: the one with more multiply-adds (as in ReStNet), the one with fewer, each in turn, "
        "or the one that is named first.",
        group=CHOICE,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class BackendOptions(Options):
    """The runtime for latency: an option of the passes that measure it."""

    backend: str = option(
        "eager", Choice(*BACKENDS), "Runtime that latency is measured with.",
        group=BUDGET, recipe=WHEN_CHANGED,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class UncountedOptions(Options):
    """How budgets treat operators without a formula: an option of the pass `select`."""

    allow_uncounted: bool = option(
        False, Switch(),
        "Hold a budget in macs or flops also where operators have no formula for their cost, which then count as "
        "nothing.",
        group=BUDGET, recipe=WHEN_CHANGED,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class HealOptions(Options):
    """Options of the pass `heal`, which ranking shares."""

    heal: str = option(
        "back", Choice("none", "adapter", "back", "all"),
        "Which layers are refitted in closed form toward the values of the model that they come from: none, the "
        "adapter, also those after it, or also the last block before it. On noise none are.",
        group=HEALING,
    )  # fmt: skip
    heal_layers: int | None = option(
        None, Count(least=1), "Number of blocks after the adapter that are refitted.", group=HEALING, unset="all"
    )
    heal_sweeps: int = option(
        2, Count(least=1, most=8),
        "With 1, each layer is refitted once; each further sweep adds a Gauss-Newton step for every block.",
        group=HEALING,
    )  # fmt: skip
    heal_target: str = option(
        "auto", Choice("auto", "back", "front", "both"),
        "Models whose mean output the classifier follows in the end: the last of the chain alone, the first, both, or "
        "(auto) the last and the one with the most multiply-adds, where both know the same classes.",
        group=HEALING,
    )  # fmt: skip
    heal_flips: bool = option(
        False, Switch(),
        "Heal on the mirror image of each image too, where the models give it the same class: better, and takes nearly "
        "twice as long.",
        group=HEALING, recipe=WHEN_CHANGED,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PolishOptions(Options):
    """Options of the pass `polish`."""

    polish: str | None = option(
        None, Work(),
        "After healing, train all weights toward the outputs of the better model, without labels, for about so long: "
        "60s, 5min, or a number of steps, such as '200 steps'. What is no better on held-out images is not kept.",
        group=HEALING, unset="no training",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RankOptions(Options):
    """Options of the pass `rank`."""

    rank: str = option(
        "cascade", RANK,
        "How candidates are ranked: by similarity alone (cka), or by a score of the most promising ones once "
        "stitched: probability of the labels, without them agreement with the largest model (cascade), error of the "
        "fitted adapter (fit), same class as that model (agreement), divergence from it (kl), or accuracy.",
        group=CHOICE, metavar="NAME",
    )  # fmt: skip
    effort: str | float = option(
        "medium", EFFORT, "How many candidates are stitched to rank them: low, medium, high, or a time such as 60s.",
        group=CHOICE,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ShareOptions(Options):
    """The smallest share of each parent: an option of the passes `select` and `rank`."""

    min_share: float | None = option(
        None, Share(),
        "Smallest share of the multiply-adds that either model should contribute; candidates with less come last.",
        group=CHOICE, unset="0%; 10% where candidates are ranked by similarity alone",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MemoryOptions(Options):
    """The memory limit, in bytes, of every pass that holds values."""

    max_memory: int | None = option(
        None, Bytes(), "Memory that each pass may take beside the models, such as 2GiB.",
        group=CHOICE, unset="2GiB",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ConfidenceOptions(Options):
    """Confidence intervals of similarities: an option of the pass `compare`."""

    confidence: float | None = option(
        None, Share(most=0.999), "Confidence of an interval to be drawn around each similarity, such as 95%.",
        group=CHOICE, unset="no intervals",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CutOptions(Options):
    """Cuts chosen by hand: options of the pass `select`."""

    front: str | int | None = option(
        None, Kind(), "Cut at which the first model ends: its node, path or index, as `inspect` lists them.",
        group=CHOICE, metavar="CUT", unset="the best",
    )  # fmt: skip
    back: str | int | None = option(
        None, Kind(),
        "Cut at which the second model is entered. With either cut given, A comes first and B second.",
        group=CHOICE, metavar="CUT", unset="the best",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ChainOptions(Options):
    """A chain stated by hand: an option of the pass `select`."""

    chain: str | None = option(
        None, Text(),
        "The network to make, fragment by fragment: 'A:..layer2.1 / B:layer2.0..layer3.1 / C:layer3.2..' runs A up to "
        "the cut layer2.1, then B between two cuts, then C from a cut to its end. An adapter may be named between two. "
        "Several chains with ' + ' between them become one network in which they vote.",
        group=CHOICE, metavar="SPEC", unset="the best pair of fragments",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OpsetOptions(Options):
    """Options of the pass `onnx`."""

    opset: int | None = option(
        None, Count(least=18), "ONNX operator set to export to.", group=OUTPUT, unset="the exporter's own choice"
    )
