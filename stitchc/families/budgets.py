"""The budgets that members of a family are wanted for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..passes.data import metrics
from ..passes.data.errors import QuantityError
from .devices import Device
from .options import MEMBERS

if TYPE_CHECKING:
    from ..passes.data.budget import Limit
    from ..passes.data.chain import Chain
    from ..passes.data.plan import Plan
    from .options import FamilyOptions

#: Of a front, how many budgets are looked at for each member.
FINER = 3
#: A front begins at this share of the cheapest model.
LOWEST = 1 / 3


@dataclass(frozen=True)
class Wanted:
    """budgets: in the metrics' own units; a latency is that of one device, under a name of its own (`latency_on`).
    metric: that networks are compared by. members: for how many budgets these stand. most: members at most beside the
    models, None for any number. devices: of each budget the device that it is of, None where it is of none; empty for a
    grid along the front, that nobody named. timed: milliseconds of a chain on each device that has a table of times."""

    budgets: tuple[Mapping[str, float], ...]
    metric: str
    members: int
    most: int | None
    devices: tuple[str | None, ...] = ()
    timed: Mapping[str, Callable[[Chain], float]] = field(default_factory=dict)


def latency_on(device: str) -> str:
    """The name of a latency that holds on one device alone."""
    return f"latency on {device}"


def budgets_of(plan: Plan, options: FamilyOptions, devices: Sequence[Device] = ()) -> Wanted:
    """The budgets that were named, and those of devices; without, some at even ratios, from a third of the cheapest
    model to the dearest.

    Raises:
        InputError: times of a device that are of no model, or not of all. QuantityError: a metric that chains are not
        priced in, or operators that it has no formula for.
    """
    stated = [(None, limits) for limits in options.budget] + [(device, device.limits) for device in devices]
    found = tuple(_amounts(plan, limits, device) for device, limits in stated)
    metric = next((name for budget in found for name in budget if _adds_up(name)), _along(options, bool(found)))
    _check(plan, [metric, *(name for budget in found or ({options.metric: 0.0},) for name in budget)], options)
    if found:
        names = tuple(device.name if device else None for device, _ in stated)
        return Wanted(found, metric, len(found), options.members, names, dict(_timed(plan, devices, options)))
    costs = [price[metric] for price in plan.prices]
    members = options.members or MEMBERS
    count, low, high = FINER * members, LOWEST * min(costs), max(costs)
    grid = tuple({metric: low * (high / low) ** (k / (count - 1))} for k in range(count))
    return Wanted(grid, metric, members, members)


def _along(options: FamilyOptions, named: bool) -> str:
    """The metric that networks are compared by where no budget has one that adds up along a chain. named: whether there
    are budgets.

    Raises:
        QuantityError: the front is to be along one that does not add up.
    """
    if _adds_up(options.metric):
        return options.metric
    if not named and options.metric != "latency":
        raise QuantityError(
            f"{options.metric} does not add up along a chain, so no front is searched for along it",
            f"Take `metric='macs'` or `metric='params'`, or name the budgets: `budget='{options.metric}=64KiB'`.",
        )
    return "macs"


def _amounts(plan: Plan, limits: Sequence[Limit], device: Device | None) -> dict[str, float]:
    return {
        latency_on(device.name) if device and x.metric == "latency" else x.metric: x.resolve(plan.prices)
        for x in limits
    }  # fmt: skip


def _adds_up(name: str) -> bool:
    from ..passes.search.pool import columns

    return name in columns()


def _check(plan: Plan, names: Sequence[str], options: FamilyOptions) -> None:
    from ..passes.select import refuse_uncounted

    if "latency" in names:
        raise QuantityError(
            "a family is not timed, so it holds no budget of latency but that of a device",
            "State it in a file of devices, with times that were measured there: `devices='devices.toml'`. Or let the "
            "family choose at run time, by `fit_latency`.",
        )
    for name in names:
        if name in metrics.names() and not options.allow_uncounted:
            refuse_uncounted(plan, {name: 1.0})


def _timed(plan: Plan, devices: Sequence[Device], options: FamilyOptions):
    from ..passes.family.timing import Times

    for device in devices:
        if device.times:
            times = Times.of(plan, device.times, f"the devices {options.devices}, {device.name}")
            yield latency_on(device.name), lambda chain, times=times: times.of_chain(plan, chain)
