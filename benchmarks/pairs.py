"""Stitches pairs of networks drawn at random over families and directions, and writes what came of each.

    python benchmarks/pairs.py --pairs 40 --seed 0 --out docs/pairs.jsonl --table docs/pairs.md

The networks are those of docs/coverage.jsonl up to 30 M parameters: torchvision's, and one of every timm module.
Without weights and on noise, what is tested is that everything can be joined to everything, emitted and verified,
ONNX included. Each pair is compiled by the command line in a process of its own; those with a line are passed over. The
record's first line names the networks that pairs are drawn from.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
SEEN = ROOT / "docs" / "coverage.jsonl"
DIRECTIONS = ("slow-to-fast", "fast-to-slow")


def drawn(names: list[str], count: int, seed: int) -> list[tuple[str, str, str]]:
    """(A, B, direction), the same for the same networks and seed."""
    generator = random.Random(seed)
    return [(*generator.sample(names, 2), generator.choice(DIRECTIONS)) for _ in range(count)]


def networks(largest: float) -> list[str]:
    """Torchvision's networks and the smallest of every family of timm, by name."""
    from stitchc.zoo.families import family

    smallest: dict[str, tuple[float, str]] = {}
    for line in SEEN.read_text().splitlines():
        record = json.loads(line)
        if not record.get("params") or record["params"] > largest:
            continue
        key = family(record["model"]) if record["model"].startswith("timm/") else record["model"]
        smallest[key] = min(smallest.get(key, (float("inf"), "")), (record["params"], record["model"]))
    return sorted(name for _, name in smallest.values())


def stitched(a: str, b: str, direction: str, folder: Path) -> dict[str, object]:
    """One pair, compiled; what the table tells of it."""
    words = [f"{name}?weights=none" for name in (a, b)]
    options = ["--data", "random?limit=16", "--direction", direction, "--json", "--quiet", "-o", str(folder)]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "stitchc", "compile", *words, *options],
        capture_output=True,
        text=True,
        env=dict(os.environ, OMP_NUM_THREADS="1"),
    )
    record: dict[str, object] = {"a": a, "b": b, "direction": direction, "status": done.returncode}
    record["seconds"] = round(time.perf_counter() - start, 1)
    document = json.loads(done.stdout)
    if "error" in document:
        return record | {"reason": document["error"]["message"].replace(str(folder), "the folder")}
    front, joint, back = document["chain"]
    adapter = joint["adapter"]
    return record | {
        "front": front["model"],
        "cut": front["to"],
        "back": back["model"],
        "enters": back["from"],
        "adapter": adapter["name"],
        "layouts": f"{adapter['from_layout']} to {adapter['to_layout']}",
        "lines": len((folder / "model.py").read_text().splitlines()),
        "verified": document["verified"],
    }


def page(records: list[dict], seed: int) -> str:
    from stitchc.env import versions

    known = versions()
    stated = ", ".join(f"{name} {known[name]}" for name in ("stitchc", "torch", "torchvision", "timm", "onnxruntime"))
    good = [r for r in records if r["status"] == 0]
    lines = sorted(r["lines"] for r in good)
    text = [
        "# Pairs at random",
        "",
        f"{len(good)} of {len(records)} pairs compile and verify, ONNX included. Drawn with seed {seed} from the",
        "networks of [coverage.md](coverage.md) up to 30 M parameters, without weights, on noise.",
        f"{datetime.now(UTC).date()}, 2 cores, {stated}. Made by",
        f"`python benchmarks/pairs.py --pairs {len(records)} --seed {seed}`.",
        "",
        f"model.py has {lines[len(lines) // 2]} lines in the median, {lines[-1]} at most." if lines else "",
        "",
        "| front | back | cut | layouts | adapter | lines | module | ONNX | s |",
        "|---|---|---|---|---|---:|---:|---:|---:|",
    ]
    for r in good:
        checked = r["verified"]
        text.append(
            f"| {r['front']} | {r['back']} | `{r['cut']}` to `{r['enters']}` | {r['layouts']} | {r['adapter']} | "
            f"{r['lines']} | {checked['module_max_abs']:.1g} | {checked['onnx_max_abs']:.1g} | {r['seconds']:.0f} |"
        )
    text += [
        "",
        "Module and ONNX: the largest absolute difference from the stitched graph, at batch 1 and 3. Verification",
        "allows 1e-4 of the largest output, whose size depends on the random weights.",
        "",
    ]
    if len(good) < len(records):
        text += ["| A | B | direction | status | reason |", "|---|---|---|---|---|"]
        text += [
            f"| {r['a']} | {r['b']} | {r['direction']} | {r['status']} | {r['reason']} |"
            for r in records
            if r["status"]
        ]
    return "\n".join(text).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--largest", type=float, default=30e6, help="parameters of a network at most")
    parser.add_argument("--out", type=Path, required=True, help="JSON lines, added to")
    parser.add_argument("--table", type=Path)
    given = parser.parse_args()
    if not given.out.exists():
        given.out.write_text(json.dumps({"networks": networks(given.largest)}) + "\n")
    head, *records = [json.loads(line) for line in given.out.read_text().splitlines()]
    known = {(r["a"], r["b"], r["direction"]): r for r in records}
    wanted = drawn(head["networks"], given.pairs, given.seed)
    for pair in wanted:
        if pair in known:
            continue
        with TemporaryDirectory(prefix="stitchc-pairs-") as scratch:
            known[pair] = stitched(*pair, Path(scratch) / "out")
        with given.out.open("a") as file:
            file.write(json.dumps(known[pair]) + "\n")
        print(*pair, known[pair].get("reason", "verified"), sep="  ", file=sys.stderr, flush=True)
    if given.table:
        given.table.write_text(page([known[pair] for pair in wanted], given.seed))


if __name__ == "__main__":
    main()
