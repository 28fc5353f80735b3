"""The command line: it parses, calls the public API, renders, and sets the exit status.

Standard output carries results, standard error everything else. Exit status: 0 done and verified; 1 it ran, but no
stitch meets the budget, or verification failed; 2 usage or input; 130 interrupted.
"""

import os
import sys

from .process import Interruption, open_closed_streams, prepare_for_torch

#: The variable by which a shell asks for its script, or for what a word can be completed to.
_COMPLETE = "_STITCHC_COMPLETE"


def main(arguments: list[str] | None = None) -> int:
    """The console script `stitchc`. Returns the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    if open_closed_streams():
        sys.stderr.write(
            "error: standard output is closed, so a result has nowhere to go\n  Redirect it: > result.txt\n"
        )
        return 2
    prepare_for_torch()
    with Interruption() as interruption:
        try:
            _check_characters(given)
            from .verbs import stitchc

            # Answered here: click would call sys.exit, which is refused as a fault of code that was run.
            if asked := os.environ.get(_COMPLETE):
                from click.shell_completion import shell_complete

                return shell_complete(stitchc, {}, "stitchc", _COMPLETE, asked)
            return stitchc.main(given, prog_name="stitchc", standalone_mode=False) or 0
        except BaseException as error:
            interruption.over()
            from .failure import report_failure

            return report_failure(error, given, interrupted=interruption.happened)


def _check_characters(words: list[str]) -> None:
    """A shell gives none that a file cannot be called by, a program that calls `main` can."""
    for word in words:
        strange = next((character for character in word if character == "\0" or not _encodes(character)), None)
        if strange is not None:
            from ..passes.data.errors import InputError

            raise InputError(
                f"{word!r} holds a character that no name of a file can have: {strange!r}", "Leave it out."
            )


def _encodes(character: str) -> bool:
    try:
        os.fsencode(character)
    except UnicodeEncodeError:
        return False
    return True
