"""How long a family takes to switch, what switching leaves in memory, and whether threads that switch ever mix members.

    python benchmarks/switching.py DIR [--switches 10000] [--threads 4] [--seconds 10]

DIR is a folder that `stitchc family` wrote; its model.py runs. Prints the milliseconds of each member, one image and
one thread of the processor; the microseconds of a switch by name and by budget, alone and while other threads compute;
what so many switches add to the process's memory, and what of it model.py holds; and, of threads that each draw a
member at random and run whichever is the current one then, how many outputs are no member's own.
"""

from __future__ import annotations

import argparse
import gc
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stitchc.passes.emit.load import load_module
from stitchc.passes.latency.clock import device_name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("family", type=Path)
    parser.add_argument("--switches", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=10.0, help="that the threads run [10]")
    given = parser.parse_args()
    torch.set_num_threads(1)
    family: Any = load_module(given.family)
    print(f"{device_name()}, 1 thread, torch {torch.__version__}; {len(family.members)} members\n")
    show_latency(family)
    image = torch.randn(1, *family.input_size, generator=torch.Generator().manual_seed(0))
    ways = switches(family)
    for name, switch in ways.items():
        show_times(f"switch {name}", timed(switch, given.switches))
    with computing(family, image, given.threads - 1):
        for name, switch in ways.items():
            show_times(f"switch {name}, {given.threads - 1} threads computing", timed(switch, given.switches))
    for name, switch in ways.items():
        show_memory(name, switch, given.switches)
    show_threads(family, image, given.threads, given.seconds)


def show_latency(family: Any) -> None:
    largest = family.fit_latency(float("inf"))
    for name, ms in family.latency_ms.items():
        print(f"{name:<36} {family.members[name].macs / 1e6:>8.1f} M multiply-adds {ms:>8.2f} ms")
    print(f"within any time: {largest.name}\n")


def switches(family: Any) -> dict[str, Callable[[int], object]]:
    """Ways to switch, each to another member at every call."""
    names = list(family.members)
    macs = [member.macs for member in family.members.values()]
    return {
        "by name": lambda k: family.set_member(names[k % len(names)]),
        "by budget": lambda k: family.set_budget(macs=macs[k % len(macs)], hysteresis=0.05),
    }


def timed(switch: Callable[[int], object], count: int) -> np.ndarray:
    """Microseconds of each call: float64 [count]."""
    found = np.empty(count)
    for k in range(count):
        begun = time.perf_counter()
        switch(k)
        found[k] = time.perf_counter() - begun
    return 1e6 * found


def show_times(what: str, took: np.ndarray) -> None:
    median, most = np.median(took), np.quantile(took, 0.999)
    print(f"{what:<42} median {median:>6.1f} us, 99.9 % within {most:>8.1f}, largest {took.max():>8.1f}")


@contextmanager
def computing(family: Any, image: torch.Tensor, threads: int) -> Iterator[None]:
    """While so many threads run the current member over and over."""
    over = threading.Event()

    def work() -> None:
        with torch.inference_mode():
            while not over.is_set():
                family(image)

    started = [threading.Thread(target=work) for _ in range(threads)]
    for thread in started:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in started:
            thread.join()


def show_memory(name: str, switch: Callable[[int], object], count: int) -> None:
    for k in range(100):
        switch(k)
    gc.collect()
    resident = resident_bytes()
    for k in range(count):
        switch(k)
    gc.collect()
    grown = resident_bytes() - resident
    tracemalloc.start()
    for k in range(100):  # what it keeps to use again was made before it was watched
        switch(k)
    before = tracemalloc.take_snapshot()
    for k in range(count):
        switch(k)
    gc.collect()
    found = tracemalloc.take_snapshot().compare_to(before, "filename")
    tracemalloc.stop()
    held = sum(max(0, one.size_diff) for one in found if one.traceback[0].filename.endswith("model.py"))
    print(f"{count} switches {name}: the process grew by {grown} bytes; model.py holds {held} bytes more")


def resident_bytes() -> int:
    """Of this process, on Linux."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def show_threads(family: Any, image: torch.Tensor, threads: int, seconds: float) -> None:
    with torch.inference_mode():
        own = {family.member(name)(image).numpy().tobytes(): name for name in family.members}
    names, until = list(family.members), time.monotonic() + seconds
    ran: list[Counter[str | None]] = [Counter() for _ in range(threads)]

    def work(which: int) -> None:
        draw = np.random.default_rng(which)
        while time.monotonic() < until:
            family.set_member(names[draw.integers(len(names))])
            with torch.inference_mode():
                ran[which][own.get(family(image).numpy().tobytes())] += 1

    started = [threading.Thread(target=work, args=(which,)) for which in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    total = sum(ran, Counter())
    wrong = total.pop(None, 0)
    each = ", ".join(f"{name} {total[name]}" for name in names)
    print(f"{threads} threads in {seconds:g} s: {each}; outputs that are no member's own: {wrong}")


if __name__ == "__main__":
    main()
