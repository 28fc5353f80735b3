"""What a pass is, and what a sequence of passes is: a pass too."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, ClassVar

from .data import kept_by_torch
from .data.errors import PipelineError
from .data.memory import Memory
from .data.out_of_memory import free, ran_out
from .data.plan import Plan

#: Bytes below which a pass that ran out of memory is not tried again.
LEAST_MEMORY = 32 << 20


@dataclass(frozen=True)
class Pass:
    """A step from plan to plan. Its fields are its options; to call it is its whole interface; `run` is its work.

    The names of fields of the plan say what it stands on and what it does, and all of it is checked at each call:

        requires    must be filled before
        ensures     are filled by it: what they held before is dropped first
        drops       are made untrue by it, and are dropped first
        changes     may be filled already, and may be other after it

    What is named in none of these stays as it is, notes and seconds aside.

    Raises:
        PipelineError: a field that it requires is not filled, one that it ensures was not filled, or another changed.
    """

    name: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ()
    ensures: ClassVar[tuple[str, ...]] = ()
    drops: ClassVar[tuple[str, ...]] = ()
    changes: ClassVar[tuple[str, ...]] = ()

    def __call__(self, plan: Plan) -> Plan:
        missing = [name for name in self.requires if not plan.has(name)]
        if missing:
            raise _missing(self, missing, plan.seconds)
        given = _without(plan, {*self.ensures, *self.drops} - {*self.requires})
        try:
            done = self.run(given)
        except Exception as error:
            _name(error, self.name)
            raise
        self._check(given, done)
        return done

    def run(self, plan: Plan) -> Plan:
        """The plan with what this pass adds to it."""
        raise NotImplementedError

    def with_half_the_memory(self) -> Pass | None:
        """The same pass, told to take half as much memory as it may; None of one that takes no such word, or where
        little is left."""
        if "max_memory" not in {f.name for f in fields(self)}:
            return None
        half = Memory.of(self.max_memory).limit // 2  # type: ignore[attr-defined]
        return replace(self, max_memory=half) if half >= LEAST_MEMORY else None  # type: ignore[call-arg]

    def _check(self, before: Plan, after: Plan) -> None:
        broken = [name for name in self.ensures if not after.has(name)]
        if broken:
            raise PipelineError(f"the pass '{self.name}' promised {', '.join(broken)} and did not add it")
        free = {*self.ensures, *self.drops, *self.changes, "notes", "seconds"}
        touched = [f.name for f in fields(Plan) if f.name not in free]
        touched = [name for name in touched if getattr(after, name) is not getattr(before, name)]
        if touched:
            raise PipelineError(f"the pass '{self.name}' changed {', '.join(touched)} and does not say that it may")


#: Called between passes: the pass about to run (or just run), the plan at that moment, and the seconds it took
#: (None before it ran). Progress, timing and checks all hang on this one hook.
Callback = Callable[[Pass, Plan, float | None], None]


@dataclass(frozen=True)
class Pipeline(Pass):
    """Passes run in order. The time of each goes into `plan.seconds`.

    passes: the sequence. callback: called before and after each of them with the pass, the plan at that moment, and the
    seconds that it took, None before it ran.

    Raises:
        PipelineError: something else than passes; or before anything runs, a pass needs what no earlier one adds.
    """

    name: ClassVar[str] = "pipeline"

    passes: Sequence[Pass]
    callback: Callback | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        steps = [self.passes] if isinstance(self.passes, Pass) else self.passes
        wrong = next((step for step in steps if not isinstance(step, Pass)), None)
        if isinstance(wrong, type):
            raise PipelineError(f"{wrong.__name__} is a kind of pass, and no pass yet", f"Write {wrong.__name__}().")
        if wrong is not None or steps is not self.passes:
            raise PipelineError(
                f"a pipeline is made of passes in a list, and not of {self.passes!r}", "Write Pipeline([Trace(), ...])."
            )

    def __call__(self, plan: Plan) -> Plan:
        self._check_order(plan)
        before = kept_by_torch.texts()
        try:
            for step in self.passes:
                if self.callback:
                    self.callback(step, plan, None)
                start = time.perf_counter()
                plan = _run_within_memory(step, plan)
                seconds = time.perf_counter() - start
                if not isinstance(step, Pipeline):
                    plan = replace(plan, seconds={**plan.seconds, step.name: seconds})
                if self.callback:
                    self.callback(step, plan, seconds)
        finally:
            kept_by_torch.forget(before, (*plan.graphs, *(one.graph for one in plan.hybrids if one.graph is not None)))
        return plan

    def _check_order(self, plan: Plan) -> None:
        filled = {f.name for f in fields(Plan) if plan.has(f.name)}
        done: list[str] = []
        for step in self.flat():
            missing = [name for name in step.requires if name not in filled]
            if missing:
                raise _missing(step, missing, done)
            filled = (filled - {*step.drops}) | {*step.ensures, *step.changes}
            done.append(step.name)

    def flat(self) -> Iterator[Pass]:
        """All passes in order, those of nested pipelines too."""
        for step in self.passes:
            yield from step.flat() if isinstance(step, Pipeline) else (step,)


def _run_within_memory(step: Pass, plan: Plan) -> Plan:
    """Runs a pass; where the memory of a graphics card runs out, again with half of what it was allowed, and a note."""
    smaller: Pass | None = step
    while smaller is not None:
        try:
            done = smaller(plan)
        except Exception as error:
            step, smaller = smaller, smaller.with_half_the_memory() if ran_out(error) else None
            if smaller is None:
                raise
        else:
            return done
        free()  # out of the handler, whose error holds on to all that was being computed
        note = f"Memory ran out in the pass '{step.name}', which was run again with half as much."
        plan = replace(plan, notes=(*plan.notes, note))
    raise AssertionError("unreachable")


def _missing(step: Pass, names: Sequence[str], done: Iterable[str]) -> PipelineError:
    return PipelineError(
        f"the pass '{step.name}' needs {', '.join(names)}, which nothing before it has added "
        f"(ran so far: {', '.join(done) or 'nothing'})",
        "Put the pass that adds it earlier in the pipeline.",
    )


def _without(plan: Plan, names: set[str]) -> Plan:
    """The plan with some fields as they are at the beginning."""
    filled = {name for name in names if plan.has(name)}
    return replace(plan, **{f.name: _default(f) for f in fields(Plan) if f.name in filled}) if filled else plan


def _default(f: Any) -> Any:
    return f.default if f.default is not MISSING else f.default_factory()


def _name(error: Exception, name: str) -> None:
    """Notes in which pass something went wrong: the innermost, where pipelines are nested."""
    if not hasattr(error, "failed_pass"):
        error.failed_pass = name  # type: ignore[attr-defined]
        error.add_note(f"This happened in the pass '{name}'.")
