"""The README of an artifact: what it is, from what, under which licences, measured and verified how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .documents import without_formula
from .passes.data import metrics
from .passes.data.printable import code, fenced, markdown
from .report.chain import ChainLine
from .report.healing import Polished
from .report.numbers import amount, count, percent, points, score, several, shape
from .report.rivals import dominated, legend, networks, winner
from .report.terminal import render
from .report.tune import kept

_USE = """\
## Use

```python
from model import load  # model.py, beside this file; it needs torch and nothing else

network = load()  # an nn.Module in eval mode
scores = network(images)  # float32 [n, {size}]
```
"""

_ONNX = "\n`model.onnx` is the same network for ONNX Runtime: input `input`, output `output`, any batch size."


def readme(record: Mapping[str, Any]) -> str:
    """Markdown, from a plan document. It holds no time and no path, so equal plans give equal text."""
    return "\n".join(_lines(record)) + "\n"


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
    names = [link["model"] for link in record["chain"] if "model" in link]
    if not _stitched(record):
        yield f"# {markdown(' + '.join(dict.fromkeys(names)))}"
        yield ""
        yield "The best that stitchc found within the budget, which is no stitch of several networks:"
    else:
        yield f"# {markdown(' + '.join(names))}, stitched"
        yield ""
        yield "One network made of fragments of trained ones by stitchc:"
    yield ""
    members = record.get("ensemble") or [record]
    yield fenced(render([ChainLine(member["chain"]) for member in members], width=100).rstrip())
    if record.get("ensemble"):
        yield "\nThese chains vote: the scores are the logarithms of the mean of their probabilities."
    yield ""
    yield _USE.format(size=", ".join(map(str, record["input"]["size"])))
    yield said_of_input(record["input"])
    if record["verified"] and record["verified"]["onnx_max_abs"] is not None:
        yield _ONNX
    if record.get("recommended") is not None:
        yield "\n## Is there better?\n"
        yield from _compared(record)
    yield "\n## What it takes\n"
    yield from _costs(record)
    yield "\n## From what\n"
    yield from _parents(record)
    yield "\n## How it was chosen and checked\n"
    yield from _checks(record)
    for training in record.get("tuned", []):
        yield _training(training)
    for note in record["notes"]:
        yield f"- Note: {markdown(note)}"
    if taken := record.get("extracted"):
        yield (
            "\n`stitchc family --recipe recipe.toml -o FAMILY` makes the family that this is a member of again, and "
            f"`stitchc family extract FAMILY {taken['member']} -o DIR` takes it out."
        )
        return
    again = ", then `stitchc tune DIR --recipe recipe.toml`" if record.get("tuned") else ""
    yield f"\n`recipe.toml` makes it again: `stitchc compile --recipe recipe.toml -o DIR`{again}."


def said_of_input(spec: Mapping[str, Any]) -> str:
    """What images must be, in a sentence."""
    mean, std = (", ".join(f"{x:g}" for x in spec[key]) for key in ("mean", "std"))
    crop = "" if spec["crop"] == 1 else f", the centre {percent(spec['crop'], 0)} of it"
    assumed = f" Assumed, because nobody stated it: {markdown(', '.join(spec['assumed']))}." if spec["assumed"] else ""
    return (
        f"Images are resized ({spec['interpolation']}{crop}), scaled to [0, 1], then normalised per channel: "
        f"mean {mean}; standard deviation {std}.{assumed}"
    )


def _costs(record: Mapping[str, Any]) -> Iterator[str]:
    networks = [
        *record["models"],
        {
            "name": "hybrid" if _stitched(record) else "this one",
            **record["cost"],
            "accuracy": (record["accuracy"] or {}).get("top1"),
        },
    ]
    told = [metric for metric in metrics.every() if metric.combine in ("sum", "derived", "file")]
    yield f"| network | {' | '.join(metric.column for metric in told)} | top-1 |\n|{'---|' * (len(told) + 2)}"
    for network in networks:
        name = f"**{network['name']}**" if network is networks[-1] else markdown(network["name"])
        costs = [amount(network.get(metric.key), metric.unit) for metric in told]
        yield f"| {' | '.join([name, *costs, percent(network['accuracy'])])} |"
    yield "\nOne multiply-add is one MAC and two FLOPs, for one image."
    if record.get("uncounted"):
        yield f"The hybrid's {markdown(without_formula(record['uncounted']))}"
    found = record["accuracy"]
    if found:
        yield f"Top-1 was measured on {found['images']} images of {code(found['data'])}, the same for all."
    else:
        yield "The hybrid's accuracy was not measured; the parents' is what their own records state."


def _compared(record: Mapping[str, Any]) -> Iterator[str]:
    yield f"Best within the budget: {markdown(winner(record))}."
    if warning := dominated(record):
        yield f"\n**Warning**: {markdown(warning)}"
    rows = networks(record)
    told = [metric for metric in metrics.every() if metric.name in ("macs", "params", "latency")]
    told = [metric for metric in told if any(row["cost"].get(metric.key) is not None for row in rows)]
    heads = ["network", "input", *(metric.column for metric in told), "score", "top-1", "over the line"]
    yield f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}"
    for row in rows:
        name = markdown(row["name"])
        name = f"**{name}**" if row["best"] else name
        costs = [amount(row["cost"].get(metric.key), metric.unit) for metric in told]
        shown = score(row["score"]), percent(row["accuracy"]), points(row["over_line"])
        cells = [name, shape(row["input"]["size"]), *costs, *shown]
        yield f"| {' | '.join(cells)} |"
    yield ""
    yield from (f"{markdown(line)}  " for line in legend(record, rows))


def _parents(record: Mapping[str, Any]) -> Iterator[str]:
    used = {link.get("model") for member in record.get("ensemble") or [record] for link in member["chain"]}
    for model in record["models"]:
        if not _stitched(record) and model["name"] not in used:
            continue
        yield said_of_model(model)
    if _stitched(record):
        yield "\nThe hybrid's weights derive from theirs; both licences hold for it."


def said_of_model(model: Mapping[str, Any]) -> str:
    """A model's source, licence and digest, as an item of a list."""
    licence = (
        markdown(model["licence"]) if model["licence"] else "no licence stated: ask its authors before you pass this on"
    )
    weights = f" (weights SHA-256 {code(model['sha256'])})" if model["sha256"] else ""
    return f"- {code(model['source'] or model['name'])}: {licence}{weights}"


