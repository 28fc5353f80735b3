"""Progress on standard error: bars on a terminal, a line for whatever took long elsewhere."""

from __future__ import annotations

import time
from typing import IO, TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from ..passes.data.printable import one_line
from ..progress import Progress, Silent
from .numbers import duration, size
from .terminal import Printable, environment

if TYPE_CHECKING:
    from ..passes.data.plan import Plan
    from ..passes.pipeline import Pass

LONG = 2.0  # seconds; what is quicker passes without a word
OFTEN = 30.0  # seconds between two lines of a log on one stage

# What each pass does, as shown to the user.
_DOING = {
    "trace": "tracing the networks",
    "partition": "finding cuts",
    "similarity": "comparing representations",
    "represent": "running the networks",
    "cost": "counting",
    "latency": "timing the networks",
    "time-candidates": "timing the best stitches",
    "select": "ranking",
    "rank": "probing stitches",
    "stitch": "stitching",
    "fit": "fitting the adapter",
    "heal": "healing",
    "codegen": "writing code and weights",
    "onnx": "exporting ONNX",
    "verify": "verifying",
}


def progress_on(stream: IO[str], *, verbose: bool = False) -> Progress:
    """A progress display for a stream: bars on a terminal, lines elsewhere."""
    console = Printable(file=stream, stderr=True, _environ=environment())
    if console.is_terminal and not console.is_dumb_terminal:
        return _Drawn(console, verbose=verbose)
    return _Told(stream, verbose=verbose)


def _doing(step: Pass, plan: Plan) -> str:
    """What a pass is about to do, and what memory it will take if it can say."""
    words = _DOING.get(step.name, step.name)
    estimate = getattr(step, "estimate", None)
    return f"{words}, about {size(estimate(plan))} of memory" if estimate else words


class _Stages(Silent):
    """Begins and ends stages; passes of a pipeline are stages too."""

    def __call__(self, step: Pass, plan: Plan, seconds: float | None) -> None:
        if seconds is None:
            self.begin(_doing(step, plan))
        else:
            self.end()


class _Told(_Stages):
    """For a pipe or a log file: one line for each stage that took long (for every one if verbose); and of one that is
    still running a line now and then, with what is done, what remains, and what the stage says of itself."""

    def __init__(self, stream: IO[str], *, verbose: bool):
        self.stream = stream
        self.least = 0.0 if verbose else LONG
        self.stages: list[tuple[str, float]] = []
        self.told = self.seen = self.counting = 0.0  # the last line, the last update, and when what is counted began
        self.done = 0

    def begin(self, name: str) -> None:
        self.told = self.seen = self.counting = time.monotonic()
        self.done = 0
        self.stages.append((name, self.told))

    def update(self, done: int, total: int, said: str = "") -> None:
        now = time.monotonic()
        if done < self.done:  # the stage counts something else, from when the last of the other was done
            self.counting = self.seen
        self.done, self.seen = done, now
        if not self.stages or now - self.told < OFTEN:
            return
        self.told = now
        name, start = self.stages[-1]
        left = (now - self.counting) * (total - done) / done if 0 < done <= total else None
        remains = f", about {duration(left)} to go" if left else ""
        of = f"{done} of {total}" if total else f"{done}"
        print(f"{one_line(said or name)}: {of}, {duration(now - start)} so far{remains}", file=self.stream, flush=True)

    def tell(self, line: str) -> None:
        print(one_line(line), file=self.stream, flush=True)

    def end(self) -> None:
        name, start = self.stages.pop()
        seconds = time.monotonic() - start
        if seconds >= self.least:
            print(f"{one_line(name)}: {duration(seconds)}", file=self.stream, flush=True)


class _Drawn(_Stages):
    """A line a stage that lasts, with a bar once its steps are known; what is over and was quick is wiped away."""

    def __init__(self, console: Printable, *, verbose: bool):
        self.least = 0.0 if verbose else LONG
        self.stages: list[tuple[str, float]] = []
        self.console = console
        self.bars: Bars | None = None

    def begin(self, name: str) -> None:
        self._wipe()
        self.stages.append((name, time.monotonic()))
        self.bars = Bars(
            SpinnerColumn(), TextColumn("{task.description}", markup=False), console=self.console, transient=True
        )
        self.bars.add_task(name, total=None)
        self.bars.start()

    def update(self, done: int, total: int, said: str = "") -> None:
        if not self.bars:
            return
        if len(self.bars.columns) == 2:  # only now is it known that there is something to count
            remaining = (TextColumn("to go"), TimeRemainingColumn(compact=True)) if total else ()
            self.bars.columns += (BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn(), *remaining)
        self.bars.update(self.bars.task_ids[0], completed=done, total=total)
        if said:
            self.bars.update(self.bars.task_ids[0], description=said)

    def tell(self, line: str) -> None:
        self.console.print(f"  {line}")

    def end(self) -> None:
        self._wipe()
        name, start = self.stages.pop()
        seconds = time.monotonic() - start
        if seconds >= self.least:
            self.console.print(Text.assemble(f"  {name}  ", (duration(seconds), "dim")))

    def close(self) -> None:
        self._wipe()
        self.stages.clear()

    def _wipe(self) -> None:
        if self.bars:
            self.bars.stop()
            self.bars = None
