"""A family trained: the verb's way from its folder to the tuned one."""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import artifact, recipe
from ..documents.reread import family_of, input_of
from ..evaluate import Accuracy, accuracy
from ..families.members import steps_of
from ..folder import next_free, try_out
from ..passes.data import metrics
from ..passes.data.errors import InputError
from ..passes.data.line import Line
from ..passes.data.model import Model, own_name
from ..passes.emit.pieces import Span, Step
from ..passes.emit.reread import spans_again
from ..passes.training.distillation import Teachers
from ..passes.training.worth import Worth
from ..progress import Progress, stage
from .checkpoint import Checkpoint
from .engine import Engine
from .job import Job, check_batch, shown_to
from .members import FamilyLoop, FamilyTrainee
from .outcome import told_of
from .settings import TrainingOptions, TuneOptions
from .untuned import bytes_of, loss, with_room
from .views import training_and_held_out


@dataclass(frozen=True)
class TunedMember:
    """What a training did to one member. before, after: accuracy, where it was measured. held_out_before, held_out: on
    images that were not trained on. epoch: whose weights it has, 0 for those that it had."""

    name: str
    before: Accuracy | None
    after: Accuracy | None
    held_out_before: Worth | None
    held_out: Worth | None
    epoch: int
    untuned_bytes: int | None = None


@dataclass(frozen=True)
class TunedFamily:
    """What came of the training of a family. folder: the tuned one; kept: where the untuned one lies now, if it was
    replaced. history: an entry an epoch. members: from the cheapest on. record: plan.json of the tuned one."""

    folder: Path
    kept: Path | None
    settings: TuneOptions
    trained_params: int
    history: tuple[Mapping[str, Any], ...]
    members: tuple[TunedMember, ...]
    resumed: int
    record: Mapping[str, Any]
    rank: int = 0


def tune_family(folder: Path, options: TuneOptions, place: Engine, progress: Progress) -> TunedFamily:
    """Trains the adapters of a family, or all of it, and writes it anew, verified. Its members learn from its best
    parent beside the labels, unless the options name another teacher.

    Each member has the weights with which it, or the members that it shares trained weights with in the mean, were best
    on held-out images; and the weights that it had where these are worth more for it: they then stand beside the new
    ones, as far as the option `extra` leaves room for them. A training that was killed goes on from its last
    checkpoint.

    Raises:
        InputError: something given cannot be used. VerificationError: the family was changed, or what was emitted does
        not agree with what was trained; the family is as it was.
    """
    start = time.perf_counter()
    job = _begin(folder, options, place, progress)
    steps = {member["name"]: steps_of(member) for member in job.record["members"]}
    untuned = copy.deepcopy(job.network)
    before = _measured(job, untuned, {})
    assert job.settings.train is not None
    trainee = FamilyTrainee(job.network, steps, job.settings.train)
    views, held = training_and_held_out(job.images, job.model.input, job.settings)
    checkpoint = Checkpoint(job.target.resolve(), job.identity)
    if options.restart:
        checkpoint.drop()
    trainee.to(place.device)
    loop = FamilyLoop(
        trainee, views, job.settings, place, held=held, teachers=_teachers(job, untuned),
        workers=job.settings.workers, every=job.settings.checkpoint_seconds, save=checkpoint.write, progress=progress,
    )  # fmt: skip
    resumed = loop.go_on(checkpoint.read(), checkpoint.folder)
    trained = trainee.trained_params
    with checkpoint.of_a_training(), stage(progress, f"training {len(trainee.members)} members"):
        loop.run()
    networks, unwanted = _networks(loop, untuned.cpu(), job.network.cpu().eval().requires_grad_(False))
    networks, asked = _with_room(networks, unwanted, loop, untuned, options.extra)
    after = _measured(job, None, before, networks, {name for name in networks if networks[name] is untuned})
    members = tuple(
        replace(_tuned(name, before, after, loop, networks[name] is untuned), untuned_bytes=asked.get(name))
        for name in steps
    )
    made = TunedFamily(job.target, None, job.settings, trained, tuple(loop.state.history), members, resumed, {})
    made = _written(made, job, networks, steps, start)
    checkpoint.drop()
    return made


