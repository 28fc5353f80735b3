"""Work of a night, in one process: does every run end well, and does nothing pile up?

    python benchmarks/overnight.py compile --count 300
    python benchmarks/overnight.py check --count 200

`compile`: pairs of the digits networks, budgets and options at random. Each must end in an artifact that `verify`
accepts, or in a clear infeasible. `check`: `stitchc zoo check` of digits networks, while processes of its own are
killed at random. A killed one must be told as killed, all others must pass every step. After each run the memory of
the process, its open files, its threads and what lies in the folder for temporary files are noted. Prints one JSON
document; exit status 1 if a run ended otherwise, or a file stayed open or behind. Linux only.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import multiprocessing
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import stitchc
from stitchc.passes.data.errors import CutError, Infeasible, QuantityError

NETWORKS = ("digits/resnet", "digits/plain", "digits/vit", "digits/convnext", "digits/mixer")
ADAPTERS = (
    "auto", "linear", "linear-relu", "conv3x3", "conv3x3?resize=before", "conv5x5-relu", "bottleneck", "transformer",
    "fused",
)  # fmt: skip
WARM = 20  # runs until caches are full and libraries are loaded


def drawn(rng: random.Random) -> tuple[list[str], dict[str, Any]]:
    """Models and options of one compile."""
    budgets: tuple[Callable[[], Any], ...] = (
        lambda: None,
        lambda: {rng.choice(("flops", "macs", "params", "size", "memory")): f"{rng.randint(10, 130)}%"},
        lambda: {"params": f"{rng.randint(20, 120)}%", "macs": f"{rng.randint(20, 120)}%"},
        lambda: {"latency": f"{rng.choice((0.05, 1, 20))}ms"},
    )
    options: dict[str, Any] = {
        "budget": rng.choices(budgets, (2, 6, 3, 1))[0](),
        "direction": rng.choice(("slow-to-fast", "fast-to-slow", "both")),
        "adapter": rng.choice(ADAPTERS),
        "rank": rng.choices(("cka", "fit", "kl", "cascade"), (6, 2, 1, 1))[0],
        "similarity": rng.choice(("cka-unbiased", "cka", "cka-pooled", "rbf-cka", "procrustes")),
        "heal": rng.choice(("none", "adapter", "back", "all")),
        "recalibrate": rng.random() < 0.2,
        "probe_images": rng.choice((16, 32, 64)),
        "rivals": rng.choices(("none", "auto"), (5, 1))[0],
        "onnx": rng.random() < 0.3,
        "frontend": rng.choices(("auto", "export"), (5, 1))[0],
        "seed": rng.randrange(1000),
    }
    if options["rank"] != "cka":
        options["effort"] = "low"
    if options["heal"] != "none":
        options["heal_sweeps"] = rng.choice((1, 2))
    models = rng.sample(NETWORKS, rng.choices((1, 2), (1, 5))[0])
    return models, options


def compiled(rng: random.Random, scratch: Path) -> tuple[str, str]:
    """How one compile ended, and what was asked for."""
    models, options = drawn(rng)
    out = scratch / "artifact"
    said = f"{' '.join(models)} {options}"
    try:
        stitchc.compile(*models, **options, evaluate="digits?split=test&limit=50", out=out, force=True)
        found = stitchc.verify(out)
        return ("verified" if found.argmax_agreement == 1.0 else f"agrees on {found.argmax_agreement}"), said
    except Infeasible as error:
        return ("infeasible" if error.hint and error.nearest else f"unclear: {error.message}"), said
    except (CutError, QuantityError) as error:  # an adapter that none of the pairs of cuts can take
        return ("refused" if error.hint else f"unclear: {error.message}"), f"{said}: {error.message}"
    except Exception as error:
        shutil.rmtree(out, ignore_errors=True)  # the next one is to be judged for itself
        return f"{type(error).__name__}: {error}", said


@contextmanager
def killing(rng: random.Random, mean_seconds: float) -> Iterator[list[int]]:
    """While entered, one of the processes that this one has started is killed now and then. Yields their ids."""
    killed: list[int] = []
    over = threading.Event()

    def work() -> None:
        while not over.wait(rng.expovariate(1 / mean_seconds)):
            running = [child.pid for child in multiprocessing.active_children() if child.pid]
            if running:
                killed.append(rng.choice(running))
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def state(scratch: Path) -> dict[str, int]:
    """What this process holds now: KiB of memory, descriptors, threads, and files left in its temporary folder.

    Memory that is free, and that the allocator only has not given back, is given back first: how much of it there is
    depends on the largest run so far, and not on their number.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)
    status = Path("/proc/self/status").read_text()
    kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    left = len(list((scratch / "tmp").iterdir())) + len(list(scratch.glob(".artifact*")))
    return {
        "kib": kib, "descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "threads": threading.active_count(), "left": left,
    }  # fmt: skip


