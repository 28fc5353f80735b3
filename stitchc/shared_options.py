"""Options that several verbs share, as records that the records of the verbs are made of.

Those of the passes stand in `passes/data/pass_options.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .heads.words import PARENT, Head
from .option_kinds import Device, Limits, Pictures, Sides, Subjects
from .passes.data import metrics
from .passes.data.budget import Limit, as_limits, parse_budget
from .passes.data.option_kinds import Choice, Count, Switch, Text, Texts
from .passes.data.options import NEVER, WHEN_CHANGED, Options, option
from .passes.data.pass_options import (
    BUDGET,
    CHOICE,
    IMAGES,
    MODELS,
    OUTPUT,
    RIVALS,
    OpsetOptions,
    TraceOptions,
)

if TYPE_CHECKING:
    from .passes.data.model import Images, Model

#: Measures of similarity (see `passes.numerics.similarity`).
MEASURES = ("cka-unbiased", "cka", "cka-pooled", "rbf-cka", "procrustes")

#: Images to compare cuts and to fit adapters on, unless said otherwise.
PROBE_IMAGES = 512

#: Images to make a head from, unless said otherwise.
HEAD_IMAGES = 128


@dataclass(frozen=True, kw_only=True)
class BudgetOptions(Options):
    """The budget is kept as `Limit`s, whatever form it was given in.

    Raises:
        QuantityError: a quantity, a unit or a metric that means nothing.
    """

    budget: Any = option(
        None, Limits(),
        "Most that the stitched network may take, such as 12M, 60% (of the larger model) or latency=5ms. Of several, "
        "each holds.",
        group=BUDGET, metavar="[METRIC=]Q", unset="no limit",
    )  # fmt: skip
    metric: str = option(
        "flops", Choice(known=metrics.names),
        "Metric of a budget that does not name its own. Latency, where it is named here or in a budget, is measured.",
        group=BUDGET, recipe=WHEN_CHANGED,
    )  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.budget
        if given is None:
            limits: tuple[Limit, ...] = ()
        elif isinstance(given, Mapping):
            limits = as_limits(given)
        else:
            limits = as_limits([x for word in given for x in self._read(word)])
        object.__setattr__(self, "budget", limits)
        if metrics.get(self.metric).computed_by != "latency":
            # The limits name their metrics now, and nothing else reads it.
            object.__setattr__(self, "metric", "flops")

    def _read(self, word: str | Limit) -> Iterable[Limit]:
        return [word] if isinstance(word, Limit) else parse_budget([word], self.metric).values()

    @property
    def asks_latency(self) -> bool:
        """Whether anything asks for what the pass `latency` has to measure."""
        asked = {self.metric, *(limit.metric for limit in self.budget)}
        return any(metrics.get(name).computed_by == "latency" for name in asked)


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """The images to work with."""

    data: str | Images | None = option(
        None, Pictures(),
        "Images to work with: digits, folder:DIR, tar:FILE, npz:FILE, cifar10:DIR, ...; with ?split= and ?limit= "
        "behind.", group=IMAGES, metavar="DATA", unset="what the models' own records name",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class MeasuringOptions(Options):
    """The images to measure accuracy on."""

    evaluate: str | Images | None = option(
        None, Pictures(), "Labelled images to measure accuracy on.", group=IMAGES, metavar="DATA",
        unset="the test images of the data, where they are known",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(Options):
    """How many images to compare and fit on."""

    probe_images: int = option(
        PROBE_IMAGES, Count(least=8), "Number of images to compare the models and to fit on, at most.", group=IMAGES
    )


@dataclass(frozen=True, kw_only=True)
class AdapterOptions(Options):
    """The adapter, and whether it has several steps."""

    adapter: str = option(
        "auto", Text(),
        "Layers that join the two models: linear, conv3x3, bottleneck, fused, ..., with their own options behind, as "
        "conv3x3?resize=before. With auto, the best of several.",
        group=CHOICE, metavar="NAME",
    )  # fmt: skip
    steps: bool = option(
        False, Switch(),
        "Where the models are joined across several stages, one adapter each time the resolution is halved.",
        group=CHOICE, recipe=WHEN_CHANGED,
    )  # fmt: skip

    @property
    def adapters(self) -> str:
        """The words of the adapter, with its option `steps` where that is asked for."""
        if not self.steps or "steps=" in self.adapter:
            return self.adapter
        return f"{self.adapter}{'&' if '?' in self.adapter else '?'}steps=yes"


@dataclass(frozen=True, kw_only=True)
class SimilarityOptions(Options):
    """The similarity measure."""

    similarity: str = option(
        "cka-unbiased", Choice(*MEASURES),
        "Measure of the similarity of two cuts.", group=CHOICE, metavar="NAME",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RecalibrateOptions(Options):
    """Whether the pass `recalibrate` runs."""

    recalibrate: bool = option(
        False, Switch(), "Estimate the statistics of the BatchNorms after the adapter anew, on the probe images.",
        group=CHOICE, recipe=WHEN_CHANGED,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class InputSizeOptions(Options):
    """At which sizes networks are tried."""

    input_size: str | Sequence[int] | None = option(
        None, Sides(),
        "Try fronts, and both models together, at other input sizes too: at these heights and widths in pixels, or "
        "with auto at two smaller ones of each model; with own at none.",
        group=CHOICE, unset="where that saves the budget, both models together at one smaller size",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RivalOptions(Options):
    """What the hybrid is compared to, and whether the winner is written."""

    rivals: str = option(
        "auto", Choice("auto", "trained", "none"),
        "Whether what could be had instead within the same budget is measured too: each model, each on smaller images, "
        "each with some layers left out. With auto, where the images are real; with trained, each is also polished for "
        "as long as the stitched network.",
        group=RIVALS,
    )  # fmt: skip
    against: Sequence[str | Path | Model] | None = option(
        None, Subjects(), "Another model to measure beside the stitched network.", group=RIVALS, metavar="MODEL",
        unset="none",
    )  # fmt: skip
    best: bool = option(
        False, Switch(), "Write what is best within the budget, even where it is no stitch.",
        group=RIVALS, recipe=WHEN_CHANGED,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class HeadOptions(Options):
    """The head that each model gets."""

    head: str = option(
        PARENT, Head(),
        "What the network tells apart: the classes of its models (parent); new ones that stand for some of these, "
        "classes=281-285=cat,151-268=dog; or those of a few labelled images, by the votes of the nearest of them (knn, "
        "or knn=7 for seven) or a linear map (linear), both of the models' own scores.",
        group=MODELS, recipe=WHEN_CHANGED,
    )  # fmt: skip
    head_data: str | Images | None = option(
        None, Pictures(), "Labelled images that a head is made from.", group=MODELS, metavar="DATA",
        recipe=WHEN_CHANGED, unset="those of the data",
    )  # fmt: skip
    head_images: int = option(
        HEAD_IMAGES, Count(least=2), "Number of images that a head is made from, at most.",
        group=MODELS, recipe=WHEN_CHANGED,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class OnnxOptions(Options):
    """Whether the pass `onnx` runs."""

    onnx: bool = option(True, Switch(), "Also write model.onnx.", group=OUTPUT)


@dataclass(frozen=True, kw_only=True)
class ArchOptions(Options):
    """The architectures of checkpoints that do not name theirs."""

    arch: Sequence[str] | None = option(
        None, Texts(),
        "Architecture of a checkpoint that does not name its own: one a model, in order or as A=NAME, B=NAME.",
        group=MODELS, metavar="[A=]NAME",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class SeedOptions(Options):
    """The seed of all random numbers."""

    seed: int = option(0, Count(least=0), "Seed of every random choice.", common=True)


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(Options):
    """The device to compute on."""

    device: str = option("auto", Device("auto", "cpu", "cuda", "mps"), "Where to compute.", common=True)


@dataclass(frozen=True, kw_only=True)
class TrustOptions(Options):
    """Whether code in files may run."""

    trust: bool = option(
        False, Switch(), "Allow code in files that come from somebody, such as pickled networks. This runs it.",
        common=True, recipe=NEVER, also=("--trust-pickle",),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ForceOptions(Options):
    """Whether earlier results may be replaced."""

    force: bool = option(False, Switch(), "Replace an earlier result of stitchc.", common=True, recipe=NEVER)


@dataclass(frozen=True, kw_only=True)
class OutOptions(Options):
    """The folder to write to."""

    out: str | Path | None = option(
        None,
        Text(),
        "Folder to write the artifact to.",
        group=OUTPUT,
        metavar="DIR",
        also=("-o",),
        recipe=NEVER,
        unset="hybrid, or the next free name; from Python, none",
    )


@dataclass(frozen=True, kw_only=True)
class DryRunOptions(Options):
    """Whether to stop before the work."""

    dry_run: bool = option(
        False, Switch(), "Stop when it is known what there is to be stitched, and write nothing.", group=OUTPUT,
        recipe=NEVER,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ArtifactOptions(
    OnnxOptions, OpsetOptions, SeedOptions, DeviceOptions, ArchOptions, HeadOptions, TraceOptions, OutOptions,
    TrustOptions, ForceOptions, DryRunOptions,
):  # fmt: skip
    """What every verb takes that makes an artifact of models: of which, where, and what is written."""


@dataclass(frozen=True, kw_only=True)
class CommonOptions(SeedOptions, DeviceOptions, TrustOptions, ForceOptions):
    """What every verb of the command line takes."""
