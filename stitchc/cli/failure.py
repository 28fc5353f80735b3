"""How an error leaves the command line: as a sentence and a hint, or as one JSON document; and with which status."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import Any

import click

from ..passes.data.errors import StitchError, did_you_mean, first_line
from ..passes.data.out_of_memory import ran_out
from ..passes.data.printable import one_line, shortened
from ..wording import as_flags

INTERRUPTED = 130
#: What the system says of a name that it is given: whoever gave it can give another.
_OF_NAMES = {errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}
SCHEMA = 1


def report_failure(error: BaseException, arguments: Sequence[str], *, interrupted: bool) -> int:
    """Says on the right stream what went wrong, and returns the exit status."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if interrupted or isinstance(error, KeyboardInterrupt | click.Abort):
        record, status = _interruption(error), INTERRUPTED
    else:
        record, status = describe(error)
    own = list(arguments[: arguments.index("--")] if "--" in arguments else arguments)
    try:
        if "--json" in own:
            print(json.dumps({"schema": SCHEMA, "error": record}, indent=1), flush=True)
        else:
            _say(record)
    except BrokenPipeError:
        silence_stdout()
    except OSError:  # a full disk, which may be what went wrong in the first place
        silence_stdout()
        _say(record)
    return status


def _interruption(error: BaseException) -> dict[str, Any]:
    notes = getattr(error, "__notes__", [])  # of whoever keeps something to go on from
    return {
        "code": "interrupted",
        "message": "interrupted" if notes else "interrupted; nothing was left behind",
        "hint": " ".join(notes),
    }


def describe(error: BaseException) -> tuple[dict[str, Any], int]:
    """The `error` object of a JSON document, in which no value is shown at length, and the exit status."""
    record, status = _described(error)
    return record | {key: shortened(record[key]) for key in ("message", "hint")}, status


def _described(error: BaseException) -> tuple[dict[str, Any], int]:
    if isinstance(error, StitchError):
        return _worded(error.as_dict()), error.exit_status
    if isinstance(error, click.UsageError):
        return _worded({"code": "usage", "message": _usage_message(error), "hint": _usage_hint(error)}), 2
    if isinstance(error, click.ClickException):
        return {"code": "usage", "message": error.format_message(), "hint": ""}, 2
    if isinstance(error, OSError) and error.filename and error.errno in _OF_NAMES:
        return {
            "code": "input",
            "message": f"{error.filename}: {error.strerror}",
            "hint": "Name something that this user may read.",
        }, 2
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return {"code": "system", "message": f"{where}{error.strerror}", "hint": ""}, 1
    if isinstance(error, SystemExit):  # of code that was run; a status of its own must not pass as ours
        code = "" if error.code is None else repr(error.code)
        return {
            "code": "input",
            "message": f"code that was run ended the program: sys.exit({code})",
            "hint": 'Take that call out of the network, or put it under `if __name__ == "__main__":`.',
        }, 2
    if isinstance(error, MemoryError) or ran_out(error):
        return {
            "code": "system",
            "message": "there is not enough memory" + (f": {first_line(error)}" if str(error) else ""),
            "hint": "Give a smaller --max-memory, fewer --probe-images, or smaller networks; or --device cpu.",
        }, 1
    if isinstance(error, RecursionError):
        return {
            "code": "input",
            "message": "something that was given is nested too deeply to be read or run",
            "hint": "Was it made by a program that went wrong? -v shows where.",
        }, 2
    said = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return {
        "code": "internal",
        "message": f"stitchc failed in a way it should not: {said}",
        "hint": "Please report it, with what `stitchc env` prints and the output of the same command with -v.",
    }, 1


def _worded(record: dict[str, Any]) -> dict[str, Any]:
    return record | {key: as_flags(record[key]) for key in ("message", "hint")}


def silence_stdout() -> None:
    """Nobody can read our output (`| head` has gone, a disk is full): let the interpreter's last flush go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage_message(error: click.UsageError) -> str:
    if isinstance(error, click.NoSuchOption):
        return f"no such option: {error.option_name}"
    return error.format_message()


def _usage_hint(error: click.UsageError) -> str:
    context = error.ctx
    hints = [getattr(error, "hint", "")]
    if context is not None:
        if isinstance(error, click.NoSuchOption):
            known = [name for parameter in context.command.get_params(context) for name in parameter.opts]
            is_group = isinstance(context.command, click.Group)
            hints.append("Options come after the verb." if is_group else did_you_mean(error.option_name, known))
        hints.append(f"`{context.command_path} --help` lists what there is.")
    return " ".join(hint for hint in hints if hint)


def _say(record: dict[str, Any]) -> None:
    terminal = sys.stderr.isatty()
    lines = [f"error: {record['message']}", *(f"  {line}" for line in record["hint"].splitlines())]
    lines = [one_line(line, 10_000) for text in lines for line in text.split("\n")]
    if terminal:  # which would break lines within words; a pipe gets each sentence whole
        width = max(20, shutil.get_terminal_size().columns - 1)
        lines = [part for line in lines for part in textwrap.wrap(line, width, subsequent_indent="  ")]
    if terminal and not os.environ.get("NO_COLOR"):
        lines[0] = lines[0].replace("error:", click.style("error:", fg="red", bold=True), 1)
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    sys.stderr.write("\n".join(lines).encode(encoding, "replace").decode(encoding) + "\n")
    sys.stderr.flush()
