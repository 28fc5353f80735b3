"""Accuracy of stitches at several depths, adapter by adapter: fitted only, and after a short training.

    python benchmarks/tune_adapters.py 'nets.py:make("cifar10_resnet56")' 'nets.py:make("cifar10_resnet20")' \\
        --cuts layer1.8:layer1.2 layer2.5:layer2.2 layer3.5:layer3.1 --adapters linear conv3x3 --train adapter back \\
        --data 'tar:cifar10_jpeg.tar.xz?split=train&limit=20000' --test 'tar:cifar10_jpeg.tar.xz?split=test&limit=2000' \\
        --out docs/tune_adapters.jsonl --table docs/tune_adapters.md

Every row is written as soon as it is known; rows that are there are passed over, so that it goes on where it stopped
and adapters can be added. The first line names the machine and versions. Options of `stitchc tune` go after `--tune`:
`--tune epochs=2 lr=0.01 optimizer=sgd distill=front`.
"""

import argparse
import ast
import json
import platform
import re
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

PROBE = 2048  # images that cuts are fitted on


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def note(path: Path, row: dict[str, Any]) -> None:
    with path.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print({key: row[key] for key in ("cuts", "adapter", "train", "top1", "seconds") if key in row}, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="A table of stitches, fitted and tuned.")
    parser.add_argument("a", help="MODEL of the front")
    parser.add_argument("b", help="MODEL of the back")
    parser.add_argument("--cuts", nargs="+", required=True, metavar="FRONT:BACK")
    parser.add_argument("--adapters", nargs="+", default=["linear", "conv3x3"])
    parser.add_argument("--train", nargs="*", default=["adapter", "back"], help="modes of `stitchc tune`")
    parser.add_argument("--tune", nargs="*", default=[], metavar="NAME=VALUE", help="options of `stitchc tune`")
    parser.add_argument("--data", required=True, help="DATA to fit and to train on")
    parser.add_argument("--test", required=True, help="DATA to measure on")
    parser.add_argument("--out", type=Path, required=True, help="the record, a line a row")
    parser.add_argument("--table", type=Path, help="the record as Markdown")
    given = parser.parse_args()
    options = dict(word.split("=", 1) for word in given.tune)
    known = rows_of(given.out)
    done = {(row.get("cuts"), row.get("adapter"), row.get("train"), json.dumps(row.get("tune"))) for row in known}
    for cuts in given.cuts:
        for adapter in given.adapters:
            wanted = [(cuts, adapter, "fit", "null"), *((cuts, adapter, t, json.dumps(options)) for t in given.train)]
            if not set(wanted) <= done:
                measure(given, cuts, adapter, options, done)
    if given.table:
        given.table.write_text(table(rows_of(given.out)))


def measure(given: argparse.Namespace, cuts: str, adapter: str, options: dict[str, str], done: set[Any]) -> None:
    """One stitch: fitted, then tuned in every mode from where the fit left it."""
    import torch

    import stitchc
    from stitchc import zoo
    from stitchc.artifact import read

    front, back = cuts.split(":")
    images, test = zoo.images(given.data), zoo.images(given.test)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "hybrid"
        start = time.perf_counter()
        stitchc.compile(
            given.a, given.b, front=front, back=back, adapter=adapter, probe_images=PROBE, evaluate=test, onnx=False,
            data=re.sub(r"limit=\d+", f"limit={PROBE}", given.data), out=folder,
        )  # fmt: skip
        record = read(folder)
        (use,) = [link["adapter"] for link in record["chain"] if "adapter" in link]
        row: dict[str, Any] = {
            "cuts": cuts, "adapter": adapter, "train": "fit", "tune": None, "top1": record["accuracy"]["top1"],
            "images": record["accuracy"]["images"], "macs": record["cost"]["macs"], "params": record["cost"]["params"],
            "adapter_params": use["params"], "parents": {m["name"]: m["accuracy"] for m in record["models"]},
            "parents_macs": {m["name"]: m["macs"] for m in record["models"]},
            "seconds": round(time.perf_counter() - start, 1), "threads": torch.get_num_threads(),
            "machine": platform.machine(), "versions": {k: record["versions"][k] for k in ("stitchc", "torch")},
        }  # fmt: skip
        if (cuts, adapter, "fit", "null") not in done:
            note(given.out, row)
        for train in given.train:
            if (cuts, adapter, train, json.dumps(options)) in done:
                continue
            start = time.perf_counter()
            made = stitchc.tune(
                folder, images, train=train, evaluate=test, out=Path(scratch) / train,
                **{key: _value(text) for key, text in options.items()},
            )  # fmt: skip
            assert made.after is not None
            note(given.out, row | {
                "train": train, "tune": options, "top1": made.after.top1, "trained_params": made.trained_params,
                "history": list(made.history), "seconds": round(time.perf_counter() - start, 1),
            })  # fmt: skip


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def table(rows: list[dict[str, Any]]) -> str:
    first = rows[0]
    parents = ", ".join(f"{name} {100 * top1:.1f} %" for name, top1 in first["parents"].items())
    largest = max(first["parents_macs"].values())
    lines = [
        "| cuts | of the larger's MACs | adapter | its params | trained | options | trained params | top-1 |",
        "|---|---:|---|---:|---|---|---:|---:|",
    ]
    for row in sorted(rows, key=lambda row: (row["macs"], row["adapter"], row["train"] != "fit")):
        options = " ".join(f"{k}={v}" for k, v in (row["tune"] or {}).items())
        trained = f"{row['trained_params']:,}" if "trained_params" in row else ""
        lines.append(
            f"| {row['cuts'].replace(':', ' to ')} | {row['macs'] / largest:.0%} | {row['adapter']} | "
            f"{row['adapter_params']:,} | {'' if row['train'] == 'fit' else row['train']} | {options} | {trained} | "
            f"{100 * row['top1']:.1f} % |"
        )
    return f"Parents on the same {first['images']} images: {parents}.\n\n" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
