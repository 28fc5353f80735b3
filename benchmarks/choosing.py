"""Which rule chooses the best stitch? Every pair of block boundaries of two networks, really stitched, against rules.

    python benchmarks/choosing.py truth A B --data DATA --test DATA --out DIR  # hours; resumable
    python benchmarks/choosing.py rules A B --data DATA --test DATA --out DIR  # minutes
    python benchmarks/choosing.py repaired A B --data DATA --test DATA --out DIR  # an hour; resumable

`truth` fits both adapters of every pair (A gives the front) on 1,024 images of --data and keeps what the stitched
networks say of the images of --test; `--every N` takes every N-th boundary of the longer network, `--pairs N` N random
pairs. `rules` prints two tables. In the first, signs and scores of all candidates: those that look at stitched networks
see the first --probed test images, and are held against the accuracy on all others. In the second, the rules as users
have them, on 512 images of --data under ten budgets: the points lost against the best candidate within each, and
processor seconds beside those of fitting and probing every candidate within it. The cascade uses labels of --data where
there are some; without labels of --test truth is agreement with B. `repaired` takes REPAIRED pairs with 3x3 adapters
over the range of CKA, heals them on 512 images, trains the fitted adapters for two epochs on TUNE_IMAGES, and prints
how well every score ranks them, and chooses among them, before and after.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ADAPTERS = ("linear", "conv3x3")
FIT_IMAGES, CHOOSE_IMAGES, BUDGETS = 1024, 512, 10
REPAIRED, TUNE_IMAGES = 40, 4000
RULES = {  # options of the pass `rank`; None for what `select` puts first
    "cka": None,
    "cascade, low effort": {"effort": "low"},
    "cascade (default)": {},
    "agreement": {"rank": "agreement"},
}


def limited(data, count=None):
    from stitchc.zoo import images

    return images(data if count is None else f"{data}{'&' if '?' in data else '?'}limit={count}")


def boundaries(plan, model):
    """Cuts that are the output of a module which holds others, and not the network's last: as indices."""
    module = plan.models[model].module
    found = []
    for cut in plan.cuts[model].cuts:
        holds = any(path and list(module.get_submodule(path).children()) for path in cut.paths)
        if holds and cut.value.layout == "NCHW" and cut.value.pixels > 1:
            found.append(cut.index)
    return found[:-1]


