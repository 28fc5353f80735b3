"""Fits every adapter at several depths of two networks, and measures what each makes of the hybrid.

    python benchmarks/adapters.py 'nets.py:make("cifar10_resnet56")' 'nets.py:make("cifar10_resnet20")' \\
        --data 'tar:cifar10_jpeg.tar.xz?split=train&limit=2048' \\
        --test 'tar:cifar10_jpeg.tar.xz?split=test&limit=2000' \\
        --at layer1.8=layer2.0 --at layer2.4=layer2.1 --at layer2.8=layer3.0

The first network is the front. --at FRONT=BACK names a cut of each, by node, path or index; without it the cuts are
those nearest to a quarter, a half and three quarters of each network's MACs. No labels and no training go into the fit.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # after the number of threads is set

ADAPTERS = (
    *("identity", "linear", "linear?tokens=concat", "linear?position=learned", "linear-relu", "conv3x3"),
    *("conv3x3?resize=before", "conv3x3?resize=strided", "conv3x3-relu?resize=after", "conv3x3-relu"),
    *("conv3x3-relu?rank=8", "conv5x5", "conv5x5-relu", "bottleneck", "transformer", "fused"),
)


def main() -> None:
    given = arguments()
    from stitchc.evaluate import accuracy
    from stitchc.passes import Cost, Partition, Pipeline, Plan, Trace
    from stitchc.passes.fit.closed_form import fit_all
    from stitchc.passes.graphs.compose import fragment
    from stitchc.passes.stitch.join import folded
    from stitchc.zoo import images, load

    models = tuple(load(words) for words in (given.a, given.b))
    test = images(given.test)
    passes = [Trace(), Partition(), Cost(adapters=tuple(given.adapters), direction="given")]
    plan = Pipeline(passes)(Plan(models, images=images(given.data)))
    candidates = [c for at in pairs(plan, given.at) for c in of_pair(plan, at)]
    start = time.perf_counter()
    fitted = fit_all(plan, [c.chain.seams()[0] for c in candidates], rows=given.rows, through=True)
    seconds = time.perf_counter() - start

    print(f"Fitted on {len(plan.images)} images of `{given.data}` in {seconds:.0f} s, measured on `{given.test}`.\n")
    for model, price in zip(models, plan.prices, strict=True):
        own = accuracy(model.module, model.input, test)
        print(f"- {model.name}: {own.top1:.1%}, {price['macs'] / 1e6:.2f} M MACs, {price['params']:,} params")
    print("\n| front | back | adapter | params | M MACs | of the front's | R2 at the cut | at the output | top-1 |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|")
    seen: dict = {}  # the front's values, once for all adapters of a pair
    for candidate, found in zip(candidates, fitted, strict=True):
        (a, i), adapter, (b, j) = found.seam
        names = [plan.cuts[m][c].path or plan.cuts[m][c].node for m, c in ((a, i), (b, j))]
        if (a, i) not in seen:
            seen = {(a, i): list(values(fragment(plan.graphs[a], end=plan.cuts[a][i].node), models[a], test))}
        enters = plan.cuts[b][j].node
        tail = fragment(folded(plan.graphs[b], enters, found.adapter), start=enters)
        top1 = right(tail, found.adapter, seen[a, i], test.labels)
        price, joint = candidate.price, found.adapter.kind.price(found.adapter.front, found.adapter.back)
        print(
            f"| {names[0]} | {names[1]} | {adapter} | {joint['params']:,} | {price['macs'] / 1e6:.2f} "
            f"| {price['macs'] / plan.prices[0]['macs']:.1%} | {found.r2:.3f} | {1 - found.output_residual:.3f} "
            f"| {top1:.1%} |",
            flush=True,
        )


@torch.no_grad()
def values(head, model, images):
    """The values that a front makes of all images, batch by batch."""
    return [head(shown) for shown in images.batches(model.input, 250)]


@torch.no_grad()
def right(tail, adapter, batches, labels) -> float:
    """The share of images whose class is right."""
    classes = torch.cat([tail(adapter(x)).argmax(1) for x in batches])
    return float((classes == labels).float().mean())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a")
    parser.add_argument("b")
    parser.add_argument("--data", required=True, help="images to fit on; labels are not used")
    parser.add_argument("--test", required=True, help="labelled images to measure on")
    parser.add_argument("--at", action="append", metavar="FRONT=BACK", default=[])
    parser.add_argument("--rows", type=int, default=200_000, help="positions to fit on at most")
    parser.add_argument("--adapters", nargs="+", default=ADAPTERS)
    return parser.parse_args()


def pairs(plan, asked: list[str]) -> list[tuple[int, int]]:
    """The cuts of front and back that were asked for, or those at a quarter, a half and three quarters of the MACs."""
    from stitchc.passes.data.cut_names import find_cut

    if asked:
        words = [at.split("=", 1) for at in asked]
        found = [tuple(find_cut(cuts.cuts, word) for cuts, word in zip(plan.cuts, pair, strict=True)) for pair in words]
        if any(None in pair for pair in found):
            sys.exit(f"no such cuts: {asked}; see `stitchc inspect`")
        return found

    def nearest(model: int, share: float) -> int:
        macs = plan.prices[model]["macs"] * share
        return min(plan.cuts[model].cuts, key=lambda cut: abs(cut.before["macs"] - macs)).index

    return [(nearest(0, share), nearest(1, share)) for share in (0.25, 0.5, 0.75)]


def of_pair(plan, at: tuple[int, int]) -> list:
    """The candidates of a pair of cuts, one for each adapter that can join them."""
    table = plan.candidates
    rows = [r for r in range(len(table)) if (table.front_cut[r], table.back_cut[r]) == at]
    return [table[row] for row in rows]


if __name__ == "__main__":
    main()
