"""The default compile of two networks on the processor, with one thread and with two, and on a graphics card, by stage.

    python benchmarks/devices.py A B --data DATA [--evaluate DATA] [--budget 60%] [--on 1,2,cuda] [--out devices.jsonl]

Each compile is a process of its own, one after the other; a number is how many threads of the processor it has. A line
of JSON is written for each as soon as it is done, and a Markdown table at the end: seconds of every stage, of the whole
(loading, measuring and writing included), what was chosen, and what it reached.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

STAGES = (
    "trace", "partition", "cost", "move", "similarity", "select", "rank", "stitch", "fit", "heal", "rivals", "codegen",
    "onnx", "verify",
)  # fmt: skip


def compiled(on: str, given: argparse.Namespace) -> dict[str, object]:
    """One compile: what its plan and its command line say."""
    device, threads = ("cpu", on) if on.isdecimal() else (on, "2")
    with TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "stitchc", "compile", given.a, given.b, "--data", given.data, "--device", device]
        words += ["--budget", given.budget, "--json", "--quiet", "-o", f"{folder}/hybrid", *given.more]
        words += ["--evaluate", given.evaluate] if given.evaluate else []
        start = time.perf_counter()
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=given.seconds,
            env=os.environ | {"OMP_NUM_THREADS": threads, "STITCHC_CACHE_DIR": f"{folder}/cache"},
        )  # fmt: skip
    record = {"on": on, "seconds": round(time.perf_counter() - start, 1), "status": done.returncode}
    try:
        document = json.loads(done.stdout)
    except ValueError:
        return record | {"error": (done.stderr or done.stdout)[-2000:]}
    if "error" in document:
        return record | {"error": document["error"]["message"], "stderr": done.stderr[-1500:]}
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


def table(records: list[dict]) -> str:
    """A row a stage, a column a compile."""
    done = [one for one in records if "stages" in one]
    names = [name for name in STAGES if any(name in one["stages"] for one in done)]
    names += sorted({name for one in done for name in one["stages"]} - set(names))
    heads = [f"{one['on']} thread{'s' * (one['on'] != '1')}" if one["on"].isdecimal() else one["on"] for one in done]
    lines = ["| stage, s | " + " | ".join(heads) + " |", "|---|" + "---|" * len(done)]
    lines += [f"| {name} | " + " | ".join(f"{one['stages'].get(name, 0):.1f}" for one in done) + " |" for name in names]
    rest = [one["seconds"] - sum(one["stages"].values()) for one in done]
    lines += ["| loading, measuring, writing | " + " | ".join(f"{one:.1f}" for one in rest) + " |"]
    lines += ["| **whole** | " + " | ".join(f"**{one['seconds']:.1f}**" for one in done) + " |"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="The default compile of two networks, by stage and device.")
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--data", required=True)
    parser.add_argument("--evaluate")
    parser.add_argument("--budget", default="60%")
    parser.add_argument("--on", default="1,2", help="numbers of threads, and devices: 1,2,cuda")
    parser.add_argument("--seconds", type=float, default=1800, help="after which a compile is given up")
    parser.add_argument("--out", type=Path, default=Path("devices.jsonl"))
    given, given.more = parser.parse_known_args()
    records = []
    for on in given.on.split(","):
        try:
            record = compiled(on, given)
        except subprocess.TimeoutExpired:
            record = {"on": on, "error": f"not done in {given.seconds:.0f} s"}
        records.append(record)
        with given.out.open("a") as lines:
            lines.write(json.dumps({"a": given.a, "b": given.b} | record) + "\n")
        print(json.dumps(record), flush=True)
    print(table(records))


if __name__ == "__main__":
    main()
