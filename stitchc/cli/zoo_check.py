"""`stitchc zoo check`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..passes.data.printable import one_line
from ..passes.data.whole_file import try_file, whole_file
from .parts import Name, argument, hinted, option
from .run import Outcome, Run, verb

if TYPE_CHECKING:
    from ..check import Checked

_STEPS = ("load", "trace", "equal", "cuts", "cost", "emit", "run", "onnx", "ort")  # record.STEPS, imported late
_CHOICE, _LIMITS, _RECORD = "Which models", "Steps and limits", "Record"


class Count(click.ParamType):
    """A number of parameters, `120M`."""

    name = "count"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from ..passes.data.budget import parse_quantity
        from ..passes.data.errors import QuantityError

        try:
            limit = parse_quantity(str(value), "params")
        except QuantityError as error:
            raise hinted(ctx, error.message, error.hint) from error
        return limit.value


@verb("check", example="stitchc zoo check 'torchvision/*' --jobs 2 --out checked.jsonl")
@argument("pattern", metavar="[PATTERN]...", nargs=-1, text="As of `zoo list`; a whole name is that model alone.")
@option("--one-per-family", is_flag=True, group=_CHOICE,
        help="Check the smallest model of every module of its library alone.")  # fmt: skip
@option("--sample", type=click.IntRange(min=1), metavar="N", group=_CHOICE,
        help="Check N models drawn at random; with --one-per-family, N of the others besides.")  # fmt: skip
@option("--max-params", type=Count(), default="120M", metavar="N", group=_CHOICE,
        help="Do not sample larger models, and do not export them to ONNX. [120M]")  # fmt: skip
@option("--until", type=Name(*_STEPS), default="ort", metavar="STEP", group=_LIMITS,
        help=f"Last step to try: {', '.join(_STEPS)}. [ort]")  # fmt: skip
@option("--no-onnx", is_flag=True, group=_LIMITS, help="The same as --until run.")
@option("--frontend", type=Name("auto", "record", "export"), default="auto", group=_LIMITS,
        help="Way to turn the networks into graphs. [auto]")  # fmt: skip
@option("--jobs", type=click.IntRange(min=1), default=1, metavar="N", group=_LIMITS,
        help="Number of models to check at a time. [1]")  # fmt: skip
@option("--timeout", type=click.FloatRange(min=0, min_open=True), default=1200, metavar="SECONDS", group=_LIMITS,
        help="Time that each model may take. [1200]")  # fmt: skip
@option("--memory", type=click.FloatRange(min=0, min_open=True), default=8, metavar="GIB", group=_LIMITS,
        help="Memory that each model may take. [8]")  # fmt: skip
@option("--out", metavar="FILE.jsonl", group=_RECORD,
        help="Add a line for each model to this file, and pass over models that have one.")  # fmt: skip
@option("--again", is_flag=True, group=_RECORD, help="Check models that have a line too.")
@option("--table", metavar="FILE.md", group=_RECORD,
        help="Write all of --out as a page when the models are checked; without PATTERN, only that.")  # fmt: skip
@option("--strict", is_flag=True, group=_RECORD, help="Exit with status 1 if any model failed.")
def command(run: Run, pattern: tuple[str, ...], **given: Any) -> Outcome:
    """Try every pass on models, without their trained weights.

    Each in a process of its own: load, trace, compare with the model, find the cuts, count the cost, emit,
    run what was emitted, export to ONNX, run that."""
    if not pattern and not (given["out"] and given["table"]):
        raise hinted(None, "no models are named", "Give a PATTERN such as 'timm/resnet*', or --out with --table.")
    from ..check import check, pending, read
    from ..check.page import page
    from ..check.summary import summary
    from ..report.check import CheckReport

    for name in ("out", "table"):
        if given[name]:
            try_file(Path(given[name]))
    chosen = _choose(run, pattern, given)
    out = Path(given["out"]) if given["out"] else None
    until = "run" if given["no_onnx"] and _STEPS.index(given["until"]) > _STEPS.index("run") else given["until"]
    left = chosen if given["again"] else pending(chosen, out=out, until=until, max_params=given["max_params"])
    say = _Lines(len(chosen), len(chosen) - len(left), quiet=run.quiet)
    found: dict[str, Checked] = {}
    for checked in check(
        left, out=out, jobs=given["jobs"], timeout=given["timeout"], memory=int(given["memory"] * 2**30), until=until,
        max_params=given["max_params"], again=True, frontend=given["frontend"], seed=run.common.get("seed", 0),
        verbose=run.verbose,
    ):  # fmt: skip
        found[checked.model] = checked
        say(checked)
    if out:
        history = read(out)
        found = dict(history.models)
        if given["table"]:
            _write(Path(given["table"]), page(history))
    models = [found[name] for name in chosen or found]
    document = {"schema": 1, "models": [_line(m) for m in models], "summary": summary(models)}
    failed = any(m.failed for m in models)
    return Outcome(document, [CheckReport(models)], status=1 if given["strict"] and failed else 0)


def _choose(run: Run, patterns: tuple[str, ...], given: dict[str, Any]) -> list[str]:
    from ..check import choose
    from ..progress import stage

    with stage(run.progress, "choosing the models"):
        return choose(
            patterns, one_per_family=given["one_per_family"], sample=given["sample"] or 0,
            max_params=given["max_params"], seed=run.common.get("seed", 0), told=run.progress.update,
        )  # fmt: skip


class _Lines:
    """A line on standard error for every model that is done."""

    def __init__(self, total: int, done: int, *, quiet: bool):
        self.total, self.done, self.quiet = total, done, quiet
        if done and not quiet:
            print(f"{done} of {total} models have a line already; --again checks them too", file=sys.stderr, flush=True)

    def __call__(self, checked: Checked) -> None:
        self.done += 1
        if self.quiet:
            return
        from ..report.numbers import duration

        how = f"failed at {checked.failed}: {checked.reason}" if checked.failed else "ok"
        seconds = duration(sum(checked.steps.values()))
        print(
            f"[{self.done}/{self.total}] {one_line(checked.model)}  {seconds}  {one_line(how)}",
            file=sys.stderr,
            flush=True,
        )


def _line(checked: Checked) -> dict[str, Any]:
    from ..check.record import as_line

    return as_line(checked)


def _write(path: Path, text: str) -> None:
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