def compiles(count: int, rng: random.Random, scratch: Path) -> tuple[Counter[str], list[dict[str, int]], list[str]]:
    ends: Counter[str] = Counter()
    states, wrong = [], []
    for number in range(count):
        end, said = compiled(rng, scratch)
        ends[end] += 1
        if end not in ("verified", "infeasible", "refused"):
            wrong.append(f"run {number}: {end}: {said}")
        states.append(state(scratch))
        print(f"[{number + 1}/{count}] {end[:60]}  {states[-1]}  {said[:200]}", file=sys.stderr, flush=True)
    return ends, states, wrong


def checks(count: int, rng: random.Random, scratch: Path) -> tuple[Counter[str], list[dict[str, int]], list[str]]:
    from stitchc.check.record import STEPS, read
    from stitchc.check.run import check

    models = [f"{NETWORKS[i % len(NETWORKS)]}?name=n{i}" for i in range(count)]
    ends: Counter[str] = Counter()
    states, wrong = [], []
    record = scratch / "record.jsonl"
    with killing(rng, 15) as killed:
        for found in check(models, out=record, jobs=1):
            told = "SIGKILL" in (found.reason or "")
            end = "killed" if told else "passed" if found.passed(STEPS[-1]) else f"{found.failed}: {found.reason}"
            ends[end] += 1
            if end not in ("passed", "killed"):
                wrong.append(f"{found.model}: {end}")
            states.append(state(scratch))
            print(f"[{len(states)}/{count}] {end[:60]}  {states[-1]}", file=sys.stderr, flush=True)
    if set(read(record).models) != set(models):
        wrong.append("the record does not hold every model")
    if ends["killed"] > len(killed):
        wrong.append(f"{len(killed)} were killed, and {ends['killed']} told as killed")
    if multiprocessing.active_children():
        wrong.append("processes are left")
    return ends, states, wrong


def summary(ends: Counter[str], states: list[dict[str, int]], wrong: list[str], seconds: float) -> dict[str, Any]:
    """The figures. Memory is compared by medians of a tenth of the runs: after the first `WARM`, and at the end."""
    warm = states[min(WARM, len(states) // 2) :]
    tenth = max(1, len(warm) // 10)
    first, last = (statistics.median(s["kib"] for s in part) for part in (warm[:tenth], warm[-tenth:]))
    for key in ("descriptors", "threads", "left"):
        if warm[-1][key] > warm[0][key]:
            wrong.append(f"{key}: {warm[0][key]} after the first runs, {warm[-1][key]} at the end")
    return {
        "runs": len(states), "ends": dict(ends), "seconds": round(seconds), "mib_warm": round(first / 1024),
        "mib_end": round(last / 1024), "growth": round(last / first - 1, 4), "descriptors": states[-1]["descriptors"],
        "threads": states[-1]["threads"], "left": states[-1]["left"], "wrong": wrong,
    }  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", choices=("compile", "check"))
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="overnight-") as folder:
        scratch = Path(folder)
        (scratch / "tmp").mkdir()
        tempfile.tempdir = str(scratch / "tmp")
        os.environ["STITCHC_CACHE_DIR"] = str(scratch / "cache")
        start = time.perf_counter()
        work = compiles if given.work == "compile" else checks
        ends, states, wrong = work(given.count, random.Random(given.seed), scratch)
        found = summary(ends, states, wrong, time.perf_counter() - start)
    print(json.dumps(found, indent=1))
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
