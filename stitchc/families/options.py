"""The options of `stitchc family`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..passes.data.budget import Limit, as_limits, parse_budget
from ..passes.data.errors import InputError
from ..passes.data.option_kinds import Choice, Count, Kind, Number, Share, Text
from ..passes.data.options import option, with_default
from ..passes.data.pass_options import (
    BUDGET,
    FAMILY,
    RIVALS,
    HealOptions,
    MemoryOptions,
    RankOptions,
    UncountedOptions,
)
from ..searches.options import SearchOptions
from ..shared_options import (
    ArtifactOptions,
    BudgetOptions,
    DataOptions,
    MeasuringOptions,
    ProbeOptions,
)

#: Members along the front where no budgets are named.
MEMBERS = 8
#: Images: up to 512 to fit and heal on, and the others to tell members apart that differ by little.
PROBE_IMAGES = 1536
#: What bytes as many as those of all models together must gain: in score, summed over the budgets, or in nats.
PRICE = 0.1


@dataclass(frozen=True)
class Budgets(Kind):
    """Several budgets, each of one limit or more with commas between: `35%`, or `macs=35%,params=1M`."""

    several: ClassVar[bool] = True

    def read(self, name: str, value: Any) -> Any:
        if isinstance(value, str | Mapping | Limit):
            return (value,)
        if isinstance(value, Iterable):
            return tuple(value)
        raise InputError(f"`{name}` is {value!r}", "Write each budget as text, such as '35%' or 'macs=35%,params=1M'.")

    def plain(self, value: Iterable[Sequence[Limit]]) -> list[str]:
        return [",".join(limit.text() for limit in limits) for limits in value]


@dataclass(frozen=True, kw_only=True)
class FamilyOptions(
    UncountedOptions, DataOptions, MeasuringOptions, HealOptions, RankOptions, MemoryOptions, ProbeOptions,
    ArtifactOptions,
):  # fmt: skip
    """Of `stitchc.family`. budget is kept as one tuple of `Limit`s for each budget, whatever form it was given in.

    Raises:
        QuantityError: a quantity, a unit or a metric that means nothing.
    """

    budget: Any = option(
        None, Budgets(),
        "A budget that a member is wanted for, such as 35% (of the larger model), 12M, or macs=35%,params=1M, where "
        "both hold. Once for each.",
        group=BUDGET, metavar="[METRIC=]Q", unset="along the front between the models",
    )  # fmt: skip
    metric: str = with_default(
        BudgetOptions, "metric", "macs", help="Metric of budgets that do not name their own, and of the front."
    )
    rank: str | None = with_default(  # type: ignore[assignment]  # what it is without depends on the images
        RankOptions, "rank", None, unset="cascade",
    )  # fmt: skip
    probe_images: int = with_default(ProbeOptions, "probe_images", PROBE_IMAGES)
    members: int | None = option(
        None, Count(least=1), "Most members beside the models.", group=FAMILY,
        unset=f"one for each budget; {MEMBERS} along the front",
    )  # fmt: skip
    share: str = option(
        "auto", Choice("all", "healed", "auto"),
        "What members share: all weights of the models, so that only adapters are their own (all); nothing that "
        "healing changes, each being healed as if it were alone (healed); or whatever is not worth its bytes (auto).",
        group=FAMILY,
    )  # fmt: skip
    price: float = option(
        PRICE, Number(least=0),
        "What bytes as many as those of all models together must gain in score, or of what healing changes in nats of "
        "divergence. A higher price makes a smaller file.",
        group=FAMILY, metavar="P",
    )  # fmt: skip
    extra: float | None = option(
        None,
        Share(most=100.0),
        "Most bytes that members add to the weights files of all models, as a share of these: 15%.",
        group=FAMILY, unset="as many as are worth it",
    )  # fmt: skip
    fragments: int | None = with_default(SearchOptions, "fragments", None, group=FAMILY, unset="3")
    repeats: str | None = with_default(SearchOptions, "repeats", None, group=FAMILY, unset="forward")
    min_share: float | None = with_default(SearchOptions, "min_share", None, group=FAMILY, unset="10%")
    adapters: Sequence[str] | None = with_default(
        SearchOptions, "adapters", None, group=FAMILY, unset="identity, linear and conv3x3"
    )
    rule: str | None = with_default(SearchOptions, "rule", None, unset="single-tensor")
    similarity: str | None = with_default(SearchOptions, "similarity", None, unset="cka-unbiased")
    rivals: str = option(
        "auto", Choice("auto", "none"),
        "Whether each model on smaller images is measured beside the members.", group=RIVALS,
    )  # fmt: skip
    devices: str | None = option(
        None, Text(), "File of devices with their own budgets; which member serves which is said.",
        group=FAMILY, metavar="FILE", also=("--for",), unset="none",
    )  # fmt: skip
    dry_run: bool = with_default(
        ArtifactOptions, "dry_run", False, help="Stop when the pool of fragments is known, and write nothing."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.budget or ()
        object.__setattr__(self, "budget", tuple(self._read(words) for words in given))

    def _read(self, words: Any) -> tuple[Limit, ...]:
        if isinstance(words, str):
            return tuple(parse_budget(words.split(","), self.metric).values())
        return as_limits([words] if isinstance(words, Limit) else words)
