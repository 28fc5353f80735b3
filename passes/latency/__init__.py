"""The pass `latency`: the latency of every candidate, predicted from one profile of each model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..data.candidates import Candidates
from ..data.pass_options import BackendOptions
from ..data.plan import Plan
from ..data.values import Cuts
from ..pipeline import Pass

if TYPE_CHECKING:
    from .profile import Store


@dataclass(frozen=True)
class Latency(Pass, BackendOptions):
    """Fills the latency of models, fragments and candidates, in milliseconds for one image.

    Each model is run once, timed at every cut; a candidate takes what its segments take and its adapter. Adapters are
    measured too, or told from some that were (see `adapter_times`). backend: one of `BACKENDS`;
    device: that of torch, with its number of threads. store: where measurements are kept, None to take them all anew;
    those of a busy machine are not, and a note names the models that they are of. progress: called with (done, total)
    models.

    Raises:
        InputError: an unknown backend, or one that cannot run a model.
    """

    name: ClassVar[str] = "latency"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "cuts", "prices", "candidates")
    drops: ClassVar[tuple[str, ...]] = ("choice", "timed", "stages", "hybrids", "rivals", "recommended", "folder")
    changes: ClassVar[tuple[str, ...]] = ("cuts", "prices", "candidates")

    device: str = "cpu"
    store: Store | None = field(default=None, compare=False)
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    def run(self, plan: Plan) -> Plan:
        from .profile import profile

        segments: list[np.ndarray] = []
        eager: list[np.ndarray] = []
        busy: list[str] = []
        for done, (graph, model, cuts) in enumerate(zip(plan.graphs, plan.models, plan.cuts, strict=True), start=1):
            names, size = [cut.node for cut in cuts.cuts], model.input.size
            found = {
                backend: profile(graph, size, names, backend=backend, device=self.device, store=self.store)
                for backend in dict.fromkeys((self.backend, "eager"))
            }
            segments.append(found[self.backend][0])
            eager.append(found["eager"][0])
            if not all(is_steady for _, is_steady in found.values()):
                busy.append(model.name)
            if self.progress:
                self.progress(done, len(plan.graphs))
        wholes = [float(s.sum()) for s in segments]
        speed = np.array([b.sum() / e.sum() for b, e in zip(segments, eager, strict=True)])
        before = [np.cumsum(s)[:-1] for s in segments]
        assert plan.candidates is not None
        said = (
            f"Latency was measured on a busy machine, so it is too large: runs of {', '.join(busy)} took unlike times."
        )
        return replace(
            plan,
            notes=(*plan.notes, *([said] if busy else [])),
            cuts=tuple(_timed(c, b, w) for c, b, w in zip(plan.cuts, before, wholes, strict=True)),
            prices=tuple(p | {"latency": w} for p, w in zip(plan.prices, wholes, strict=True)),
            candidates=self._candidates(plan, plan.candidates, before, wholes, speed),
        )

    def _candidates(
        self, plan: Plan, table: Candidates, before: list[np.ndarray], wholes: list[float], speed: np.ndarray
    ) -> Candidates:
        """speed: of each model, how much of its time in eager mode the backend takes; adapters take as much."""
        from .adapter_times import adapter_times

        latency = np.zeros(len(table))
        for model, (times, whole) in enumerate(zip(before, wholes, strict=True)):
            ahead, behind = table.front_model == model, table.back_model == model
            latency[ahead] += times[table.front_cut[ahead]]
            latency[behind] += whole - times[table.back_cut[behind]]
        values = [[cut.value for cut in cuts.cuts] for cuts in plan.cuts]
        for index, name in enumerate(table.adapters):
            rows = np.flatnonzero(table.adapter == index)
            ends = [
                (values[a][i], values[b][j])
                for a, i, b, j in zip(
                    *(c[rows] for c in (table.front_model, table.front_cut, table.back_model, table.back_cut)),
                    strict=True,
                )
            ]
            if not ends:
                continue
            pairs = {pair: i for i, pair in enumerate(dict.fromkeys(ends))}
            times = adapter_times(name, list(pairs), device=self.device, store=self.store)
            share = (speed[table.front_model[rows]] + speed[table.back_model[rows]]) / 2
            latency[rows] += times[[pairs[pair] for pair in ends]] * share
        return table.with_amounts(latency=latency)


def _timed(cuts: Cuts, before: np.ndarray, whole: float) -> Cuts:
    timed = (
        replace(
            cut,
            before=cut.before and cut.before | {"latency": float(ms)},
            after=cut.after and cut.after | {"latency": whole - float(ms)},
        )
        for cut, ms in zip(cuts.cuts, before, strict=True)
    )
    return replace(cuts, cuts=tuple(timed))
