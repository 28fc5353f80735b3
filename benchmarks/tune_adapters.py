"""Accuracy of stitches at several depths, adapter by adapter: fitted, healed, and after a short training.

    python benchmarks/tune_adapters.py 'nets.py:make("cifar10_resnet56")' 'nets.py:make("cifar10_resnet20")' \\
        --cuts layer1.8:layer1.2 layer2.5:layer2.2 layer3.5:layer3.1 --adapters linear conv3x3 --train adapter back \\
        --data 'tar:cifar10_jpeg.tar.xz?split=train&limit=20000' \\
        --test 'tar:cifar10_jpeg.tar.xz?split=test&limit=2000' \\
        --out docs/tune_adapters.jsonl --table docs/tune_adapters.md

"fit" is the adapter by least squares alone, "heal" that and what `compile` repairs of the back; a training starts from
the latter. Every row is written as soon as it is known, and rows that are there are passed over: it goes on where it
stopped, and adapters can be added. Options of `stitchc tune` go after `--tune`: `--tune epochs=2 lr=0.01`.
"""

import argparse
import ast
import json
import re
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def note(path: Path, row: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print({key: row[key] for key in ("cuts", "adapter", "train", "top1", "seconds") if key in row}, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A table of stitches, fitted, healed and tuned.")
    parser.add_argument("a", help="MODEL of the front")
    parser.add_argument("b", help="MODEL of the back")
    parser.add_argument("--cuts", nargs="+", required=True, metavar="FRONT:BACK")
    parser.add_argument("--adapters", nargs="+", default=["linear", "conv3x3"], metavar="WORDS")
    parser.add_argument("--train", nargs="*", default=["adapter", "back"], help="modes of `stitchc tune`")
    parser.add_argument("--tune", nargs="*", default=[], metavar="NAME=VALUE", help="options of `stitchc tune`")
    parser.add_argument("--data", required=True, help="DATA to fit and to train on")
    parser.add_argument("--probe", type=int, default=512, help="images of DATA that adapters and backs are fitted on")
    parser.add_argument("--test", required=True, help="DATA to measure on")
    parser.add_argument("--out", type=Path, required=True, help="the record, a line a row")
    parser.add_argument("--table", type=Path, help="the record as Markdown")
    given = parser.parse_args()
    options = dict(word.split("=", 1) for word in given.tune)
    for cuts in given.cuts:
        for adapter in given.adapters:
            measure(given, cuts, adapter, options)
    if given.table:
        given.table.write_text(table(rows_of(given.out)))


def measure(given: argparse.Namespace, cuts: str, adapter: str, options: dict[str, str]) -> None:
    """One stitch: fitted, healed, then tuned in every mode from where that left it."""
    import stitchc
    from stitchc import zoo
    from stitchc.artifact import read

    known = rows_of(given.out)
    done = {
        (row["train"], json.dumps(row["tune"])) for row in known if (row["cuts"], row["adapter"]) == (cuts, adapter)
    }
    modes = [train for train in given.train if (train, json.dumps(options)) not in done]
    if not modes and ("fit", "null") in done and ("heal", "null") in done:
        return
    images, test = zoo.images(given.data), zoo.images(given.test)
    parents = known[0]["parents"] if known else {w: stitchc.evaluate(w, test).top1 for w in (given.a, given.b)}
    front, back = cuts.split(":")

    def add(train: str, tune: dict[str, str] | None, folder: Path, seconds: float, **more: Any) -> None:
        record = read(folder)
        (use,) = [link["adapter"] for link in record["chain"] if "adapter" in link]
        top1 = more.pop("top1", None) or stitchc.evaluate(folder, test).top1
        note(given.out, {
            "cuts": cuts, "adapter": adapter, "train": train, "tune": tune, "top1": top1, "images": len(test),
            "macs": record["cost"]["macs"], "params": record["cost"]["params"], "adapter_params": use["params"],
            "parents": parents, "parents_macs": [model["macs"] for model in record["models"]], "training": len(images),
            "seconds": round(seconds, 1), "versions": {k: record["versions"][k] for k in ("stitchc", "torch")}, **more,
        })  # fmt: skip

    with TemporaryDirectory() as scratch:
        healed = Path(scratch) / "heal"
        for train, heal in (("fit", "none"), ("heal", "back")):
            if train == "fit" and ("fit", "null") in done:
                continue
            start = time.perf_counter()
            stitchc.compile(
                given.a, given.b, front=front, back=back, adapter=adapter, heal=heal, probe_images=given.probe,
                onnx=False, data=re.sub(r"limit=\d+", f"limit={given.probe}", given.data), out=Path(scratch) / train,
            )  # fmt: skip
            if (train, "null") not in done:
                add(train, None, Path(scratch) / train, time.perf_counter() - start)
        for train in modes:
            start, out = time.perf_counter(), Path(scratch) / train
            said = {key: _value(text) for key, text in options.items()}
            made = stitchc.tune(healed, images, train=train, evaluate=test, out=out, **said)
            assert made.after is not None
            add(train, options, out, time.perf_counter() - start, top1=made.after.top1,
                trained_params=made.trained_params, history=list(made.history))  # fmt: skip


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def table(rows: list[dict[str, Any]]) -> str:
    """A line for each stitch: its price, and top-1 in percent fitted, healed and after each training."""
    first = rows[0]
    parents = ", ".join(f"`{name}` {100 * top1:.1f} %" for name, top1 in first["parents"].items())
    ways = sorted({(row["train"], _options(row)) for row in rows}, key=lambda way: (way[0] not in ("fit", "heal"), way))
    titles = [f"{train}: {options}" if options else train for train, options in ways]
    lines = [f"| cuts | of the larger's MACs | adapter | its params | {' | '.join(titles)} |", "|---|---:|---|---:|"]
    lines[1] += "---:|" * len(ways)
    stitches: dict[tuple[str, str], dict[tuple[str, str], dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["cuts"], row["adapter"])):
        stitches.setdefault((row["cuts"], row["adapter"]), {})[row["train"], _options(row)] = row
    for (cuts, adapter), found in stitches.items():
        price = next(iter(found.values()))
        share = price["macs"] / max(price["parents_macs"])
        shown = [f"{100 * found[way]['top1']:.1f}" if way in found else "" for way in ways]
        cells = [cuts.replace(":", " to "), f"{share:.0%}", adapter, f"{price['adapter_params']:,}", *shown]
        lines.append(f"| {' | '.join(cells)} |")
    return f"Parents on the same {first['images']:,} images: {parents}.\n\n" + "\n".join(lines) + "\n"


def _options(row: dict[str, Any]) -> str:
    return " ".join(f"{k}={v}" for k, v in (row["tune"] or {}).items())


if __name__ == "__main__":
    main()
