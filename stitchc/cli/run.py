"""What every verb shares: the common options, and the way from a result to standard output."""

from __future__ import annotations

import functools
import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ..passes.data.errors import InputError, StitchError
from .failure import silence_stdout
from .parts import COMMON, Name, Verb, option
from .streams import results_only

if TYPE_CHECKING:
    from ..progress import Progress


@dataclass(frozen=True)
class Run:
    """The common options of one run of a verb."""

    json: bool
    quiet: bool
    verbose: bool
    seed: int
    device: str
    trust_pickle: bool
    force: bool
    no_progress: bool

    @functools.cached_property
    def progress(self) -> Progress:
        from ..progress import Silent
        from ..report.progress import progress_on

        return Silent() if self.quiet or self.no_progress else progress_on(sys.stderr, verbose=self.verbose)

    def close(self) -> None:
        """Takes down what shows progress, if anything does."""
        if "progress" in vars(self):
            self.progress.close()

    @property
    def loading(self) -> dict[str, Any]:
        """The common options of everything that loads models and runs passes, by the names of the public API.

        Raises:
            InputError: a device other than the processor, on which the passes do not run.
        """
        if self.device not in ("auto", "cpu"):
            raise InputError(f"this verb computes on the processor only, not on {self.device}", "Leave --device out.")
        return {"seed": self.seed, "trust_pickle": self.trust_pickle, "progress": self.progress}


@dataclass(frozen=True)
class Outcome:
    """What a verb has found: one JSON document, and the same for a reader."""

    document: Mapping[str, Any]
    report: Sequence[Any] = ()  # rich renderables
    status: int = 0


_COMMON = [
    option("--json", is_flag=True, group=COMMON, help="Print one JSON document instead of a report."),
    option("-q", "--quiet", is_flag=True, group=COMMON, help="Show no progress."),
    option("-v", "--verbose", is_flag=True, group=COMMON, help="Show what happens, and tracebacks."),
    option("--no-progress", is_flag=True, group=COMMON, help="Draw no progress bars."),
    option(
        "--seed", type=click.IntRange(min=0), default=0, metavar="N", group=COMMON, help="Of every random choice [0]."
    ),
    option("--device", type=Name("auto", "cpu", "cuda", "mps"), default="auto", group=COMMON, help="Where to compute."),
    option(
        "--trust",
        "--trust-pickle",
        "trust_pickle",
        is_flag=True,
        group=COMMON,
        help="Allow code in files that come from somebody, such as pickled networks. This runs it.",
    ),
    option("--force", is_flag=True, group=COMMON, help="Replace an earlier result of stitchc."),
]


def verb(name: str, example: str) -> Callable[[Callable[..., Outcome]], click.Command]:
    """Makes a function `(run, **options) -> Outcome` a verb with the common options."""

    def make(function: Callable[..., Outcome]) -> click.Command:
        @functools.wraps(function)
        def invoke(**given: Any) -> int:
            run = Run(**{key: given.pop(key) for key in Run.__dataclass_fields__})
            _quieten(run.verbose)
            with results_only():
                outcome = _attempt(run, lambda: function(run, **given))
            _print(run, outcome)
            return outcome.status

        command: Any = invoke
        for decorate in reversed(_COMMON):
            command = decorate(command)
        return click.command(name, cls=Verb, example=example)(command)

    return make


def _attempt(run: Run, work: Callable[[], Outcome]) -> Outcome:
    try:
        try:
            return work()
        except SystemExit as error:  # of a network's own code; it must not pass as our result
            raise InputError(
                f"code that was run ended the program: sys.exit({'' if error.code is None else error.code!r})",
                'Take that call out of the network, or put it under `if __name__ == "__main__":`.',
            ) from error
        finally:
            run.close()
    except Exception as error:
        if run.verbose and not isinstance(error, StitchError | click.ClickException):
            traceback.print_exception(error, file=sys.stderr)
        raise


def _print(run: Run, outcome: Outcome) -> None:
    try:
        if run.json:
            print(json.dumps(outcome.document, indent=1, allow_nan=False))
        else:
            from ..report.terminal import show

            show(outcome.report, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()


def _quieten(verbose: bool) -> None:
    """Without -v, libraries keep their warnings to themselves."""
    logging.basicConfig(
        stream=sys.stderr, format="%(name)s: %(message)s", level=logging.INFO if verbose else logging.ERROR
    )
    if not verbose:
        logging.getLogger("stitchc").setLevel(logging.WARNING)
        warnings.simplefilter("ignore")