def _begin(folder: Path, options: TuneOptions, place: Engine, progress: Progress) -> Job:
    """The family and the images, loaded, and held against the options."""
    record = artifact.checked(folder, trust=options.trust)
    if place.world > 1:
        raise InputError("a family is trained in one process", "Run it without torchrun.")
    if options.train not in (None, "adapter", "all"):
        raise InputError(
            f"members of a family share their fragments, and `train={options.train!r}` names some of one network",
            "Train the adapters, `train='adapter'`, or all of it, `train='all'`.",
        )
    target = Path(options.out) if options.out is not None else folder
    artifact.replaceable(target, options.force or options.out is None)
    try_out(target)
    with stage(progress, f"loading {folder}"):
        largest = record["members"][-1]
        measured = next((one["accuracy"] for one in record["members"] if one["accuracy"]), None)
        names = largest["class_names"]
        model = Model(
            folder.resolve().name, input_of(record), source=str(folder), class_names=tuple(names) if names else None,
            module=artifact.load(folder, trust=True),  # its hashes were checked a moment ago, unless it is trusted
        )  # fmt: skip
        said = replace(
            options, train=options.train or "adapter", distill=options.distill or _taught_by(record, options)
        )
        shown = shown_to(model, folder, {**record, "accuracy": measured}, said)
    record = {**record, "notes": list(dict.fromkeys((*record["notes"], *shown.notes)))}
    check_batch(shown.settings, place)
    return Job(folder, target, record, shown.model, shown.images, shown.measured, shown.settings, place, progress)


def _taught_by(record: Mapping[str, Any], options: TuneOptions) -> str | None:
    """Whom members learn from where nobody says it: their best parent."""
    parents = any(member["parent"] is not None for member in record["members"])
    return "better" if parents and not options.teacher else None


def _teachers(job: Job, untuned: nn.Module) -> Teachers | None:
    """The parents in the family, as they were: of "better" the best, of "both" all; or those that the options name."""
    settings = job.settings
    if settings.teacher or not settings.distill:
        from .taught import teachers_of

        return teachers_of(settings, job.model, None, job.place, job.progress, trust=settings.trust)
    parents = [member for member in job.record["members"] if member["parent"] is not None]
    if settings.distill in ("front", "back"):
        raise InputError(
            f"members of a family begin and end in different models, and `distill={settings.distill!r}` names one's",
            "Take `distill='better'`, or 'both' for the mean of all parents.",
        )
    if not parents:
        raise InputError("the family has no parent to learn from", "Name the network to learn from: `teacher`.")
    if settings.distill == "better":
        parents = [max(parents, key=lambda one: ((one["accuracy"] or {}).get("top1") or 0, one["cost"]["macs"]))]
    models = [
        replace(job.model, name=one["name"], module=untuned.member(one["name"]))  # type: ignore[operator]
        for one in parents
    ]
    return Teachers(models, job.model.input, settings.temperature, job.place.device)


def _measured(
    job: Job,
    family: nn.Module | None,
    known: Mapping[str, Accuracy | None],
    networks: Mapping[str, nn.Module] | None = None,
    same: set[str] | frozenset[str] = frozenset(),
) -> dict[str, Accuracy | None]:
    """Of each member. known: what was found before, which counts for the members that are the `same`. networks: the
    family that each member is to be taken from, where that is not one."""
    found: dict[str, Accuracy | None] = {}
    for member in job.record["members"]:
        name = member["name"]
        of = networks[name] if networks else family
        if job.measured is None:
            found[name] = None
        elif name in same:
            found[name] = known[name]
        else:
            with stage(job.progress, f"measuring {name}"):
                found[name] = accuracy(
                    of.member(name), job.model.input, job.measured,  # type: ignore[union-attr, operator]
                    names=job.model.class_names, device=job.place.device.type, progress=job.progress,
                )  # fmt: skip
    return found


def _networks(
    loop: FamilyLoop, untuned: nn.Module, tuned: nn.Module
) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
    """Of each member the family that it is to be taken from: the untuned one where it was not trained, or is worth less
    by what was; else the tuned one, with the statistics that are its own. And the tuned one of those that are worth
    less by it."""
    found: dict[str, nn.Module] = dict.fromkeys(untuned.members, untuned)  # type: ignore[arg-type]
    unwanted: dict[str, nn.Module] = {}
    if loop.held is None:
        return found | dict.fromkeys(loop.trainee.members, tuned), unwanted
    for kept in loop.best:
        for name, worth in kept.worth.items():
            if kept.epoch:
                own = kept.statistics.get(name)
                of = unwanted if loop.before[name].better(worth) else found
                of[name] = _with_statistics(tuned, name, own) if own else tuned
    return found, unwanted


def _with_room(
    networks: dict[str, nn.Module], unwanted: Mapping[str, nn.Module], loop: FamilyLoop, untuned: nn.Module,
    extra: float | None,
) -> tuple[dict[str, nn.Module], dict[str, int]]:  # fmt: skip
    """The same with as many untuned weights as there is room for; and the bytes of these, by the members' names."""
    room = inf if extra is None else extra * bytes_of(untuned, networks)
    reached = {name: worth for kept in loop.best for name, worth in kept.worth.items()}
    lost = {name: loss(loop.before[name], reached[name]) for name in unwanted}
    return with_room(networks, unwanted, lost, room)


