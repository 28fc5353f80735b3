"""The default compile of two networks on the processor, with one thread and with two, idle and beside a busy process,
and on a graphics card, by stage.

    python benchmarks/devices.py A B --data DATA [--evaluate DATA] [--budget 60%] [--on 1,2,cuda] [--busy 0,1]

Each compile is a process of its own, with a cache and an output folder of its own, one after the other; a number is how
many threads of the processor it has; beside a card it has all. A busy process computes in Python and takes a core
whenever it gets one; `--cores 2` keeps all of them to the first two cores, as on a machine that has no more. A line of
JSON is added to `--out` for each compile as soon as it is done, and a Markdown table is printed at the end: seconds of
every stage, of the whole (loading, measuring and writing included), of the processor, what was chosen, and what it
reached.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

STAGES = (
    "trace", "partition", "cost", "move", "similarity", "select", "rank", "stitch", "fit", "heal", "rivals", "codegen",
    "onnx", "verify",
)  # fmt: skip
MiB = 1 << 20


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that never wait."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def compiled(on: str, others: int, given: argparse.Namespace) -> dict[str, object]:
    """One compile: what its plan and its command line say."""
    device, threads = ("cpu", {"OMP_NUM_THREADS": on}) if on.isdecimal() else (on, {})
    with TemporaryDirectory() as folder, busy(others), Path(folder, "out").open("w+") as out:
        words = [sys.executable, "-m", "stitchc", "compile", given.a, given.b, "--data", given.data, "--device", device]
        words += ["--budget", given.budget, "--json", "--quiet", "-o", f"{folder}/hybrid", *given.more]
        words += ["--evaluate", given.evaluate] if given.evaluate else []
        env = os.environ | threads | {"STITCHC_CACHE_DIR": f"{folder}/cache"}
        start = time.perf_counter()
        process = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        record = {
            "on": on, "busy": others, "seconds": round(time.perf_counter() - start, 1),
            "processor": round(usage.ru_utime + usage.ru_stime, 1), "peak_mib": usage.ru_maxrss * 1024 // MiB,
            "status": os.waitstatus_to_exitcode(status),
        }  # fmt: skip
        out.seek(0)
        said = out.read()
    try:
        document = json.loads(said)
    except ValueError:
        return record | {"error": said[-2000:]}
    if "error" in document:
        return record | {"error": document["error"]["message"]}
    accuracy = document.get("accuracy") or {}
    return record | {
        "stages": {name: round(value, 2) for name, value in document["seconds"].items()},
        "chain": [_part(part) for part in document["chain"]],
        "macs": document["cost"]["macs"], "top1": accuracy.get("top1"), "verified": document["verified"],
        "recommended": document.get("recommended"),
    }  # fmt: skip


def _part(part: dict) -> str:
    adapter = part.get("adapter")
    return adapter["name"] if adapter else f"{part.get('model')}:{part.get('start') or ''}..{part.get('end') or ''}"


def _head(one: dict) -> str:
    place = f"{one['on']} thread{'s' * (one['on'] != '1')}" if one["on"].isdecimal() else one["on"]
    return place + f", {one['busy']} busy" * bool(one["busy"])


def table(records: list[dict]) -> str:
    """A row a stage, a column a compile."""
    done = [one for one in records if "stages" in one]
    names = [name for name in STAGES if any(name in one["stages"] for one in done)]
    names += sorted({name for one in done for name in one["stages"]} - set(names))
    lines = ["| stage, s | " + " | ".join(map(_head, done)) + " |", "|---|" + "---:|" * len(done)]
    lines += [f"| {name} | " + " | ".join(f"{one['stages'].get(name, 0):.1f}" for one in done) + " |" for name in names]
    rest = [one["seconds"] - sum(one["stages"].values()) for one in done]
    lines += ["| loading, measuring, writing | " + " | ".join(f"{one:.1f}" for one in rest) + " |"]
    lines += ["| **whole** | " + " | ".join(f"**{one['seconds']:.1f}**" for one in done) + " |"]
    lines += ["| of the processor | " + " | ".join(f"{one['processor']:.1f}" for one in done) + " |"]
    lines += ["| peak memory, MiB | " + " | ".join(f"{one['peak_mib']}" for one in done) + " |"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="The default compile of two networks, by stage and device.")
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--data", required=True)
    parser.add_argument("--evaluate")
    parser.add_argument("--budget", default="60%")
    parser.add_argument("--on", default="1,2", help="numbers of threads, and devices: 1,2,cuda")
    parser.add_argument("--busy", default="0", help="how many busy processes beside it: 0,1")
    parser.add_argument("--cores", type=int, help="keep everything to the first so many cores")
    parser.add_argument("--out", type=Path, default=Path("devices.jsonl"))
    given, given.more = parser.parse_known_args()
    if given.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: given.cores])
    records = []
    for others in map(int, given.busy.split(",")):
        for on in given.on.split(","):
            records.append(compiled(on, others, given))
            with given.out.open("a") as lines:
                lines.write(json.dumps({"a": given.a, "b": given.b} | records[-1]) + "\n")
            print(json.dumps(records[-1]), flush=True)
    print(table(records))


if __name__ == "__main__":
    main()
