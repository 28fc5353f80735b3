"""The default compile of two networks on one and two threads, idle and beside a busy process, stage by stage.

    python benchmarks/threads.py 'nets.py:make("in1k_efficientnet_lite0")' 'nets.py:make("in1k_mobilenetv1_050_qat")' \\
        --data 'tar:fit.tar?labels=prefix' --evaluate 'tar:test.tar?labels=prefix' --out threads.jsonl

Each compile has a process, a cache and an output folder of its own. Seconds are of the wall clock; "processor" is what
the process took of all cores together. A busy process computes in Python and takes a core whenever it gets one. Run it
on a machine that does nothing else: a line is added to `--out` for each compile, and `--table` prints what is there.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

OTHER = "loading, measuring, report"


@contextmanager
def busy(processes):
    """So many processes that never wait."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def compiled(given, threads):
    """One compile: seconds in all, of the processor, and of each pass; the network that was written."""
    with tempfile.TemporaryDirectory(prefix="threads-") as scratch:
        out = Path(scratch, "out")
        words = [*given.models, "--budget", given.budget, "--best", "--data", given.data, "-o", str(out), "-q"]
        words += ["--evaluate", given.evaluate] if given.evaluate else []
        env = dict(os.environ, OMP_NUM_THREADS=str(threads), XDG_CACHE_HOME=scratch)
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "stitchc", "compile", *words], env=env, stdout=subprocess.DEVNULL
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        if status:
            sys.exit(f"the compile failed with status {os.waitstatus_to_exitcode(status)}")
        plan = json.loads((out / "plan.json").read_text())
    stages = plan["seconds"]
    return {
        "wall": wall, "processor": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024,
        "stages": {**stages, OTHER: wall - sum(stages.values())}, "recommended": plan.get("recommended"),
    }  # fmt: skip


def table(records):
    for models in dict.fromkeys(tuple(r["models"]) for r in records):
        rows = [r for r in records if tuple(r["models"]) == models]
        heads = [f"{r['threads']} thread{'s' * (r['threads'] > 1)}, {r['busy']} busy" for r in rows]
        print(f"\n{' and '.join(models)}, seconds\n")
        print("| stage | " + " | ".join(heads) + " |")
        print("|---" * (len(rows) + 1) + "|")
        for stage in dict.fromkeys(name for r in rows for name in r["stages"]):
            print(f"| {stage} | " + " | ".join(f"{r['stages'].get(stage, 0):.1f}" for r in rows) + " |")
        for name in ("wall", "processor", "peak_mib"):
            print(f"| **{name}** | " + " | ".join(f"{r[name]:.0f}" for r in rows) + " |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="two of them")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--evaluate")
    parser.add_argument("--budget", default="60%")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--busy", default="0,1", help="how many busy processes beside it")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="print what is in --out, measure nothing")
    given = parser.parse_args()
    for others in [] if given.table else map(int, given.busy.split(",")):
        for threads in map(int, given.threads.split(",")):
            with busy(others):
                found = compiled(given, threads)
            with given.out.open("a") as file:
                file.write(json.dumps({"models": given.models, "threads": threads, "busy": others, **found}) + "\n")
    table([json.loads(line) for line in given.out.read_text().splitlines()])


if __name__ == "__main__":
    main()
