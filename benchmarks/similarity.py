"""All-pairs similarity against two bare forward passes and against other tools: seconds, peak memory, exactness.

    python benchmarks/similarity.py torchvision/resnet50?weights=none torchvision/resnet18?weights=none \\
        --data folder:photos --images 128 --out similarity.jsonl
    python benchmarks/similarity.py --out similarity.jsonl --table

Every ReLU's output of one network is compared with every one's of the other, by unbiased CKA in blocks of 64. Each tool
has a process of its own, and seconds are of its processor, with `--threads 2` of the wall clock, the fewest of
`--repeats`; before every repeat two bare passes are timed in the same process, and the median of the ratios is printed:
neighbours on a machine change its speed within minutes. The images are in memory before the clock starts. `--tools`
measures some of the tools only; lines are added to `--out`. torch_cka and pytorch-cka must be installed to be measured.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np

BLOCK = 64
TOOLS = ("bare", "stitchc", "torch_cka", "pytorch-cka")


def hookable(graph, nodes):
    """The graph with a module of its own at each of `nodes`, for tools that know modules only."""
    from torch import nn
    from torch.fx import GraphModule

    whole = GraphModule(graph, deepcopy(graph.graph))
    for node in list(whole.graph.nodes):
        if node.name in nodes:
            whole.add_module(f"seen_{node.name}", nn.Identity())
            with whole.graph.inserting_after(node):
                seen = whole.graph.call_module(f"seen_{node.name}", (node,))
            node.replace_all_uses_with(seen, delete_user_cb=lambda user, seen=seen: user is not seen)
    whole.recompile()
    return whole.eval()


def bare(plan, images, nodes):
    import torch

    with torch.inference_mode():
        for model in plan.models:
            for batch in images.split(BLOCK):
                model.module(batch)


def ours(plan, images, nodes):
    from stitchc.passes import Similarity

    (pair,) = Similarity(batch=BLOCK, images=len(images))(plan).similarity
    return pair.matrix


def torch_cka(plan, images, nodes):
    import torch
    from torch.utils.data import DataLoader, TensorDataset
    from torch_cka import CKA

    a, b = (hookable(graph, names) for graph, names in zip(plan.graphs, nodes, strict=True))
    layers = [[f"seen_{name}" for name in names] for names in nodes]
    with torch.inference_mode():
        tool = CKA(a, b, "a", "b", *layers, device="cpu")
        tool.compare(DataLoader(TensorDataset(images), BLOCK))
    return tool.export()["CKA"].numpy()


def pytorch_cka(plan, images, nodes):
    from cka import compute_cka
    from torch.utils.data import DataLoader, TensorDataset

    a, b = (hookable(graph, names) for graph, names in zip(plan.graphs, nodes, strict=True))
    layers = [[f"seen_{name}" for name in names] for names in nodes]
    found = compute_cka(
        a, b, DataLoader(TensorDataset(images), BLOCK), layers=layers[0], model2_layers=layers[1], device="cpu"
    )
    return np.asarray(found[0] if isinstance(found, tuple | list) else found)


RUN = {"bare": bare, "stitchc": ours, "torch_cka": torch_cka, "pytorch-cka": pytorch_cka}


def reference(plan, images, nodes):
    """The textbook's formula on float64 features of the networks in float64, pair by pair."""
    import torch
    from torch.fx import Interpreter

    class Watching(Interpreter):
        def run_node(self, n):
            value = super().run_node(n)
            if n.name in self.wanted:
                features = value.flatten(1) - value.flatten(1).mean(dim=0)
                self.grams[n.name] = hollow(features @ features.T)
            return value

    def hollow(k):
        n = len(k)
        k.fill_diagonal_(0)
        mean = k.sum(dim=1) / (n - 2)
        k = k - mean[:, None] - mean[None] + k.sum() / ((n - 1) * (n - 2))
        return k.fill_diagonal_(0) / (n * (n - 3)) ** 0.5

    graphs = [graph.double() for graph in plan.graphs]
    sums = [np.zeros((len(x), len(y))) for x, y in ((nodes[0], nodes[1]), (nodes[0], ["1"]), (nodes[1], ["1"]))]
    with torch.inference_mode():
        for batch in images.double().split(BLOCK):
            taken = []
            for graph, names in zip(graphs, nodes, strict=True):
                runner = Watching(graph, garbage_collect_values=True)
                runner.wanted, runner.grams = set(names), {}
                runner.run(batch)
                taken.append(torch.stack([runner.grams[name].flatten() for name in names]).numpy())
            sums[0] += taken[0] @ taken[1].T
            for total, side in zip(sums[1:], taken, strict=True):
                total += (side**2).sum(axis=1, keepdims=True)
    return sums[0] / np.sqrt(sums[1] * sums[2].T)


