"""One process a task, forked from a server that has imported everything, with limits on time and memory."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

# One thread each: as many models as there are cores run at once, and a process without threads can be forked.
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Imported before the first fork; the second only where more tasks than this will profit from it.
_WARM, _REHEARSED, _FEW = "stitchc.check.warm", "stitchc.check.rehearse", 8

#: Runs in the process: gets the task, and a function that reports what it finds.
Work = Callable[[Any, Callable[[str, dict[str, Any]], None]], None]


@dataclass
class TaskResult:
    """The result of one task.

    found: all that its process reported, later values over earlier ones. step: the last step that began and did not
    end. seconds: how long that step ran. ending: "" when the process ended by itself, else why it was ended.
    """

    task: Any
    found: dict[str, Any] = field(default_factory=dict)
    step: str = ""
    seconds: float = 0.0
    ending: str = ""


def isolated(
    tasks: Sequence[Any], work: Work, *, jobs: int, timeout: float, memory: int, quiet: bool = True
) -> Iterator[TaskResult]:
    """Each task in a process of its own, `jobs` at a time; yields in the order in which they end.

    timeout: seconds. memory: bytes that a process may allocate beyond those at its start (RLIMIT_DATA, which counts
    reserved memory; RLIMIT_AS would count torch's libraries too). Beyond, allocations fail in the process.
    Whoever stops iterating ends the processes that still run.
    """
    context = _context(_REHEARSED if len(tasks) > _FEW else _WARM)
    waiting = list(reversed(tasks))
    running: list[_Running] = []
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_Running(context, waiting.pop(), work, timeout, memory, quiet))
            wait([r.receiver for r in running], timeout=max(0.0, min(r.deadline for r in running) - time.monotonic()))
            for one in list(running):
                if one.receive():
                    running.remove(one)
                    yield one.result
    finally:
        for one in running:
            one.end("stopped")


class _Running:
    """A process and what it has reported so far."""

    def __init__(self, context: Any, task: Any, work: Work, timeout: float, memory: int, quiet: bool):
        self.result = TaskResult(task)
        self.receiver: Connection
        self.receiver, sender = context.Pipe(duplex=False)
        self.process = context.Process(target=_run_task, args=(sender, work, task, memory, quiet), daemon=True)
        with _one_thread(), _interrupts_for_us_alone():
            self.process.start()
        sender.close()
        self.timeout = timeout
        self.deadline = time.monotonic() + timeout
        self.began = time.monotonic()

    def receive(self) -> bool:
        """Reads what the process has sent. Returns whether it has ended."""
        try:
            while self.receiver.poll():
                kind, words = self.receiver.recv()
                if kind == "begin":
                    self.result.step, self.began = words["step"], time.monotonic()
                else:
                    self.result.found |= words
                    self.result.step = ""
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode or 0
            self.end(f"the process was ended by {_signal(-code)}" if code < 0 else f"exit status {code}" * (code > 0))
            return True
        if time.monotonic() < self.deadline:
            return False
        self.end(f"it took longer than {self.timeout:g} s")
        return True

    def end(self, how: str) -> None:
        self.result.ending, self.result.seconds = how, time.monotonic() - self.began
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.receiver.close()


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _context(ready: str) -> Any:
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([ready])
    return context


@contextmanager
def _interrupts_for_us_alone() -> Iterator[None]:
    """While entered, Ctrl-C waits; and a process that starts, the server too, never sees one: we end them all. It would
    end in a traceback in one that has not come to its work yet."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # which the server's start does too, and lets interrupts through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _one_thread:
    """While entered, processes that start see the environment of one thread."""

    def __enter__(self) -> None:
        self.before = {name: os.environ.get(name) for name in _THREADS}
        os.environ.update(dict.fromkeys(_THREADS, "1"))

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def _run_task(sender: Connection, work: Work, task: Any, memory: int, quiet: bool) -> None:
    """What the process of one task does, from start to end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # our parent ends us
    if quiet:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
    _limit(memory)
    from . import warm  # where there is no server, this is when it is imported

    warm.one_thread()
    work(task, lambda kind, words: sender.send((kind, words)))
    sender.close()
    sys.stdout.flush()
    os._exit(0)  # without cleaning up: an interpreter takes seconds to free gigabytes


def _limit(memory: int) -> None:
    with suppress(ImportError, OSError, ValueError):  # where there are no such limits, there is none
        import resource

        with open("/proc/self/statm") as sizes:
            at_start = int(sizes.read().split()[5]) * resource.getpagesize()  # data and stack
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (at_start + memory, hard))