def prepared(given):
    """A plan of both networks with their candidates priced, and the rows of the table that are looked at."""
    from stitchc.passes import Cost, Partition, Pipeline, Plan, Trace
    from stitchc.zoo import load

    shown = limited(given.data, FIT_IMAGES)
    passes = [Trace(), Partition(), Cost(adapters=ADAPTERS, direction="given")]
    plan = Pipeline(passes)(Plan((load(given.a), load(given.b)), images=shown))
    sides = [boundaries(plan, model) for model in (0, 1)]
    longer = max(sides, key=len)
    longer[:] = longer[given.every // 2 :: given.every]
    table = plan.candidates
    rows = np.flatnonzero(np.isin(table.front_cut, sides[0]) & np.isin(table.back_cut, sides[1]))
    if given.pairs:
        pairs = sorted({(int(table.front_cut[r]), int(table.back_cut[r])) for r in rows})
        kept = {pairs[i] for i in np.random.default_rng(0).permutation(len(pairs))[: given.pairs]}
        rows = np.array([r for r in rows if (int(table.front_cut[r]), int(table.back_cut[r])) in kept])
    return plan, rows


def truth(given):
    """One file for each cut of the front: rows of the table, logits of each on the test images, R2 of each fit."""
    from stitchc.passes.fit.closed_form import fit_all
    from stitchc.passes.rank.stitched import Stitched

    plan, rows = prepared(given)
    given.out.mkdir(parents=True, exist_ok=True)
    test, stitched = limited(given.test), Stitched(plan)
    if not (given.out / "parents.npz").exists():
        parents = [stitched.parent(model, test).numpy() for model in (0, 1)]
        labels = np.array([]) if test.labels is None else test.labels.numpy()
        np.savez(given.out / "parents.npz", front=parents[0], back=parents[1], labels=labels)
    table = plan.candidates
    for cut in np.unique(table.front_cut[rows]):
        file = given.out / f"{cut}.npz"
        if file.exists():
            continue
        start, mine = time.process_time(), [int(r) for r in rows if table.front_cut[r] == cut]
        fitted = fit_all(plan, [table[r].chain.seams()[0] for r in mine], rows=65_536)
        logits = np.stack([said.numpy().astype(np.float16) for said in stitched.logits(fitted, test)])
        np.savez(file, rows=np.array(mine), logits=logits, r2=np.array([one.r2 for one in fitted]))
        print(f"cut {cut}: {len(mine)} candidates, {time.process_time() - start:.0f} s", flush=True)


def found(given, rows):
    """The record of `truth` for those of these rows that it has got to: they, logits [rows, images, classes] and R2."""
    logits, r2 = {}, {}
    for file in given.out.glob("[0-9]*.npz"):
        with np.load(file) as record:
            for row, said, share in zip(record["rows"], record["logits"], record["r2"], strict=True):
                logits[int(row)], r2[int(row)] = said.astype(np.float32), share
    rows = np.array([r for r in rows if int(r) in r2])
    return rows, np.stack([logits[r] for r in rows]), np.array([r2[r] for r in rows])


def record(given):
    """The plan with CHOOSE_IMAGES images, its rows, the accuracy of each candidate in percent on the test images that
    no score sees, and the scores by name."""
    import torch

    from stitchc.passes import Similarity
    from stitchc.passes.rank.preselection import depth_match
    from stitchc.passes.rank.scores import reference, score_of

    plan, rows = prepared(given)
    table, (rows, *known) = plan.candidates, found(given, rows)
    logits, r2 = (torch.from_numpy(x) for x in known)
    with np.load(given.out / "parents.npz") as parents:
        front, back, labels = (torch.from_numpy(parents[name]) for name in ("front", "back", "labels"))
    right = labels if len(labels) else back.argmax(dim=1)
    accuracy = 100 * (logits.argmax(dim=2) == right)[:, given.probed :].double().mean(dim=1).numpy()
    plan = replace(plan, images=limited(given.data, CHOOSE_IMAGES))

    def sign(metric):
        matrix = Similarity(metric=metric)(plan).similarity[0].matrix
        return matrix[table.front_cut[rows], table.back_cut[rows]]

    def probe(name, known, count):
        larger_first = [front, back] if plan.prices[0]["macs"] > plan.prices[1]["macs"] else [back, front]
        against, score = reference(back, larger_first, known)[:count], score_of(name)
        return np.array([score(said[:count], against).mean().item() for said in logits])

    signs = {"relative depths match": depth_match(plan, table, rows)}
    names = {"cka": "biased CKA, as ReStNet", "cka-unbiased": "unbiased CKA", "cka-pooled": "pooled CKA"}
    signs |= {names.get(m, m): sign(m) for m in ("cka", "cka-unbiased", "cka-pooled", "rbf-cka", "procrustes")}
    signs["R2 of the fit, held out"] = r2.numpy()
    for count in sorted({32, 64, given.probed}):
        for name in ("kl", "agreement", "cascade"):
            signs[f"{'expected agreement' if name == 'cascade' else name}, {count} images"] = probe(name, None, count)
        if len(labels):
            signs[f"accuracy, {count} labelled images"] = probe("accuracy", labels, count)
            signs[f"expected agreement with labels too, {count} images"] = probe("cascade", labels, count)
    return plan, rows, accuracy, signs


def rules(given):
    plan, rows, accuracy, signs = record(given)
    macs = plan.candidates.metric("macs")[rows]
    limits = budgets(macs)
    print(f"{given.a} into {given.b}: {len(rows)} candidates, accuracy {accuracy.min():.1f} to {accuracy.max():.1f} %")
    print("\n| score of a candidate | rank correlation | points lost under ten budgets | at most |\n|---|---|---|---|")
    for name, values in signs.items():
        lost = [loss(accuracy, values, macs <= limit) for limit in limits]
        print(f"| {name} | {spearman(values, accuracy):.2f} | {np.mean(lost):.1f} | {max(lost):.1f} |", flush=True)
    if given.only:
        as_users_have_them(plan, rows, accuracy, limits, given.only, given.timed)


def repaired(given):
    import stitchc

    plan, rows, accuracy, signs = record(given)
    table, likeness = plan.candidates, signs["unbiased CKA"]
    mine = [i for i, r in enumerate(rows) if table.adapters[table.adapter[r]] == "conv3x3"]
    mine = sorted(mine, key=lambda i: likeness[i])
    mine = [mine[i] for i in np.linspace(0, len(mine) - 1, REPAIRED).round().astype(int)]
    file = given.out / "repaired.jsonl"
    known = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    top1 = {(one["row"], one["how"]): one["top1"] for one in known}
    labelled, test = limited(given.data, TUNE_IMAGES), limited(given.test)
    for i in mine:
        row = int(rows[i])
        pair = {"front": int(table.front_cut[row]), "back": int(table.back_cut[row]), "adapter": "conv3x3"}
        with TemporaryDirectory() as scratch:
            healed, fitted, done = (Path(scratch) / name for name in ("healed", "fitted", "tuned"))
            if (row, "healed") not in top1:
                stitchc.compile(given.a, given.b, **pair, data=plan.images, onnx=False, out=healed)
                top1[row, "healed"] = 100 * stitchc.evaluate(healed, test).top1
            if (row, "tuned") not in top1:
                stitchc.compile(given.a, given.b, **pair, data=plan.images, heal="none", onnx=False, out=fitted)
                stitchc.tune(fitted, labelled, epochs=2, out=done)
                top1[row, "tuned"] = 100 * stitchc.evaluate(done, test).top1
        lines = [json.dumps({"row": row, "how": how, "top1": value}) for (row, how), value in top1.items()]
        file.write_text("\n".join(lines) + "\n")
        shown = f"{accuracy[i]:.1f} % fitted, {top1[row, 'healed']:.1f} % healed, {top1[row, 'tuned']:.1f} % tuned"
        print(f"CKA {likeness[i]:.2f}: {shown}", file=sys.stderr, flush=True)
    states = {"fitted": accuracy[mine]}
    states |= {how: np.array([top1[int(rows[i]), how] for i in mine]) for how in ("healed", "tuned")}
    macs = table.metric("macs")[rows[mine]]
    print(f"{REPAIRED} pairs of {given.a} into {given.b}: rank correlation, and points lost under ten budgets\n")
    titles = [f"{how} ({values.min():.1f} ... {values.max():.1f} %)" for how, values in states.items()]
    print(f"| score of the fitted stitch | {' | '.join(titles)} |\n|---|---|---|---|")
    for name, values in (signs | {"its accuracy on the test images": accuracy}).items():
        cells = []
        for after in states.values():
            lost = [loss(after, values[mine], macs <= limit) for limit in budgets(macs)]
            cells.append(f"{spearman(values[mine], after):.2f}, {np.mean(lost):.1f}")
        print(f"| {name} | {' | '.join(cells)} |")


def budgets(macs):
    return np.linspace(macs.min(), macs.max(), BUDGETS + 2)[1:-1]


def as_users_have_them(plan, rows, accuracy, limits, only, timed):
    from stitchc.passes import Rank, Select, Similarity
    from stitchc.passes.data.budget import Limit
    from stitchc.passes.data.some_images import Part
    from stitchc.passes.fit.closed_form import fit_all
    from stitchc.passes.rank.stitched import Stitched

    plan, place = Similarity()(plan), {int(row): i for i, row in enumerate(rows)}

    def within(limit):
        chosen = Select(budget=[Limit("macs", float(limit))], min_share=0.0)(plan)
        order = np.array([r for r in chosen.candidates.order if int(r) in place])
        return replace(chosen, candidates=replace(chosen.candidates, order=order))

    fronts = plan.candidates.front_cut[rows]
    sample = [plan.candidates[int(r)].chain.seams()[0] for r in rows[np.isin(fronts, np.unique(fronts)[::timed])]]
    start, half = time.process_time(), CHOOSE_IMAGES // 2
    fitted = fit_all(replace(plan, images=Part(plan.images, 0, half)), sample)
    Stitched(plan).logits(fitted, Part(plan.images, half, CHOOSE_IMAGES))
    exhaustive = (time.process_time() - start) * len(rows) / len(sample)
    print(
        "\n| rule | points lost, mean of ten budgets | at most | seconds | of every candidate's |\n"
        "|---|---|---|---|---|"
    )
    for name in only:
        options = RULES[name]
        lost, seconds, every = [], 0.0, 0.0
        for limit in limits:
            chosen = within(limit)
            feasible = np.array([place[int(r)] for r in chosen.candidates.order])
            start = time.process_time()
            ranked = Rank(**options)(chosen) if options is not None else chosen
            seconds += time.process_time() - start
            every += exhaustive * len(feasible) / len(rows)
            lost.append(accuracy[feasible].max() - accuracy[place[int(ranked.candidates.order[0])]])
        share = f"{seconds / BUDGETS:.1f} | {seconds / every:.0%}"
        print(f"| {name} | {np.mean(lost):.1f} | {max(lost):.1f} | {share} |", flush=True)
    print(f"\nFitting and probing every candidate takes {exhaustive:.0f} s of processor time.")


def loss(accuracy, values, feasible):
    """Points between the best feasible candidate and the one with the largest value."""
    return accuracy[feasible].max() - accuracy[feasible][np.nanargmax(values[feasible])]


def spearman(x, y):
    ranks = [np.argsort(np.argsort(np.nan_to_num(v, nan=-np.inf))) for v in (x, y)]
    return np.corrcoef(*ranks)[0, 1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=["truth", "rules", "repaired"])
    parser.add_argument("a", metavar="A")
    parser.add_argument("b", metavar="B")
    parser.add_argument("--data", required=True)
    parser.add_argument("--test", required=True)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--pairs", type=int)
    parser.add_argument("--probed", type=int, default=256)
    parser.add_argument("--timed", type=int, default=1, help="every candidate's seconds from those of every N-th front")
    parser.add_argument("--only", nargs="*", choices=RULES, default=list(RULES), help="of the rules as users have them")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    {"truth": truth, "rules": rules, "repaired": repaired}[given.step](given)


if __name__ == "__main__":
    main()
