"""A history as a page of Markdown: what passes, what does not and why."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from itertools import groupby

from ..passes.data.printable import one_line
from ..report.numbers import count, duration
from .record import STEPS, Checked, History
from .summary import passed_of, summary

_STEPS = """\
| step | what it means |
|---|---|
| load | the library builds the model, with random weights |
| trace | one of the front-ends turns it into a graph |
| equal | the graph computes what the model computes, at batch 1 and 2, to 1e-5 of the largest output |
| cuts | the values where it can be cut, by both rules |
| cost | parameters and multiply-adds |
| emit | the whole graph written as `model.py` and `model.safetensors` |
| run | `model.py`, run on torch alone, computes what the graph computes, at batch 1 and 2, to 1e-4 (where rounding \
alone moves the outputs of these random weights further, ten times that, at most 2e-2) |
| onnx | `model.py` exported to ONNX with a free batch size (larger models skip this and the next) |
| ort | ONNX Runtime computes what the graph computes, as closely |"""

_WEIGHTS = """\
Weights are random. Constant ones (zero-initialised branches, biases) are made random too, faint ones (layer scales)
raised, and the statistics of every BatchNorm taken from what reaches it: in a fresh network an operator behind such a
weight could be wrong and no output would show it."""

_COLUMNS = """\
Layouts: how many cuts hold maps (NCHW, NHWC), tokens (NLC, + prefix tokens) and vectors (NC). No layout: how many
values cross alone, but in a form that no adapter can meet. Lines: of `model.py`. Seconds: of all steps together."""


def page(history: History) -> str:
    """The page. The order of the models is that of their names, so that a new run changes the lines it must."""
    models = sorted(history.models.values(), key=lambda m: m.model)
    failures = [m for m in models if m.failed]
    parts = [
        "# Coverage",
        f"{len(models)} models, {len(models) - len(failures)} pass every step that was tried. Made from\n"
        "`coverage.jsonl` by `make coverage`, which goes on where it was stopped; `stitchc zoo check` tries any model.",
        _summary(models),
        _STEPS,
        _WEIGHTS,
        _speed(models),
        "## Measured",
        _runs(history),
        "## Failures",
        _failures(failures) if failures else "None.",
        _loose(m for m in models if not m.failed),
        "## Models",
        _COLUMNS,
        *_models(models),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(models: Sequence[Checked]) -> str:
    rows = [
        [library, str(counts["models"]), str(counts["passed"]), *(passed_of(c) for c in counts["steps"].values())]
        for library, counts in summary(models).items()
    ]
    return _table(["library", "models", "all passed", *STEPS], rows, "l" + "r" * (2 + len(STEPS)))


def _speed(models: Iterable[Checked]) -> str:
    taken = [(m.steps.get("trace", 0.0) + m.steps["cuts"], m) for m in models if m.passed("cuts")]
    if not taken:
        return ""
    slowest, model = max(taken, key=lambda pair: pair[0])
    largest = max((m for _, m in taken), key=lambda m: m.nodes or 0)
    seconds = largest.steps.get("trace", 0.0) + largest.steps["cuts"]
    median = statistics.median(s for s, _ in taken)
    return (
        f"Tracing, and finding the cuts by both rules: median {duration(median)}, at most {duration(slowest)}\n"
        f"({model.model}, {model.nodes} nodes); the largest graph, {largest.model} with {largest.nodes} nodes, "
        f"{duration(seconds)}.\nAll seconds are processor time, on one thread."
    )


def _runs(history: History) -> str:
    """Runs on the same day, machine and versions are one."""
    found = [
        (run["date"], run["machine"], ", ".join(f"{k} {v}" for k, v in run["versions"].items())) for run in history.runs
    ]
    notes = [run["note"] for run in history.runs if "note" in run]  # written in by hand, where a run needs a word
    rows = [list(run) for run, _ in groupby(found)]
    return "\n\n".join([_table(["date", "machine", "versions"], rows, "lll"), *notes])


def _failures(failures: Iterable[Checked]) -> str:
    return _table(["model", "step", "reason"], [[m.model, m.failed, m.reason] for m in failures], "lll")


def _loose(models: Iterable[Checked]) -> str:
    """The models that passed though their outputs differ by more than the usual bound."""
    found = [f"{m.model} ({name} {value:g})" for m in models for name, value in m.differences.items() if value > 1e-4]
    return f"Passed by the wider bound, as rounding alone does nearly as much: {', '.join(found)}." if found else ""


def _models(models: Iterable[Checked]) -> list[str]:
    heads = ["model", "params", "MACs", "nodes", "cuts", "StitchNet cuts", "layouts", "no layout", "lines", "seconds"]
    parts = []
    for library, members in groupby(models, key=lambda m: m.library):
        rows = [
            [
                m.model.removeprefix(f"{library}/") + (f" (failed: {m.failed})" if m.failed else ""),
                count(m.params), count(m.macs), m.nodes, m.cuts, m.stitchnet_cuts,
                ", ".join(f"{layout} {n}" for layout, n in m.layouts.items()),
                m.unstitchable, m.lines, f"{sum(m.steps.values()):.1f}",
            ]
            for m in members
        ]  # fmt: skip
        parts += [f"### {library}", _table(heads, rows, "lrrrrrlrrr")]
    return parts


def _cell(value: object) -> str:
    return "" if value is None else one_line(str(value).replace("\n", " ")).replace("|", "\\|").replace("<", "&lt;")


def _table(heads: Sequence[str], rows: Iterable[Sequence[object]], align: str) -> str:
    marks = ["---:" if side == "r" else "---" for side in align]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, marks, *(map(_cell, row) for row in rows)))
