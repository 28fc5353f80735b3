"""One run of the command line on something hostile: in a process of its own, watched from outside."""

from __future__ import annotations

import itertools
import os
import resource
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 10  # of a processor: what a clock on the wall says depends on who else is at work
HANGS = 60  # seconds on the wall after which a run is ended
MEBIBYTES = 1024  # that a run may take beside what the interpreter and torch take


@dataclass(frozen=True)
class Outcome:
    """status: of the process, negative for a signal. said: all that it wrote. mebibytes: that its memory grew by."""

    status: int
    said: str
    seconds: float
    mebibytes: float


def attempt(arguments: Sequence[str], folder: Path) -> Outcome:
    """Runs `stitchc` with these arguments in `folder`, in a copy of this process; ends it when it takes too long.
    Arguments like `NAME=value` before the others are put into the environment, as a shell does."""
    output = folder.parent / "said.txt"
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        _run(arguments, folder, output)
    status, usage = _wait(child, start)
    grown = max(0, usage.ru_maxrss - _resident()) / 1024
    return Outcome(status, output.read_text(errors="replace"), usage.ru_utime + usage.ru_stime, grown)


def _run(arguments: Sequence[str], folder: Path, output: Path) -> None:
    status = 99
    try:
        os.chdir(folder)
        opened = os.open(output, os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        for number in (1, 2):
            os.dup2(opened, number)
        import sys

        sys.stdout, sys.stderr = (os.fdopen(number, "w", errors="backslashreplace") for number in (1, 2))
        import torch

        torch.set_num_threads(1)  # threads of the process that was copied are not here
        from stitchc.cli import main

        words = itertools.dropwhile(_in_environment, arguments)
        status = main(list(words))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def _in_environment(word: str) -> bool:
    name, sign, value = word.partition("=")
    if not (sign and name.isupper()):
        return False
    os.environ[name] = value
    return True


def _wait(child: int, start: float) -> tuple[int, resource.struct_rusage]:
    """The exit status, and what the run took of the machine."""
    while True:
        found, status, usage = os.wait4(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status), usage
        if time.monotonic() - start > HANGS:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            return os.waitstatus_to_exitcode(status), usage
        time.sleep(0.005)


def _resident() -> int:
    """KiB of memory of this process, which a copy begins with."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0
