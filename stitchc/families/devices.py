"""Devices with their own budgets, as a file states them.

[watch]
params = "150k"
memory = "64KiB"

[phone]
latency = "4ms"
[phone.ms.resnet]          # milliseconds measured on the phone, from the input to some cuts and to the output
"layer2.0" = 1.7
output = 4.9
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..passes.data import metrics
from ..passes.data.budget import Limit, parse_quantity
from ..passes.data.errors import InputError, StitchError
from ..zoo import foreign
from ..zoo.foreign import Fault, either, mapping, number, table

_HINT = 'A device is a table with budgets, such as: [phone] macs = "40%"'
_NAMES = r"[\w./@ ()-]{1,200}"
_MS = mapping(mapping(number(0, 1e9), 10_000, keys=_NAMES), 26, keys=_NAMES)


@dataclass(frozen=True)
class Device:
    """limits: its budgets, each of which holds. times: milliseconds measured on it, by model and cut."""

    name: str
    limits: tuple[Limit, ...]
    times: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def read_devices(path: Path | str) -> tuple[Device, ...]:
    """The devices of a file, in its order.

    Raises:
        InputError: it cannot be read, or states no device, or what is no budget.
    """
    where = f"the devices {path}"
    try:
        with Path(path).open("rb") as file:
            stated = foreign.toml_of(file.read(2**20 + 1))
    except OSError as error:
        raise InputError(f"{where} cannot be read: {error.strerror}", _HINT) from error
    except Fault as error:
        raise InputError(f"{where}: {error}", _HINT) from error
    if not stated:
        raise InputError(f"{where} name no device", _HINT)
    return tuple(_device(name, one, f"{where}, {name}") for name, one in stated.items())


def _device(name: str, stated: Any, where: str) -> Device:
    known = {metric: either(_quantity, number(0, 1e30)) for metric in metrics.names()}
    read = foreign.read(table({**known, "ms": _MS}), stated, where, InputError, _HINT)
    times = read.pop("ms", {})
    try:
        limits = tuple(parse_quantity(str(value), metric) for metric, value in read.items())
    except StitchError as error:
        raise type(error)(f"{where}: {error.message}", error.hint) from error
    if not limits:
        raise InputError(f"{where} has no budget", _HINT)
    if any(metrics.get(limit.metric).combine == "measured" for limit in limits) and not times:
        raise InputError(
            f"{where} has a budget of latency and no times that were measured on it",
            "State the milliseconds of each model: [phone.ms] resnet20 = { output = 5.2 }.",
        )
    return Device(name, limits, times)


def _quantity(value: Any, place: str) -> str:
    if not isinstance(value, str) or len(value) > 100:
        raise Fault(place, "is no quantity")
    return value
