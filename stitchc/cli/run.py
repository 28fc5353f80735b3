"""What every verb shares: its flags, and the way from a result to standard output."""

from __future__ import annotations

import functools
import json
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass
from typing import TYPE_CHECKING, Any

import click

from ..passes.data.errors import InputError, StitchError
from ..passes.data.options import Options, option_of, options_of
from ..shared_options import CommonOptions
from .failure import silence_stdout
from .flags import flags, given
from .parts import COMMON, Argument, Verb, option
from .process import results_only

if TYPE_CHECKING:
    from ..progress import Progress


@dataclass(frozen=True)
class Run:
    """One run of a verb. given: of the options of its record those that were given. common: of those that all verbs
    take, whether the record has them or not."""

    json: bool
    quiet: bool
    verbose: bool
    no_progress: bool
    given: Mapping[str, Any]
    common: Mapping[str, Any]

    @functools.cached_property
    def progress(self) -> Progress:
        from ..progress import Silent
        from ..report.progress import progress_on

        return Silent() if self.quiet or self.no_progress else progress_on(sys.stderr, verbose=self.verbose)

    def close(self) -> None:
        """Takes down what shows progress, if anything does."""
        if "progress" in vars(self):
            self.progress.close()


@dataclass(frozen=True)
class Outcome:
    """What a verb has found: one JSON document, and the same for a reader; without a report, the document is all."""

    document: Mapping[str, Any]
    report: Sequence[Any] = ()  # rich renderables
    status: int = 0


_COMMON = [
    option("--json", is_flag=True, group=COMMON, help="Print one JSON document instead of a report."),
    option("-q", "--quiet", is_flag=True, group=COMMON, help="Show no progress."),
    option("-v", "--verbose", is_flag=True, group=COMMON, help="Show what happens, and tracebacks."),
    option("--no-progress", is_flag=True, group=COMMON, help="Draw no progress bars."),
    *flags(CommonOptions, common=True),
]
_SHOWN = ("json", "quiet", "verbose", "no_progress")


def verb(
    name: str, example: str, record: type[Options] = Options, *, anywhere: bool = False
) -> Callable[[Callable[..., Outcome]], click.Command]:
    """Makes a function `(run, **others) -> Outcome` a verb with the options of a record, and those common to all.

    others: what click arguments and options of the verb alone say. anywhere: whether it looks for the device among the
    common options, where its record has none.
    """

    def make(function: Callable[..., Outcome]) -> click.Command:
        @functools.wraps(function)
        def invoke(**values: Any) -> int:
            shown = {key: values.pop(key) for key in _SHOWN}
            common = given({key: values.pop(key) for key in options_of(CommonOptions)})
            own = options_of(record)
            said = given({key: values.pop(key) for key in own if key in values})
            run = Run(**shown, given=said | {k: v for k, v in common.items() if k in own}, common=common)
            _quieten(run.verbose)
            if "device" not in own and not anywhere and common.get("device", "cpu") not in ("auto", "cpu"):
                raise InputError(
                    f"this verb computes on the processor only, not on {common['device']}", "Leave `device` out."
                )
            _check(said, own, values)
            with results_only():
                outcome = _attempt(run, lambda: function(run, **values))
            _print(run, outcome)
            return outcome.status

        command: Any = invoke
        for decorate in reversed([*flags(record), *_COMMON]):
            command = decorate(command)
        return click.command(name, cls=Verb, example=example)(command)

    return make


def _check(said: Mapping[str, Any], own: Mapping[str, Field], values: Mapping[str, Any]) -> None:
    """Refuses options and arguments that name what is not there, before what would load it is imported.

    said: values of options, by name; own: the options themselves. values: of click's arguments.

    Raises:
        StitchError: there is one.
    """
    for name, value in said.items():
        option_of(own[name]).kind.check(value)
    for argument in click.get_current_context().command.params:
        if isinstance(argument, Argument) and argument.check:
            value = values[argument.name]
            for words in value if argument.nargs == -1 else [value] if value else []:
                argument.check(words)


def _attempt(run: Run, work: Callable[[], Outcome]) -> Outcome:
    try:
        try:
            return work()
        finally:
            run.close()
    except Exception as error:
        if run.verbose and not isinstance(error, StitchError | click.ClickException):
            traceback.print_exception(error, file=sys.stderr)
        raise


def _print(run: Run, outcome: Outcome) -> None:
    try:
        if run.json or not outcome.report:
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
