"""Every error that stitchc raises on purpose, in one tree.

    StitchError                 what all of them are: a message, a hint, a code, an exit status
    ├── InputError        (2)   something that was given cannot be used
    │   ├── ModelError          a model cannot be found, loaded or traced
    │   │   ├── WeightsUnavailable   its weights are not here and cannot be downloaded
    │   │   ├── BadCheckpoint        its file is missing, truncated or does not fit the architecture
    │   │   ├── UnsafeCheckpoint     its file holds pickled code
    │   │   └── TraceError           no front-end can turn it into a graph
    │   ├── DataError           images cannot be found or read
    │   ├── QuantityError       a budget or a metric that means nothing
    │   ├── CutError            a cut that does not exist, or a pair that cannot be joined
    │   └── OutputError         the output folder cannot be written
    ├── Infeasible        (1)   no candidate meets the budget; carries the nearest reachable values
    ├── VerificationError (1)   what was emitted does not agree with what was meant
    ├── Diverged          (1)   a training whose loss is no number any more
    └── PipelineError     (1)   passes in an order that cannot work

`message` says what was given, where, and why it is refused; `hint` says the exact thing to try. Both name options as
Python does, marked: `rank='cascade'`. A command line words them as its flags.
`code` is stable and goes into `--json` documents; the number above is the exit status of the command line.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, ClassVar


class StitchError(Exception):
    """An error of stitchc: `message` (what and why), `hint` (what to try), `code`, `exit_status`."""

    code: ClassVar[str] = "error"
    exit_status: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = ""):
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def as_dict(self) -> dict[str, Any]:
        """The `error` object of a JSON document."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class InputError(StitchError):
    """Something that was given cannot be used."""

    code = "input"
    exit_status = 2


class ModelError(InputError):
    """A model cannot be found, loaded or run."""

    code = "model"


class WeightsUnavailable(ModelError):
    """A model's weights are not on this machine and cannot be downloaded."""

    code = "weights-unavailable"


class BadCheckpoint(ModelError):
    """A checkpoint is missing, truncated or does not fit its architecture."""

    code = "bad-checkpoint"


class UnsafeCheckpoint(ModelError):
    """A checkpoint holds pickled code, which is run only if it is trusted."""

    code = "unsafe-checkpoint"


class TraceError(ModelError):
    """A model cannot be turned into a graph, or its graph computes something else."""

    code = "trace"


class DataError(InputError):
    """Images cannot be found or read, or are not suited to what they are needed for."""

    code = "data"


class QuantityError(InputError):
    """A budget, unit or metric that cannot be parsed or is unknown."""

    code = "quantity"


class CutError(InputError):
    """A cut or adapter that does not exist, or two cuts that cannot be joined."""

    code = "cut"


class OutputError(InputError):
    """A file or folder cannot be written."""

    code = "output"


class Infeasible(StitchError):
    """No candidate meets the budget. `nearest` is the smallest reachable value of each metric of the budget."""

    code = "infeasible"

    def __init__(self, message: str, hint: str = "", nearest: Mapping[str, float] | None = None):
        super().__init__(message, hint)
        self.nearest = dict(nearest or {})

    def as_dict(self) -> dict[str, Any]:
        """The `error` object of a JSON document, with the nearest reachable values."""
        return super().as_dict() | {"nearest": self.nearest}


class VerificationError(StitchError):
    """An emitted file does not compute what the stitched graph computes."""

    code = "verification"


class Diverged(StitchError):
    """The loss of a training became infinite or NaN."""

    code = "diverged"


class PipelineError(StitchError):
    """A pass runs without what it requires, or breaks its contract."""

    code = "pipeline"


def unknown(
    given: object, what: str, known: Iterable[str], error: type[StitchError] = InputError, *, among: str = ""
) -> StitchError:  # fmt: skip
    """The error for a word that is none of those known: "'x' is no y. Did you mean 'z'? There are a, b and c."

    what: the noun, with what is to be said behind it. among: where they are too many to be listed, what names them.
    """
    names = list(known)
    listed = among or (f"There are {', '.join(names)}." if names else "There are none.")
    return error(f"'{given}' is no {what}", f"{did_you_mean(str(given), names)} {listed}".strip())


def did_you_mean(given: str, known: list[str], *, cutoff: float = 0.6) -> str:
    """`Did you mean 'x'?` with up to three of the `known` names nearest to `given`, or an empty string.

    cutoff: how near a name must be, of 1.
    """
    near = get_close_matches(given, known, n=3, cutoff=cutoff)
    return f"Did you mean {' or '.join(repr(name) for name in near)}?" if near else ""


_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")  # of a terminal: colours, bold
_LONGEST = 300  # characters of a message of somebody else's


def first_line(error: BaseException) -> str:
    """What an exception of somebody else's code says, in one line of plain text; its type where it says nothing."""
    lines = [line.strip() for line in _ESCAPES.sub("", str(error)).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 3]}..."
