"""What a hybrid is compared to: the pass that makes its rivals, all of them measured, and the winner in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .comparison import comparison_record
from .device import moving
from .heads.put import with_heads
from .inputs import model_of, name_of
from .passes.data.errors import ModelError
from .passes.data.pass_options import RANKS_OF_PAIRS
from .passes.data.rivals import recommend
from .progress import Progress, stage

if TYPE_CHECKING:
    from torch import nn

    from .evaluate import Accuracy
    from .options import CompileOptions
    from .passes.data.model import Images, InputSpec, Model
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


def load_against(plan: Plan, options: CompileOptions, progress: Progress) -> tuple[Model, ...]:
    """The networks that the option `against` names."""
    found = []
    for model in options.against or ():
        with stage(progress, f"loading {name_of(model)}"):
            found.append(model_of(model, trust=options.trust))
    return tuple(with_heads(found, options, progress, beside=plan.models)[0])


def rivals(
    options: CompileOptions,
    plan: Plan,
    measured: bool,
    against: tuple[Model, ...],
    repair: Sequence[Pass],
    progress: Progress,
) -> list[Pass]:
    """The pass `rivals`, where it was not declined. measured: whether accuracy will be, on other images. repair: the
    passes that fit and heal the hybrid."""
    from .passes import Compare, Cost, Partition, Polish, Rank, Rivals, Select, Shorten, Similarity, Trace
    from .passes.graphs.largest import largest

    if options.rivals == "none":
        return []
    look = [options.make(Trace), options.make(Partition), Cost(adapters=()), *moving(options.device)]
    rank = "cascade" if options.rank in RANKS_OF_PAIRS else options.rank

    def choose(limits: Mapping[str, float]) -> Sequence[Pass]:
        similarity = Compare() if plan.representations else options.make(Similarity, metric=options.similarity)
        return [
            Cost(adapters=(options.adapters,)),
            similarity,
            Select(budget=limits, min_share=0.0, allow_uncounted=options.allow_uncounted),
            Shorten(otherwise=[options.make(Rank, rank=rank, effort=EFFORT, min_share=0.0)]),
        ]

    train: list[Pass] = []
    if options.rivals == "trained":
        teachers = (largest(plan.graphs, plan.prices, plan.choice[0].chain),)
        train = [options.make(Polish, teachers=teachers, progress=progress.update)]
    return [
        options.make(
            Rivals,
            look=look,
            choose=choose if len(plan.models) > 1 else None,
            repair=repair,
            train=train,
            against=against,
            unseen=not measured,
            repaired_alike=[step.name for step in repair] == ["fit", "heal"],
            progress=progress.update,
        )
    ]


def measure(plan: Plan, images: Images | None, device: str, progress: Progress) -> Measured:
    """Accuracy of the hybrid, its parents and its rivals on the same images, and the plan with what must be said of
    them. What is recommended follows from it, where the hybrid could be measured."""
    if images is None:
        return _told(Measured(plan, None, (None,) * len(plan.models), (None,) * len(plan.rivals)))
    from .evaluate import accuracy_if_matched

    notes: dict[str, None] = {}

    def found(name: str, network: nn.Module, spec: InputSpec, owner: Model) -> Accuracy | None:
        with stage(progress, f"measuring {name}"):
            accuracy, said = accuracy_if_matched(network, spec, images, owner, device=device, progress=progress)
        notes.update(dict.fromkeys(said))
        return accuracy

    owner = replace(plan.models[plan.hybrid.chain.back.model], name="the hybrid")
    hybrid = found("the hybrid", plan.hybrid.network, plan.input_of(plan.hybrid.chain), owner)
    parents = tuple(found(model.name, model.network, model.input, model) for model in plan.models)
    rivals: list[Accuracy | None] = []
    for rival in plan.rivals:
        if rival.kind == "parent" and rival.parent is not None and not rival.trained:
            rivals.append(parents[rival.parent])
        elif rival.hybrid is None:
            rivals.append(None)
        else:
            name = f"{rival.model.name}, {rival.kind}"
            try:
                rivals.append(found(name, rival.hybrid.network, rival.model.input, rival.model))
            except ModelError as error:
                rivals.append(None)
                notes[f"{name} is not measured: {error.message}."] = None
    told = tuple(replace(rival, accuracy=a.top1 if a else None) for rival, a in zip(plan.rivals, rivals, strict=True))
    plan = replace(plan, rivals=told, notes=tuple(dict.fromkeys((*plan.notes, *notes))))
    if plan.recommended is not None and hybrid is not None:
        values = [None if a is None or a.right is None else a.right.astype(float) for a in (hybrid, *rivals)]
        assert plan.hybrid.price is not None
        best = recommend(plan.hybrid.price, told, values, plan.budget, "accuracy")
        plan = replace(plan, recommended=replace(best, score=plan.recommended.score))
    return _told(Measured(plan, hybrid, parents, tuple(rivals)))


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
