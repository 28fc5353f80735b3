"""Jobs of an experiment that several processes share, each with its line in a record, until all are done or the time is
up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Line = dict[str, Any]


class Record:
    """The lines of what was found, which several processes add to."""

    def __init__(self, path: Path):
        self.path = path

    def lines(self) -> list[Line]:
        if not self.path.exists():
            return []
        texts = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(text) for text in texts if text.endswith("\n")]

    def get(self, job: str, name: str) -> Line | None:
        return next((line for line in self.lines() if (line["job"], line["name"]) == (job, name)), None)

    def drop_failed(self) -> None:
        """What failed before is tried again."""
        kept = [json.dumps(line) + "\n" for line in self.lines() if "failed" not in line]
        self.path.write_text("".join(kept), encoding="utf-8")

    def write(self, line: Line) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, (json.dumps(line) + "\n").encode())  # at once, so that lines of several processes do not mix
        os.close(file)


@dataclass(frozen=True)
class Job:
    """Something to do. number: its place among those of its kind, by which processes share them. needs: (kind, name) of
    the jobs whose results it takes."""

    kind: str
    name: str
    number: int
    needs: tuple[tuple[str, str], ...]
    make: Callable[[], Line]


class OutOfTime(BaseException):
    """The minutes are over. No failure of the job that is running."""


def do_together(jobs: Iterable[Job], record: Record, processes: int, minutes: float | None) -> None:
    """Does the jobs in this process and in others, which are started by the words that this one was started by."""
    record.drop_failed()
    words = [sys.executable, *sys.argv, "--share"]
    others = [subprocess.Popen([*words, str(share)]) for share in range(1, processes)]
    start = time.monotonic()
    try:
        do(jobs, record, 0, processes, minutes)
        left = None if minutes is None else max(0.0, 60 * minutes - (time.monotonic() - start))
        for other in others:
            other.wait(left)
    except subprocess.TimeoutExpired:
        pass
    finally:
        for other in others:
            other.kill()


def do(jobs: Iterable[Job], record: Record, share: int, processes: int, minutes: float | None) -> None:
    """Does those of the jobs that are this process's share, in order; a job whose needs are not met yet waits."""
    start, mine = time.monotonic(), []
    try:
        if minutes is not None:
            signal.signal(signal.SIGALRM, _over)
            signal.setitimer(signal.ITIMER_REAL, 60 * minutes)
        mine = [job for job in jobs if job.number % processes == share]
        while mine := [job for job in mine if record.get(job.kind, job.name) is None]:
            job = next((job for job in mine if all(record.get(*need) for need in job.needs)), None)
            if job is None:
                time.sleep(0.5)  # others are at what is needed
                continue
            line = _done(job, record)
            record.write(line)
            said = line.get("failed") or line.get("top1")
            print(f"{time.monotonic() - start:6.0f} s  {job.kind}, {job.name}: {said}", file=sys.stderr)
    except OutOfTime:
        print(f"the time is up, {len(mine)} jobs are left", file=sys.stderr)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _over(*_: Any) -> None:
    raise OutOfTime


def _done(job: Job, record: Record) -> Line:
    start = time.monotonic()
    try:
        missing = [f"{kind}, {name}" for kind, name in job.needs if "failed" in (record.get(kind, name) or {})]
        found = {"failed": f"without {missing[0]}"} if missing else job.make()
    except Exception as error:  # whatever it is, the next row is to be made
        found = {"failed": f"{type(error).__name__}: {error}"}
    return {"job": job.kind, "name": job.name, **found, "seconds": round(time.monotonic() - start, 1)}
