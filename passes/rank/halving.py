"""Successive halving over stitched candidates: many on few images, then ever fewer on ever more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule

from ..data.errors import InputError
from ..data.healing import Options
from ..data.memory import Memory
from ..data.model import first_of
from ..data.plan import Plan, Stage
from ..data.some_images import Part
from ..fit.closed_form import Fitted, fit_all
from ..fit.limits import refuse_too_large, tried
from ..graphs.conventions import preactivation
from ..graphs.faster import faster, has_room
from ..graphs.outputs import outputs
from ..heal.blockwise import heal
from ..heal.probe import Probe
from ..numerics.offload import TensorStore
from ..stitch.join import graph_of
from .effort import Clock, Effort
from .preselection import depth_match, distinct, pairs_of, union
from .scores import Reference, held_against, score_of
from .stitched import Stitched

# Of the candidates that are probed on some images, the share that is probed on more.
_KEPT = 3
# Standard errors that a candidate is behind the best by when it is not shown more images.
_HOPELESS = 4.0
# Difference in score on every image, at most, of what is one network by several names.
_ALIKE = 1e-2
# Pairs fitted and probed between two checks of the time limit.
_CHUNK = 12
# Images that R2 is taken from, for the shortlist, positions of all together, and channels of a back's value at most.
_PREDICTOR_IMAGES, _PREDICTOR_ROWS, _PREDICTOR_CHANNELS = 64, 4096, 64
# Penalties that ranking chooses among, and the shortlist; the pass `fit` looks more closely.
_RIDGES = (1e-5, 1e-3, 1e-1, 10.0)
_PREDICTOR_RIDGES = (1e-3, 1e-1)
# Pairs that R2 is taken of, for each that the shortlist has room for.
_PREDICTOR_PAIRS = 6


@dataclass
class Probed:
    """A row of the table that was stitched. place: in the order before. said: its logits for each image shown, before
    healing. values: a figure for each of these images; of the healed network, once it was healed. trial: what that gave
    for all images that may be shown, if it was healed on half of all."""

    row: int
    place: int
    fitted: Fitted
    values: Tensor = field(default_factory=lambda: torch.empty(0))
    said: Tensor | None = None
    healed: bool = False
    trial: Tensor | None = None

    @property
    def images(self) -> int:
        return len(self.values)

    @property
    def score(self) -> float:
        """The mean over images; held-out R2 where none was shown."""
        return self.values.double().mean().item() if len(self.values) else self.fitted.r2


@dataclass(frozen=True)
class Found:
    """The result of a ranking: all probed candidates, the stages of the choice, and notes for the report."""

    probed: list[Probed]
    stages: tuple[Stage, ...]
    notes: tuple[str, ...] = ()


class Halving:
    """One run of the pass `rank`."""

    def __init__(
        self,
        plan: Plan,
        rows: np.ndarray,
        rule: str,
        effort: Effort,
        heal: tuple[str, Options] | None = None,
        max_memory: int | None = None,
        progress: Callable[[int, int, str], None] | None = None,
    ):
        """rows: of the plan's candidates, those to choose among. heal: what of finalists is healed, and how.
        max_memory: bytes that all of it may take at one moment."""
        assert plan.images is not None and plan.candidates is not None
        self._plan, self._rule, self._effort, self._heal, self._progress = plan, rule, effort, heal, progress
        self._table, self._rows = plan.candidates, rows
        count = len(plan.images)
        self._fit_images = Part(plan.images, 0, min(effort.fit_images, count // 2))
        self._shown = Part(plan.images, count // 2, count)
        self._max_memory = max_memory
        self._store = TensorStore(Memory.of(max_memory).weights)
        self._graphs = _running(plan, Memory.of(max_memory))
        self._stitched = Stitched(plan, max_memory, self._graphs)
        self._too_large: dict[str, None] = {}
        self._references: dict[int, Reference] = {}
        self._parents: dict[int, Tensor] = {}
        self._stages: list[Stage] = []
        self._best: float | None = None  # the score of the best that was probed so far
        self._notes: tuple[str, ...] = ()
        self._place = {row: place for place, row in enumerate(self._table.order.tolist())}
        self._apart = heal is not None and effort.healed > 0
        self._networks = first_of(plan.models)

    def run(self) -> Found:
        pairs = self._shortlist(pairs_of(self._table, self._rows))
        if not pairs:
            refuse_too_large(
                self._plan, [self._table[int(self._rows[0])].chain.seams()[0]], Memory.of(self._max_memory)
            )
        probed = self._first(pairs)
        if self._rule != "fit":
            self._healed(self._later(probed, pairs))
        if self._too_large:
            self._notes += (f"Not tried where they have too many inputs: {', '.join(self._too_large)}.",)
        return Found(probed, tuple(self._stages), self._notes)

    def _without_large(self, pairs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The pairs without the adapters that are too large to be tried; empty where none is left."""
        found = []
        for pair in pairs:
            rows = {self._table[row].chain.seams()[0]: row for row in pair.tolist()}
            seams, left_out = tried(self._plan, list(rows), self._max_memory)
            self._too_large |= dict.fromkeys(left_out)
            found.append(np.array([rows[seam] for seam in seams], dtype=np.int64))
        return found

    def _shortlist(self, pairs: list[np.ndarray]) -> list[np.ndarray]:
        size = self._effort.pairs
        if len(pairs) > size:
            first = np.array([pair[0] for pair in pairs])
            predictors = [self._table.similarity[first], depth_match(self._plan, self._table, first)]
            groups = [self._direction(row) for row in first.tolist()]
            pool = union(predictors, _PREDICTOR_PAIRS * size, groups)
            small = dict(zip(pool.tolist(), self._without_large([pairs[index] for index in pool]), strict=True))
            pool = np.array([index for index in small if len(small[index])], dtype=np.int64)
            pool_predictors = [predictor[pool] for predictor in predictors] + [
                self._r2([small[index] for index in pool.tolist()])
            ]
            kept = [small[int(pool[i])] for i in union(pool_predictors, size, [groups[index] for index in pool])]
        else:
            kept = [pair for pair in self._without_large(pairs) if len(pair)]
        kept = distinct(self._plan, self._table, kept)
        self._stages.append(Stage("shortlist", 0, len(pairs), len(kept)))
        return kept

    def _r2(self, pairs: Sequence[np.ndarray]) -> np.ndarray:
        """Held-out R2 of each pair's cheapest adapter, from few positions of few images."""
        images = Part(self._fit_images, 0, min(_PREDICTOR_IMAGES, len(self._fit_images)))
        rows = [int(min(pair, key=self._cost)) for pair in pairs]
        fitted = fit_all(
            replace(self._plan, images=images, graphs=self._graphs),
            [self._table[row].chain.seams()[0] for row in rows],
            rows=_PREDICTOR_ROWS,
            ridges=_PREDICTOR_RIDGES,
            max_memory=self._max_memory,
            roughly=True,
            final=False,
            channels=_PREDICTOR_CHANNELS,
            measured=False,
        )
        return np.array([one.r2 for one in fitted])

    def _first(self, pairs: Sequence[np.ndarray]) -> list[Probed]:
        """All pairs on the first images, each with its most expensive adapter, which fits best."""
        clock, done = Clock(self._effort.seconds), list[Probed]()
        chosen = [int(max(pair, key=self._cost)) for pair in pairs]
        chunk = len(chosen) if self._effort.seconds is None else _CHUNK
        for start in range(0, len(chosen), chunk):
            group = self._fitted(chosen[start : start + chunk])
            if self._rule != "fit":
                self._show(group, self._effort.first)
                self._best = max(one.score for one in [*done, *group])
            done += group
            if clock.over():
                break
        return done

    def _direction(self, row: int) -> tuple[int, int]:
        """The networks that a row goes from and to, at whatever size, where finalists will be healed; else all are of
        one.

        Healing gains more where much of the larger network is left behind the seam than where little is. So the
        directions are compared when they are healed, and what is not healed only within its own.
        """
        if not self._apart:
            return 0, 0
        front, back = int(self._table.front_model[row]), int(self._table.back_model[row])
        return self._networks[front], self._networks[back]

    def _by_direction(self, ranked: Iterable[Probed]) -> list[list[Probed]]:
        """The same in the same order, those of each direction by themselves."""
        found: dict[tuple[int, int], list[Probed]] = {}
        for one in ranked:
            found.setdefault(self._direction(one.row), []).append(one)
        return list(found.values())

    def _cost(self, row: int) -> tuple[float, ...]:
        return self._table.price(row).ordering()

    def _later(self, probed: list[Probed], pairs: Sequence[np.ndarray]) -> list[Probed]:
        """Ever fewer on ever more images, of each direction. Finalists are joined by their own pairs with the other
        adapters. Returns the last, best first."""
        running, images, joined = list(probed), min(self._effort.first, len(self._shown)), False
        while True:
            running.sort(key=lambda one: (-one.score, one.place))
            self._best = running[0].score
            directions = self._by_direction(running)
            least = -(-self._effort.finalists // len(directions))
            settled = images == len(self._shown) or all(_leads(group) for group in directions)
            last = settled and joined
            chosen = [_front(group, 1 if last else max(least, -(-len(group) // _KEPT))) for group in directions]
            kept = [one for group in chosen for one in group]
            self._stages.append(Stage("probe", images, len(running), len(kept)))
            if last:
                return running
            images = images if settled else min(2 * images, len(self._shown))
            if not joined and (settled or all(len(group) <= least for group in chosen)):
                others = self._by_direction(self._other_adapters(kept, probed, pairs))
                probed += [one for group in others for one in group]
                kept += self._caught_up(chosen, others)
                joined = True
            self._show(kept, images)
            running = kept

    def _caught_up(self, leading: Sequence[Sequence[Probed]], others: Sequence[Sequence[Probed]]) -> list[Probed]:
        """Those of others that are within reach of the best of their direction when they have been shown as many
        images: few at first."""
        best = {self._direction(group[0].row): group[0] for group in leading}
        found: list[Probed] = []
        for group in others:
            leader = best[self._direction(group[0].row)]
            images, near = min(self._effort.first, leader.images), list(group)
            while True:
                self._show(near, images)
                near = _within_reach(leader, near)
                if images == leader.images or not near:
                    break
                images = min(2 * images, leader.images)
            found += near
        return found

    def _healed(self, finalists: Sequence[Probed]) -> None:
        """Heals the finalists and scores them again: healing improves weak stitches most, so the order may change.

        On the images that adapters were fitted on, and scored on the others. Their adapters are fitted anew, to as many
        positions as the pass `fit` takes: what comes of them stands for the choice where it must not have seen all
        images.
        """
        directions = self._by_direction(_unlike(finalists))
        each = -(-self._effort.healed // len(directions))
        chosen = [one for group in directions for one in group[:each]]
        if self._heal is None or len(chosen) < 2:
            return
        what, options = self._heal
        backs = {int(self._table.back_model[one.row]) for one in chosen}
        plan = replace(self._plan, images=self._fit_images)
        probe = Probe.of(plan, self._fit_images, options, keep=len(backs) < len(chosen))
        for one in chosen:
            chain = self._table[one.row].chain
            (fitted,) = fit_all(plan, chain.seams(), roughly=True, max_memory=self._max_memory)
            stitched = graph_of(plan, chain, [fitted.adapter])
            heal(stitched, probe, chain, what, self._tell)
            said = outputs(stitched, self._shown, self._plan.input_of(chain), Memory.of(self._max_memory))
            one.values = score_of(self._rule)(said, self._reference(chain.back.model)).cpu()
            one.healed = True
            if self._fit_images.stop == self._shown.start:
                one.trial = said.cpu()
        self._stages.append(Stage("healed", len(self._shown), len(chosen), 1))

    def _other_adapters(
        self, kept: Sequence[Probed], probed: Sequence[Probed], pairs: Sequence[np.ndarray]
    ) -> list[Probed]:
        known, winners = {one.row for one in probed}, {one.row for one in kept}
        rows = [row for pair in pairs if winners & set(pair.tolist()) for row in pair.tolist()]
        return self._fitted([row for row in rows if row not in known])

    def _fitted(self, rows: Sequence[int]) -> list[Probed]:
        if not rows:
            return []
        fitted = fit_all(
            replace(self._plan, images=self._fit_images, graphs=self._graphs),
            [self._table[row].chain.seams()[0] for row in rows],
            rows=self._effort.rows,
            ridges=_RIDGES,
            roughly=True,
            measured=self._rule == "fit",
            max_memory=self._max_memory,
            store=self._store,
            progress=self._tell,
        )
        return [Probed(row, self._place[row], one) for row, one in zip(rows, fitted, strict=True)]

    def _tell(self, done: int, total: int) -> None:
        """How far the step is that runs, and how good the best is that was probed before it."""
        if self._progress:
            self._progress(done, total, "" if self._best is None else f"probing stitches, best so far {self._best:.3f}")

    def _show(self, probed: Sequence[Probed], images: int) -> None:
        """Brings all of them to so many images, each shown only those that it has not seen."""
        images = min(images, len(self._shown))
        for start in sorted({one.images for one in probed if one.images < images}):
            group = [one for one in probed if one.images == start]
            logits = self._stitched.logits([one.fitted for one in group], Part(self._shown, start, images))
            for one, said in zip(group, logits, strict=True):
                against = self._reference(one.fitted.seam.enters.model)
                so_far = said if one.said is None else torch.cat([one.said.to(said.device), said])
                one.values = score_of(self._rule)(so_far, against[:images]).cpu()
                self._store.free(one.said)
                one.said = self._store.put(so_far)
                self._store.unload()

    def _reference(self, back: int) -> Reference:
        """The reference for hybrids that end in a model, on all images that may be shown."""
        back = self._networks[back]
        if back not in self._references:
            labels = self._shown.labels
            self._references[back] = held_against(self._plan, back, self._parent, labels)
            if labels is not None and self._references[back].labels is None:
                self._cannot_use_labels()
        return self._references[back]

    def _parent(self, model: int) -> Tensor:
        if model not in self._parents:
            self._parents[model] = self._stitched.parent(model, self._shown)
        return self._parents[model]

    def _cannot_use_labels(self) -> None:
        name = self._shown.name
        if self._rule == "accuracy":
            raise InputError(
                f"the labels of '{name}' are not the classes that the networks name",
                "Take `rank='cascade'`, which does without labels, or give images of their classes.",
            )
        note = f"The labels of '{name}' are not the classes that the networks name, so they were not used to choose."
        self._notes = (note,)


def _running(plan: Plan, memory: Memory) -> tuple[GraphModule, ...]:
    """The plan's graphs as they run fastest, with all values that seams and their targets are taken from."""
    found = []
    for graph, cuts in zip(plan.graphs, plan.cuts, strict=True):
        kept = {cut.node for cut in cuts.cuts} | {preactivation(graph, cut.node) for cut in cuts.cuts}
        found.append(faster(graph, kept) if has_room(graph, memory) else graph)
    return tuple(found)


def _front(ranked: Sequence[Probed], most: int) -> list[Probed]:
    """The first of them, without those beyond the second that are out of reach."""
    kept = list(ranked[:most])
    return kept[:2] + _within_reach(kept[0], kept[2:])


def _unlike(ranked: Sequence[Probed]) -> list[Probed]:
    """Without those that score as one before them on every image, but for rounding: adapters of several names may be
    the same network, and so may cuts before and behind what does nothing."""
    found: list[Probed] = []
    for one in ranked:
        if not any(torch.allclose(one.values, other.values, rtol=0.0, atol=_ALIKE) for other in found):
            found.append(one)
    return found


def _leads(ranked: Sequence[Probed]) -> bool:
    """Whether the first is better than every other by two standard errors of their difference on the same images."""
    first, *others = ranked
    return all(_is_behind(other, first, 2) for other in others)


def _within_reach(best: Probed, others: Sequence[Probed]) -> list[Probed]:
    """Without those that are behind the best by so much that more images would hardly change it."""
    return [other for other in others if not _is_behind(other, best, _HOPELESS)]


def _is_behind(other: Probed, best: Probed, errors: float) -> bool:
    """Whether one is behind another by more than so many standard errors of their difference, on the images that both
    were shown."""
    count = min(other.images, best.images)
    differences = (best.values[:count] - other.values[:count]).double()
    return bool(differences.mean() > errors * differences.std() / count**0.5)
