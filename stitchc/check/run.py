"""Which models to check, and checking them."""

from __future__ import annotations

import os
import platform
import random
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..passes.data.errors import ModelError, unknown
from .isolate import TaskResult, isolated
from .record import STEPS, Checked, append, as_line, read

#: The size up to which a model is drawn for a sample, and exported to ONNX.
MAX_PARAMS = 120e6
TIMEOUT, MEMORY = 1200.0, 8 * 2**30


def choose(
    patterns: Sequence[str],
    *,
    one_per_family: bool = False,
    sample: int = 0,
    max_params: float = MAX_PARAMS,
    seed: int = 0,
    told: Callable[[int, int], None] | None = None,
) -> list[str]:
    """The models that patterns name, as `zoo.names`; a whole name is that model alone, other MODEL words are kept.

    one_per_family: of every module of a library the architecture with the fewest parameters. sample: so many drawn
    at random from those of at most `max_params`; together with `one_per_family`, from the others. told: how many of
    how many architectures have been weighed, which takes minutes for all of timm.

    Raises:
        InputError: a pattern that no model matches.
    """
    found = list(dict.fromkeys(name for pattern in patterns for name in _matching(pattern)))
    if not one_per_family and not sample:
        return found
    from ..zoo.families import family

    weigh = _Scales()
    chosen: list[str] = []
    if one_per_family:
        members: dict[str, list[str]] = {}
        for index, name in enumerate(found):
            members.setdefault(family(name), []).append(name)
            weigh(name)
            if told:
                told(index + 1, len(found))
        chosen = [min(names, key=lambda name: (weigh(name), name)) for names in members.values()]
    if sample:
        rest = sorted(set(found) - set(chosen))
        random.Random(seed).shuffle(rest)
        drawn: list[str] = []
        for name in rest:
            if len(drawn) == sample:
                break
            if weigh(name) <= max_params:
                drawn.append(name)
        chosen += sorted(drawn)
    return chosen


class _Scales:
    """The parameters of architectures, each counted once; one that its library cannot build weighs infinitely much."""

    def __init__(self) -> None:
        self.known: dict[str, float] = {}

    def __call__(self, name: str) -> float:
        if name not in self.known:
            from ..zoo.families import weight

            try:
                self.known[name] = weight(name)
            except ModelError:
                self.known[name] = float("inf")
        return self.known[name]


def _matching(pattern: str) -> list[str]:
    from ..zoo import names

    if re.search(r"\?\w+=|:", pattern) or Path(pattern).exists():
        return [pattern]
    found = names(pattern)
    if pattern in found:
        return [pattern]
    if not found:
        raise unknown(pattern, "name or pattern of a model", names(), among="`stitchc zoo list` names them all.")
    return found


def check(
    models: Sequence[str],
    *,
    out: str | Path | None = None,
    jobs: int = 1,
    timeout: float = TIMEOUT,
    memory: int = MEMORY,
    until: str = STEPS[-1],
    max_params: float = MAX_PARAMS,
    again: bool = False,
    frontend: str = "auto",
    seed: int = 0,
    verbose: bool = False,
) -> Iterator[Checked]:
    """Takes each model, without its trained weights, through `record.STEPS` in a process of its own.

    Yields in the order in which they end. out: a file of JSON lines that each is added to at once; models whose line
    there says all that is asked for are passed over, unless `again`. timeout: seconds a model. memory: bytes that it
    may allocate. until: the last step to take. max_params: larger models are not exported to ONNX. frontend: as of
    the pass `trace`.

    Raises:
        InputError: `out` is a file of another kind. OutputError: it cannot be written.
    """
    path = Path(out) if out is not None else None
    wanted = models if again else pending(models, out=out, until=until, max_params=max_params)
    if not wanted:
        return
    from .steps import Task, run

    if path:
        append(path, {"run": about()})
    with tempfile.TemporaryDirectory(prefix="stitchc-check-") as scratch:
        tasks = [
            Task(_untrained(name), Path(scratch) / str(i), seed, until, max_params, frontend)
            for i, name in enumerate(wanted)
        ]
        names = dict(zip((task.words for task in tasks), wanted, strict=True))
        for result in isolated(tasks, run, jobs=jobs, timeout=timeout, memory=memory, quiet=not verbose):
            checked = _as_checked(names[result.task.words], result)
            _remove(result.task.folder)
            if path:
                append(path, as_line(checked))
            yield checked


def pending(
    models: Sequence[str],
    *,
    out: str | Path | None = None,
    until: str = STEPS[-1],
    max_params: float = MAX_PARAMS,
) -> list[str]:
    """The models whose line in `out` does not say all that is asked for.

    Raises:
        InputError: `out` is a file of another kind.
    """
    known = read(Path(out)).models if out is not None else {}
    return [name for name in models if name not in known or not _done(known[name], until, max_params)]


def _done(checked: Checked, until: str, max_params: float) -> bool:
    """Whether an earlier line tells all that is asked for now."""
    too_large = STEPS.index(until) >= STEPS.index("onnx") and (checked.params or 0) > max_params
    return checked.failed is not None or checked.passed("run" if too_large else until) is not None


def about() -> dict[str, Any]:
    """What a run's figures depend on: the day, the machine in words, the versions. No names of hosts or folders."""
    from ..env import versions

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {cores} cores",
        "versions": {k: v for k, v in versions().items() if v and k in _DECISIVE},
    }


_DECISIVE = ("python", "stitchc", "torch", "torchvision", "timm", "onnx", "onnxruntime", "onnxscript")


def _untrained(name: str) -> str:
    """The words with `weights=none`, where the library has trained ones."""
    if not name.startswith(("timm/", "torchvision/", "digits/")) or "weights=" in name:
        return name
    return f"{name}{'&' if '?' in name else '?'}weights=none"


def _as_checked(name: str, result: TaskResult) -> Checked:
    known = {field.name for field in fields(Checked)}
    found = {key: value for key, value in result.found.items() if key in known}
    if result.ending or result.step:
        step = result.step or "load"
        found["failed"], found["reason"] = step, result.ending or "the process ended without a word"
        found["steps"] = {**found.get("steps", {}), step: round(result.seconds, 3)}
    return Checked(model=name, **found)


def _remove(folder: Path) -> None:
    """A model's files go as soon as it is done: hundreds of them would fill a disk."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
