"""The options of the verbs, a record each: signatures, recipes and flags follow from them.

A record lists what it takes over by its bases, in the order in which help and recipes state them. Those of the searches
and of families stand with them, in `searches/options.py` and `families/options.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .passes.data.option_kinds import Switch, Text
from .passes.data.options import option, with_default
from .passes.data.pass_options import (
    BackendOptions,
    ChainOptions,
    ConfidenceOptions,
    CutOptions,
    DirectionOptions,
    HealOptions,
    MemoryOptions,
    PartitionOptions,
    PolishOptions,
    RankOptions,
    ShareOptions,
    TraceOptions,
    UncountedOptions,
)
from .shared_options import (
    AdapterOptions,
    ArchOptions,
    ArtifactOptions,
    BudgetOptions,
    DataOptions,
    DeviceOptions,
    ForceOptions,
    InputSizeOptions,
    MeasuringOptions,
    OutOptions,
    ProbeOptions,
    RecalibrateOptions,
    RivalOptions,
    SeedOptions,
    SimilarityOptions,
    TrustOptions,
)


@dataclass(frozen=True, kw_only=True)
class InspectOptions(PartitionOptions, SeedOptions, ArchOptions, TraceOptions, TrustOptions):
    """Of `stitchc.inspect`."""


@dataclass(frozen=True, kw_only=True)
class CostOptions(SeedOptions, ArchOptions, TraceOptions, TrustOptions):
    """Of `stitchc.cost`."""

    strict: bool = option(False, Switch(), "Fail if the model calls an operator whose cost is not known.")


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(DataOptions, DeviceOptions, ArchOptions, TrustOptions):
    """Of `stitchc.evaluate`."""


@dataclass(frozen=True, kw_only=True)
class CompareOptions(
    BudgetOptions, BackendOptions, UncountedOptions, DataOptions, DirectionOptions, AdapterOptions, RankOptions,
    ShareOptions, SimilarityOptions, ConfidenceOptions, MemoryOptions, PartitionOptions, ProbeOptions, SeedOptions,
    DeviceOptions, ArchOptions, TraceOptions, TrustOptions,
):  # fmt: skip
    """Of `stitchc.compare`."""


@dataclass(frozen=True, kw_only=True)
class CompileOptions(
    BudgetOptions, BackendOptions, UncountedOptions, DataOptions, MeasuringOptions, DirectionOptions, InputSizeOptions,
    AdapterOptions, ChainOptions, HealOptions, PolishOptions, RecalibrateOptions, RankOptions, ShareOptions,
    SimilarityOptions, MemoryOptions, CutOptions, ProbeOptions, RivalOptions, ArtifactOptions,
):  # fmt: skip
    """Of `stitchc.compile`. The order of the bases is that of a recipe."""


@dataclass(frozen=True, kw_only=True)
class DemoOptions(OutOptions, SeedOptions, DeviceOptions, TrustOptions, ForceOptions):
    """Of `stitchc demo`."""

    out: str | Path = with_default(OutOptions, "out", "demo")


@dataclass(frozen=True, kw_only=True)
class PackOptions(ArchOptions, TrustOptions, ForceOptions):
    """Of `stitchc.zoo.pack`."""

    out: str | None = option(None, Text(), "File to write: .pt, .pth or .safetensors.", metavar="FILE", also=("-o",))