def compared(words, data, count):
    """A plan of two networks with the outputs of their ReLUs for cuts, the images they see, and the cuts' nodes."""
    import torch

    from stitchc.passes import Cut, Cuts, Pipeline, Plan, TensorImages, Trace, Value
    from stitchc.zoo import images, load

    models = tuple(load(word) for word in words)
    shown = torch.cat(list(images(f"{data}{'&' if '?' in data else '?'}limit={count}").batches(models[0].input, BLOCK)))
    plan = Pipeline([Trace()])(Plan(models, images=TensorImages(shown)))
    nodes = [[n.name for n in graph.graph.nodes if is_relu(graph, n)] for graph in plan.graphs]
    cuts = tuple(Cuts("ReLU", tuple(Cut(i, n, n, Value((1,), "NC")) for i, n in enumerate(names))) for names in nodes)
    return replace(plan, cuts=cuts), shown, nodes


def is_relu(graph, node):
    from torch import nn

    if node.op == "call_module":
        return isinstance(graph.get_submodule(node.target), nn.ReLU)
    return node.op == "call_function" and "relu" in getattr(node.target, "__name__", "")


def measured(tool, words, data, count, repeats, threads):
    """One line of the record: the fastest of some repeats, how it compares with bare passes, and the process's peak."""
    plan, shown, nodes = compared(words, data, count)
    record = {"a": words[0], "b": words[1], "images": count, "cuts": [len(names) for names in nodes], "tool": tool}
    record["threads"] = threads
    clock = time.process_time if threads == 1 else time.perf_counter
    seconds, ratios, matrix = [], [], None
    try:
        for _ in range(repeats):
            start = clock()
            bare(plan, shown, nodes)
            between = clock()
            matrix = RUN[tool](plan, shown, nodes)
            seconds.append(clock() - between)
            ratios.append(seconds[-1] / (between - start))
    except AssertionError as error:
        return record | {"failed": str(error)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    record |= {"seconds": min(seconds), "of_bare": float(np.median(ratios)), "peak_mib": peak / 1024}
    if matrix is None:
        return record
    truth = reference(plan, shown, nodes)
    wrong = ~(np.abs(matrix - truth) < 1e-2)
    return record | {"largest_error": float(np.nanmax(np.abs(matrix - truth))), "wrong": int(wrong.sum())}


def table(records):
    pairs = dict.fromkeys((r["a"], r["b"], r["images"], r["threads"], tuple(r["cuts"])) for r in records)
    for a, b, count, threads, cuts in pairs:
        rows = [r for r in records if (r["a"], r["b"], r["images"], r["threads"]) == (a, b, count, threads)]
        (floor,) = [r for r in rows if r["tool"] == "bare"]
        outputs = f"{cuts[0]} x {cuts[1]} ReLU outputs"
        print(f"\n{a} x {b}: {outputs}, {count} images in blocks of {BLOCK}, threads: {threads}\n")
        print("| tool | seconds | of two bare passes | peak memory, MiB | of theirs | largest error | off by 0.01 |")
        print("|---|---|---|---|---|---|---|")
        for r in sorted(rows, key=lambda r: TOOLS.index(r["tool"])):
            if "failed" in r:
                print(f"| {r['tool']} | aborts: {r['failed']} | | | | | |")
                continue
            exact = f"{r['largest_error']:.1e} | {r['wrong']} of {cuts[0] * cuts[1]}" if "wrong" in r else " | "
            print(
                f"| {r['tool']} | {r['seconds']:.1f} | {r['of_bare']:.2f} | {r['peak_mib']:.0f} "
                f"| {r['peak_mib'] / floor['peak_mib']:.2f} | {exact} |"
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="two of them")
    parser.add_argument("--data", default="random")
    parser.add_argument("--images", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="print what is in --out, measure nothing")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(measured(given.one, given.models, given.data, given.images, given.repeats, given.threads)))
        return
    for tool in [] if given.table else given.tools.split(","):
        words = [*given.models, "--data", given.data, "--images", str(given.images), "--repeats", str(given.repeats)]
        words += ["--threads", str(given.threads)]
        done = subprocess.run(
            [sys.executable, __file__, *words, "--out", str(given.out), "--one", tool],
            capture_output=True,
            text=True,
            env=dict(os.environ, OMP_NUM_THREADS=str(given.threads), OMP_WAIT_POLICY="PASSIVE"),
        )
        if done.returncode:
            sys.exit(done.stderr)
        with given.out.open("a") as file:
            file.write(done.stdout.splitlines()[-1] + "\n")
    table([json.loads(line) for line in given.out.read_text().splitlines()])


if __name__ == "__main__":
    main()