@torch.no_grad()
def _with_statistics(family: nn.Module, name: str, statistics: Mapping[str, torch.Tensor]) -> nn.Module:
    """A copy of the family in which a member's norms have these statistics."""
    own = copy.deepcopy(family)
    buffers = dict(own.member(name).named_buffers())  # type: ignore[operator]
    for key, value in statistics.items():
        buffers[key].copy_(value)
    return own


def _tuned(
    name: str, before: Mapping[str, Accuracy | None], after: Mapping[str, Accuracy | None], loop: FamilyLoop, same: bool
) -> TunedMember:
    start = loop.before.get(name)
    kept = next((one for one in loop.best if name in one.worth), None)
    if loop.held is None:
        epoch = len(loop.state.history) if name in loop.trainee.members else 0
        return TunedMember(name, before[name], after[name], None, None, epoch)
    if kept is None or same:
        return TunedMember(name, before[name], after[name], start, start, 0)
    return TunedMember(name, before[name], after[name], start, kept.worth[name], kept.epoch)


def _written(
    made: TunedFamily, job: Job, networks: Mapping[str, nn.Module], steps: Mapping[str, tuple[Step, ...]], start: float
) -> TunedFamily:
    """The tuned family, in its place."""
    from ..families.folder import rewrite_family
    from ..report.page.family import family_sections

    in_place = job.settings.out is None
    keep = Path(next_free(f"{job.source.resolve()}-untuned")) if in_place else None
    parents_first = sorted(job.record["members"], key=lambda one: one["parent"] is None)
    spans: dict[str, list[Span]] = {}
    for member in parents_first:
        name = member["name"]
        spans |= spans_again(networks[name], {name: steps[name]})
    plan, family = family_of(job.record)
    plan = replace(plan, images=job.images)
    record = _record(made, job)
    said = replace(job.settings, data=job.images.name, evaluate=job.measured.name if job.measured else None)
    text = (job.source / "recipe.toml").read_text(encoding="utf-8")
    text = recipe.with_training(text, said.make(TrainingOptions))
    with artifact.staging(job.target, force=job.settings.force or in_place, keep=keep) as staged:
        new = rewrite_family(
            plan, family, spans, staged, record=record, recipe=text,
            report=lambda record: list(family_sections(record, text)), onnx=(job.source / "onnx").exists(),
            opset=recipe.of_artifact(job.source, job.record).options.get("opset"),
            seconds={"tune": time.perf_counter() - start}, progress=job.progress,
        )  # fmt: skip
    return replace(made, record=new, kept=keep)


def _record(made: TunedFamily, job: Job) -> dict[str, Any]:
    """The family's record with what the training changed: accuracies, and what follows from them. A member that trained
    has no score any more, since that was of what it was; what members add to the file is not told where all of it
    trained; and rivals stay what they were: models as they are."""
    record = dict(job.record) | {"tuned": [*job.record.get("tuned", []), entry(made, job)]}
    members = [
        member
        | {"accuracy": told.after.as_dict() if told.after else None}
        | ({"score": None, "dominated_by": []} if told.epoch else {})
        for member, told in zip(job.record["members"], made.members, strict=True)
    ]
    if "family" in record:
        metric = metrics.get(record["family"]["metric"]).key

        def point(member: Mapping[str, Any]) -> tuple[float, float | None]:
            return member["cost"][metric], (member["accuracy"] or {}).get("top1")

        names = [model["name"] for model in record["models"]]
        given = [m["parent"] is not None and own_name(m["parent"], names) == m["parent"] for m in members]
        line = Line(point(member) for member, one in zip(members, given, strict=True) if one)
        whole = made.settings.train == "all"
        members = [
            member | {"over_line": None if one else line.over(*point(member))}
            | ({"adds_bytes": None} if whole else {})
            for member, one in zip(members, given, strict=True)
        ]  # fmt: skip
    return record | {"members": members}


def entry(made: TunedFamily, job: Job) -> dict[str, Any]:
    """What plan.json says of a training, under `tuned`; its figures are means over the members that were trained."""
    told = [one for one in made.members if one.epoch or one.held_out_before is not None]
    before, after = (_mean([getattr(one, key) for one in told]) for key in ("before", "after"))
    said = told_of(job, made.trained_params, made.history, before, after)
    return said | {
        "options": {**said["options"], "extra": job.settings.extra},
        "members": [
            {
                "name": one.name, "epoch": one.epoch,
                "before": one.before.top1 if one.before else None, "after": one.after.top1 if one.after else None,
                "held_out_before": vars(one.held_out_before) if one.held_out_before else None,
                "held_out": vars(one.held_out) if one.held_out else None,
                "untuned_bytes": one.untuned_bytes,
            }
            for one in made.members
        ],
    }  # fmt: skip


def _mean(found: list[Accuracy | None]) -> float | None:
    known = [one.top1 for one in found if one is not None]
    return sum(known) / len(known) if known else None
