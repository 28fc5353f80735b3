"""The README of a family: its members, how one switches, from what they are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..documents import without_formula
from ..passes.data import metrics
from ..passes.data.printable import code, fenced, markdown
from ..readme import said_of_input, said_of_model
from ..report.chain import ChainLine
from ..report.numbers import amount, percent
from ..report.terminal import render

_USE = """\
## Use

```python
from model import load  # model.py, beside this file; it needs torch and nothing else

family = load()  # an nn.Module in eval mode; its largest member runs
family.set_budget(macs={macs})  # the largest member within; set_member("{name}") names one
scores = family(images)  # float32 [n, {size}]
family.fit_latency(5.0)  # measures the members on this device: the largest within 5 ms
```
"""

_ONNX = """
`onnx/NAME.onnx` is a member for ONNX Runtime: input `input`, output `output`, any batch size. All read their weights
from `onnx/model.onnx.data`, so keep the folder together."""


def family_readme(record: Mapping[str, Any]) -> str:
    """Markdown, from the record of a family. It holds no time and no path, so equal records give equal text."""
    return "\n".join(_lines(record)) + "\n"


def _lines(record: Mapping[str, Any]) -> Iterator[str]:
    members, models = record["members"], record["models"]
    yield f"# A family of {markdown(' and '.join(model['name'] for model in models))}"
    yield ""
    yield f"{len(members)} networks in one, made by stitchc. They share what they have in common; one runs at a time."
    yield ""
    yield from _table(members)
    yield "\nOne multiply-add is one MAC and two FLOPs, for one image. The weights are those of each member alone;"
    yield f"`model.safetensors` holds all of them in {amount(record['size_bytes'], metrics.get('size').unit)}."
    for member in members:
        if member["uncounted"]:
            yield f"{member['name']}: {markdown(without_formula(member['uncounted']))}"
    yield ""
    first, size = members[0], ", ".join(map(str, record["input"]["size"]))
    yield _USE.format(macs=first["cost"]["macs"], name=first["name"], size=size)
    yield said_of_input(record["input"])
    if all(member["verified"] and member["verified"]["onnx_max_abs"] is not None for member in members):
        yield _ONNX
    yield "\n## The members\n"
    for member in members:
        yield f"{code(member['name'])}\n\n{fenced(render([ChainLine(member['chain'])], width=100).rstrip())}\n"
    yield "## From what\n"
    yield from map(said_of_model, models)
    yield "\nThe weights derive from theirs; all of these licences hold for the family."
    yield "\n## How it was checked\n"
    yield from _checks(members)
    yield from (f"- Note: {markdown(note)}" for note in record["notes"])
    yield "\n`stitchc family extract DIR MEMBER -o OUT` makes an artifact of one member alone."


def _table(members: list[Mapping[str, Any]]) -> Iterator[str]:
    told = [metric for metric in metrics.every() if metric.combine in ("sum", "derived", "file")]
    yield f"| member | {' | '.join(metric.column for metric in told)} | top-1 |\n|{'---|' * (len(told) + 2)}"
    for member in members:
        costs = [amount(member["cost"].get(metric.key), metric.unit) for metric in told]
        name = f"{member['name']} (as it was given)" if member["parent"] else member["name"]
        yield f"| {' | '.join([name, *costs, percent((member['accuracy'] or {}).get('top1'))])} |"


def _checks(members: list[Mapping[str, Any]]) -> Iterator[str]:
    found = [member["verified"] for member in members if member["verified"]]
    if found:
        batches = " and ".join(map(str, found[0]["batches"]))
        onnx = [one["onnx_max_abs"] for one in found if one["onnx_max_abs"] is not None]
        runtime = f", ONNX Runtime {max(onnx):.1e}" if onnx else ""
        yield (
            f"- Each member was verified at batch {batches} against its own graph: this module differs by at most "
            f"{max(one['module_max_abs'] for one in found):.1e}{runtime}; the classes agree."
        )
    measured = next((member["accuracy"] for member in members if member["accuracy"]), None)
    if measured:
        yield f"- Top-1 is on {measured['images']} images of {code(measured['data'])}."