def _stitched(record: Mapping[str, Any]) -> bool:
    """Whether it is the stitch that was written, and not what was found to be better."""
    return record.get("written", "hybrid") == "hybrid"


def _checks(record: Mapping[str, Any]) -> Iterator[str]:
    if record["similarity"] is not None:
        probe = record["probe"] or {}
        on = f" on {probe['images']} images of {code(probe['data'])}" if probe else ""
        yield f"- Similarity of the two cuts: {record['similarity']:.3f} ({markdown(record['similarity_metric'])}{on})."
    if record.get("polishing"):
        yield f"- Polished{Polished(record['polishing']).said}."
    found = record["verified"]
    if found:
        batches = " and ".join(map(str, found["batches"]))
        onnx = f", ONNX Runtime {found['onnx_max_abs']:.1e}" if found["onnx_max_abs"] is not None else ""
        there = f"; on {code(found['device'])} by {found['device_max_rel']:.1e} relative" if found.get("device") else ""
        yield (
            f"- Verified at batch {batches} against the stitched graph: this module differs by at most "
            f"{found['module_max_abs']:.1e}{there}{onnx}; the classes agree on {percent(found['argmax_agreement'])}."
        )


def _training(training: Mapping[str, Any]) -> str:
    """One item of the key `tuned`, in a line."""
    what = {"adapter": "the adapter", "all": "the whole"}.get(
        training["train"], f"adapter and {markdown(training['train'])}"
    )
    found = training["accuracy"]
    reached = ""
    if found["after"] is not None:
        reached = f": top-1 {percent(found['before'])} before, {percent(found['after'])} after"
    return (
        f"- Trained {what} ({count(training['trained_params'])} params) for {several(training['epochs'], 'epoch')} on "
        f"{training['images']} images of {code(training['data'])}{reached}. {kept(training)}"
    )
