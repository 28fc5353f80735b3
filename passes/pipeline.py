"""What a pass is, and what a sequence of passes is: a pass too."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from .data.errors import PipelineError
from .data.plan import Plan


@dataclass(frozen=True)
class Pass:
    """A step from plan to plan. Its fields are its options; `__call__` is its whole interface.

    `requires` and `adds` name fields of the plan: those that must be filled before, and those that are filled after.
    """

    name: ClassVar[str] = ""
    requires: ClassVar[tuple[str, ...]] = ()
    adds: ClassVar[tuple[str, ...]] = ()

    def __call__(self, plan: Plan) -> Plan:
        raise NotImplementedError


#: Called between passes: the pass about to run (or just run), the plan at that moment, and the seconds it took
#: (None before it ran). Progress, timing and checks all hang on this one hook.
Callback = Callable[[Pass, Plan, float | None], None]


@dataclass(frozen=True)
class Pipeline(Pass):
    """Passes run in order, checked against what each requires and adds. The time of each goes into `plan.seconds`.

    Raises:
        PipelineError: a pass needs what no earlier one has added, or did not add what it promised.
    """

    name: ClassVar[str] = "pipeline"

    passes: Sequence[Pass]
    callback: Callback | None = field(default=None, compare=False)

    def __call__(self, plan: Plan) -> Plan:
        done: list[str] = []
        for step in self.passes:
            missing = [name for name in step.requires if not plan.has(name)]
            if missing:
                raise PipelineError(
                    f"the pass '{step.name}' needs {', '.join(missing)}, which nothing before it has added "
                    f"(ran so far: {', '.join(done) or 'nothing'})",
                    "Put the pass that adds it earlier in the pipeline.",
                )
            if self.callback:
                self.callback(step, plan, None)
            start = time.perf_counter()
            plan = step(plan)
            seconds = time.perf_counter() - start
            broken = [name for name in step.adds if not plan.has(name)]
            if broken:
                raise PipelineError(f"the pass '{step.name}' promised {', '.join(broken)} and did not add it")
            if not isinstance(step, Pipeline):
                plan = replace(plan, seconds={**plan.seconds, step.name: seconds})
            if self.callback:
                self.callback(step, plan, seconds)
            done.append(step.name)
        return plan
