"""What a hybrid is compared to: the pass that makes its rivals, all of them measured, and the winner in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .comparison import comparison_record
from .inputs import images_of, model_of, name_of, test_split
from .passes.data.errors import DataError
from .passes.data.rivals import Rival, recommend
from .progress import Progress, stage

if TYPE_CHECKING:
    from torch import Tensor

    from .evaluate import Accuracy
    from .options import CompileOptions
    from .passes.data.model import InputSpec, Model
    from .passes.data.plan import Plan
    from .passes.pipeline import Pass

#: How many stitches of a model with itself are tried, as an effort of the pass `rank`.
EFFORT = "low"


@dataclass(frozen=True)
class Measured:
    """A plan, with the accuracy on the same images of its hybrid, its models and its rivals; None where it was not
    measured. document: what a comparison is told by, as a part of a plan document."""

    plan: Plan
    hybrid: Accuracy | None
    parents: tuple[Accuracy | None, ...]
    rivals: tuple[Accuracy | None, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)


def load_against(options: CompileOptions, progress: Progress) -> tuple[Model, ...]:
    """The networks that the option `against` names."""
    found = []
    for model in options.against or ():
        with stage(progress, f"loading {name_of(model)}"):
            found.append(model_of(model, trust=options.trust))
    return tuple(found)


def rivals(
    options: CompileOptions, plan: Plan, against: tuple[Model, ...], repair: Sequence[Pass], progress: Progress
) -> list[Pass]:
    """The pass `rivals`, where it was not declined. repair: the passes that fit and heal the hybrid."""
    from .passes import Compare, Cost, Partition, Rank, Rivals, Select, Similarity, Trace

    if options.rivals == "none":
        return []
    assert plan.images is not None
    look = [options.make(Trace), options.make(Partition), Cost(adapters=())]
    rank = "cascade" if options.rank in ("cka", "fit") else options.rank

    def choose(limits: Mapping[str, float]) -> Sequence[Pass]:
        alike = Compare() if plan.representations else options.make(Similarity, metric=options.similarity)
        return [
            Cost(adapters=(options.adapters,)),
            alike,
            Select(budget=limits, min_share=0.0, allow_uncounted=options.allow_uncounted),
            options.make(Rank, rank=rank, effort=EFFORT, min_share=0.0),
        ]

    return [
        options.make(
            Rivals,
            look=look,
            choose=choose if len(plan.models) > 1 else None,
            repair=repair,
            against=against,
            unseen=options.evaluate is None and test_split(plan.images) is None,
            progress=progress.update,
        )
    ]


def measure(plan: Plan, options: CompileOptions, progress: Progress) -> Measured:
    """Accuracy of the hybrid, its parents and its rivals on the same images: those given, else some that were used
    neither to train the embedded zoo nor to fit. What is recommended follows from it."""
    from .evaluate import Accuracy, answers

    assert plan.images is not None
    data = options.evaluate or test_split(plan.images)
    if data is None:
        return _told(Measured(plan, None, (None,) * len(plan.models), (None,) * len(plan.rivals)))
    images = images_of(data, "to measure on")

    def right(name: str, network: object, spec: InputSpec) -> Tensor:
        with stage(progress, f"measuring {name}"):
            return answers(network, spec, images, device=options.device, progress=progress)  # type: ignore[arg-type]

    hybrid = right("the hybrid", plan.hybrid.network, plan.input_of(plan.hybrid.chain))
    parents = [right(model.name, model.network, model.input) for model in plan.models]
    found: list[Tensor | None] = []
    told: list[Rival] = []
    for rival in plan.rivals:
        answer = None
        if rival.kind == "parent" and rival.parent is not None:
            answer = parents[rival.parent]
        elif rival.hybrid is not None:
            try:
                answer = right(f"{rival.model.name}, {rival.kind}", rival.hybrid.network, rival.model.input)
            except DataError as error:
                rival = replace(rival, reason=error.message)
        found.append(answer)
        told.append(rival if answer is None else replace(rival, accuracy=Accuracy.of(images.name, answer).top1))
    if plan.recommended is not None:
        values = [None if answer is None else answer[:, 0].double().numpy() for answer in (hybrid, *found)]
        assert plan.hybrid.price is not None
        best = recommend(plan.hybrid.price, told, values, plan.budget, "accuracy")
        plan = replace(plan, rivals=tuple(told), recommended=replace(best, score=plan.recommended.score))
    as_told = (None if answer is None else Accuracy.of(images.name, answer) for answer in (hybrid, *parents, *found))
    mine, *others = as_told
    return _told(Measured(plan, mine, tuple(others[: len(parents)]), tuple(others[len(parents) :])))


def _told(measured: Measured) -> Measured:
    return replace(measured, document=comparison_record(measured.plan, measured.hybrid, measured.parents))


def with_winner(measured: Measured) -> Measured:
    """The recommended network in the place of the hybrid; a model that the plan does not hold yet is added to it."""
    plan = measured.plan
    if plan.recommended is None or plan.recommended.rival is None:
        return measured
    rival, found = plan.rivals[plan.recommended.rival], measured.rivals[plan.recommended.rival]
    assert rival.hybrid is not None
    parents = measured.parents
    if rival.parent is None:
        from .passes.data.values import Cuts

        parents = (*parents, found)
        plan = replace(
            plan,
            models=(*plan.models, rival.model),
            graphs=(*plan.graphs, rival.hybrid.network),
            cuts=(*plan.cuts, Cuts(plan.cuts[0].rule, ())),
            prices=(*plan.prices, rival.price),
            uncounted=(*plan.uncounted, rival.uncounted),
        )
    plan = replace(plan, choice=(), hybrids=(replace(rival.hybrid, name="hybrid"),))
    document = {**measured.document, "written": measured.document["recommended"]}
    return Measured(plan, found, parents, measured.rivals, document)
