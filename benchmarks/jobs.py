"""Jobs in processes of their own, the most urgent first, until all are done or the time is up.

A job that fails, or whose process dies, is told as failed and takes nothing with it.
"""

from __future__ import annotations

import heapq
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from typing import Any

Work = Callable[[Any], Any]


@dataclass(order=True)
class Job:
    """Something to do: what `work` is given, and how urgent it is; the least comes first."""

    urgency: tuple[int, ...]
    task: Any = field(compare=False)


def run(
    work: Work, jobs: Iterable[Job], done: Callable[[Job, Any, str], Iterable[Job]], *, processes: int, seconds: float
) -> int:
    """Does the jobs, and returns how many were left when the time was up; those under way are ended then.

    work: a function of a module, called in spawned processes of one thread each, which keep what they have loaded.
    done: told of every job what came of it, or why it failed; returns more jobs.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # which the spawned processes inherit
    end = time.monotonic() + seconds
    waiting = list(jobs)
    heapq.heapify(waiting)
    idle, busy = [_Worker(work) for _ in range(processes)], {}
    while (waiting or busy) and time.monotonic() < end:
        while waiting and idle:
            worker, job = idle.pop(), heapq.heappop(waiting)
            worker.connection.send(job.task)
            busy[worker.connection] = worker, job
        for connection in wait(list(busy), timeout=max(0.0, min(end - time.monotonic(), 1.0))):
            worker, job = busy.pop(connection)
            result, failure, alive = worker.answer()
            idle.append(worker if alive else _Worker(work))
            for more in done(job, result, failure):
                heapq.heappush(waiting, more)
    left = len(waiting) + len(busy)
    for worker in (*idle, *(worker for worker, _ in busy.values())):
        worker.process.kill()
    return left


class _Worker:
    def __init__(self, work: Work):
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(work, theirs), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process closes the connection

    def answer(self) -> tuple[Any, str, bool]:
        """What came of the job, why it failed, and whether the process lives on."""
        try:
            return (*self.connection.recv(), True)
        except EOFError:
            self.process.join()
            return None, f"the process ended with status {self.process.exitcode}", False


def _serve(work: Work, connection: Connection) -> None:
    import torch

    torch.set_num_threads(1)
    while True:
        task = connection.recv()
        try:
            answer = work(task), ""
        except Exception as error:  # whatever it is, the next job is to be done
            answer = None, f"{type(error).__name__}: {error}"
        connection.send(answer)
