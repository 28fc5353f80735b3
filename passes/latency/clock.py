"""How long something takes: warmed up until it is stable, the median and the spread of many runs."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch

_STABLE = 0.03  # two rounds of warm-up whose medians differ by less than this share count as stable
_ROUND = 3  # runs in a round of warm-up
_WARM_SECONDS, _LEAST_RUNS, _SECONDS = 2.0, 11, 1.0
# Share of the median that quartiles lie apart by where something else was running: on a quiet machine it is under a
# tenth.
_BUSY = 0.25


@dataclass(frozen=True)
class Timing:
    """Milliseconds over `runs` runs: the median, and the range between the quartiles.

    device: by name ("cpu: AMD EPYC 7B13"). threads: of the processor. backend: what ran it.
    """

    median_ms: float
    iqr_ms: float
    runs: int
    device: str
    threads: int
    backend: str = "eager"

    @property
    def is_steady(self) -> bool:
        """Whether runs took about as long as one another: else the machine was busy, and the median says little."""
        return self.iqr_ms <= _BUSY * self.median_ms


class Clock:
    """Marks moments on a device, and says how many milliseconds lie between marks: events on a GPU, which runs on its
    own; elsewhere the time."""

    def __init__(self, device: str = "cpu"):
        self.cuda = torch.device(device).type == "cuda"

    def mark(self) -> Any:
        if not self.cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def between(self, marks: Sequence[Any]) -> list[float]:
        """Of each mark to the next."""
        if self.cuda:
            marks[-1].synchronize()
            return [a.elapsed_time(b) for a, b in pairwise(marks)]
        return [1e3 * (b - a) for a, b in pairwise(marks)]


def samples(run: Callable[[], Sequence[Any]], clock: Clock, seconds: float = _SECONDS) -> list[list[float]]:
    """Milliseconds between the marks that each run returns, run after run, once they are stable."""
    last, begun = float("inf"), time.perf_counter()
    while True:
        now = median(sum(clock.between(run())) for _ in range(_ROUND))
        if abs(now - last) <= _STABLE * now or time.perf_counter() - begun > _WARM_SECONDS:
            break
        last = now
    found: list[list[float]] = []
    begun = time.perf_counter()
    while len(found) < _LEAST_RUNS or time.perf_counter() - begun < seconds:
        found.append(clock.between(run()))
    return found


def measure(
    network: Callable[[Any], Any], image: Any, *, device: str = "cpu", backend: str = "eager", seconds: float = _SECONDS
) -> Timing:
    """How long a network takes for one image."""
    clock = Clock(device)

    def run() -> list[Any]:
        start = clock.mark()
        network(image)
        return [start, clock.mark()]

    with torch.inference_mode():
        return timing([sum(row) for row in samples(run, clock, seconds)], device, backend)


def timing(found: Sequence[float], device: str, backend: str = "eager") -> Timing:
    """What runs of so many milliseconds say."""
    low, middle, high = quantiles(found, n=4)
    return Timing(middle, high - low, len(found), device_name(device), torch.get_num_threads(), backend)


def device_name(device: str = "cpu") -> str:
    """The name of a device, with the processor model: "cpu: AMD EPYC 7B13"."""
    kind = torch.device(device).type
    if kind == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    if kind != "cpu":
        return kind
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return f"cpu: {named or platform.processor() or platform.machine()}"
