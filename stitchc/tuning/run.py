"""The verb: from an artifact, or a model, and images to the artifact tuned."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from .. import artifact, recipe
from ..evaluate import Accuracy, accuracy
from ..folder import try_out
from ..inputs import images_of, is_artifact, model_of, name_of
from ..keywords import with_options
from ..passes.data.errors import DataError, Diverged, InputError
from ..passes.data.model import Images, Model
from ..passes.training.distillation import Teachers
from ..passes.training.worth import Worth
from ..progress import Progress, Silent, stage
from ..report.numbers import duration, size
from ..zoo.trust import check_data
from . import features as kept
from .checkpoint import Checkpoint
from .emit import emit
from .engine import Engine, engine
from .features import Features
from .labels import meant, measured_on
from .loop import Loop
from .origins import Origins
from .parts import Trainee
from .plain import plain
from .settings import Settings, TuneOptions
from .views import Views, normalised, training_and_held_out


@dataclass(frozen=True)
class HeldOut:
    """By what the best state of a training was chosen. images: how many were not trained on. start, best: what the
    network was worth on them before, and as it was kept. epoch: after which that was, 0 for the untuned weights."""

    images: int
    start: Worth
    best: Worth
    epoch: int

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "images": self.images, "by": self.best.by, "epoch": self.epoch,
            "right_before": self.start.right, "right": self.best.right,
            "nats_before": self.start.nats, "nats": self.best.nats,
        }  # fmt: skip


@dataclass(frozen=True)
class Tuned:
    """What came of a training. folder: the tuned artifact; kept: where the untuned one lies now, if it was replaced.

    history: an entry an epoch: loss and accuracy while it trained, held-out accuracy, learning rate. before, after: on
    the same images. held_out: by which images the best state was chosen; None where none were held out. resumed: the
    steps that an earlier, unfinished run had done. record: plan.json of the artifact.
    rank: of this process; those above 0 have only helped, and their record is empty.
    """

    folder: Path
    kept: Path | None
    settings: Settings
    trained_params: int
    history: tuple[Mapping[str, Any], ...]
    before: Accuracy | None
    after: Accuracy | None
    held_out: HeldOut | None
    resumed: int
    record: Mapping[str, Any]
    rank: int = 0


@with_options(TuneOptions, "data")
def tune(
    subject: str | Path | Model,
    *,
    options: TuneOptions,
    parents: Sequence[Model] | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """Trains an artifact, or a model, and writes it anew as an artifact, verified.

    subject: the folder of an artifact; or a model, by its words or loaded, which becomes an artifact in `out`.
    parents: the models that the artifact was made from; by default they are loaded by the words that it names them by,
    when they are needed. A training that was killed goes on from its last checkpoint, to the same result, when it is
    called again with the same options. Several processes: start them with `torchrun`.

    Raises:
        InputError: something given cannot be used. VerificationError: the artifact was changed, or what was emitted
        does not agree with what was trained; an artifact is as it was.
    """
    place = engine(options.device, options.precision)
    watcher = (progress or Silent()) if place.rank == 0 else Silent()
    if not isinstance(subject, Model) and is_artifact(subject):
        return _tuned(Path(subject), options, place, parents, watcher)
    with plain(subject, options, watcher) as (folder, model, told):
        return _tuned(folder, told, place, (model,), watcher)


def _tuned(
    folder: Path, options: TuneOptions, place: Engine, parents: Sequence[Model] | None, watcher: Progress
) -> Tuned:
    start = time.perf_counter()
    job = _begin(folder, options, place, watcher)
    origins = Origins(job.record, parents, job.source, options, watcher)
    views, held = training_and_held_out(job.images, job.model.input, job.settings)
    two = normalised(views.plain(torch.arange(min(2, len(views)))), job.model.input)
    assert job.settings.train is not None
    trainee = Trainee(job.network, job.settings.train, two)
    teachers = _teachers(job, origins)
    checkpoint = Checkpoint(job.target.resolve(), job.identity)
    if options.restart and place.rank == 0:
        checkpoint.drop()
    place.wait()
    found = checkpoint.read()
    before = Accuracy(**found["before"]) if found and found["before"] else job.accuracy("before")

    trainee.to(place.device)
    loop, resumed = _trained(job, trainee, views, held, teachers, checkpoint, before)
    after = job.accuracy("after") if place.rank == 0 else None
    made = Tuned(
        job.target, None, job.settings, trainee.trained_params, tuple(loop.state.history), before, after,
        _held_out(loop), resumed, {}, place.rank,
    )  # fmt: skip
    if place.rank == 0:
        made = _written(made, job, origins, start)
        checkpoint.drop()
    place.wait()
    return made


@dataclass(frozen=True)
class _Job:
    """What is trained, on what, where. model: the artifact. measured: the images to measure accuracy on, if any."""

    source: Path
    target: Path
    record: Mapping[str, Any]
    model: Model
    images: Images
    measured: Images | None
    settings: TuneOptions
    place: Engine
    progress: Progress

    @property
    def network(self) -> torch.nn.Module:
        assert self.model.module is not None
        return self.model.module

    @property
    def identity(self) -> dict[str, Any]:
        """All that the result of a training follows from."""
        options = self.settings.as_dict() | {"augment": ",".join(self.settings.augment)}
        return options | {
            "weights": self.record["files"]["model.safetensors"][:16], "data": self.images.name,
            "images": len(self.images), "evaluate": self.measured.name if self.measured is not None else None,
            "processes": self.place.world,
        }  # fmt: skip

    def accuracy(self, when: str) -> Accuracy | None:
        """Of the network as it is now; None without images to measure on."""
        if self.measured is None:
            return None
        with stage(self.progress, f"measuring the hybrid {when}"):
            device = self.place.device.type
            return accuracy(
                self.network, self.model.input, self.measured,
                names=self.model.class_names, device=device, progress=self.progress,
            )  # fmt: skip


def _begin(source: Path, options: TuneOptions, place: Engine, progress: Progress) -> _Job:
    """The artifact and the images, loaded, and held against the options."""
    record = artifact.checked(source, trust=options.trust)
    target = Path(options.out) if options.out is not None else source
    artifact.replaceable(target, options.force or options.out is None)
    if place.rank == 0:
        try_out(target)
    with stage(progress, f"loading {source}"):
        model = artifact.as_model(source, trust=options.trust)
        data = options.data if options.data is not None else _compiled_with(source, record, options.trust)
        images = images_of(data, "to train on")
        settings = replace(_labelled(images, options), train=_trained_part(record, options.train))
        images, model, said = meant(images, model)
        if not options.evaluate and (named := (record["accuracy"] or {}).get("data")):
            check_data(named, str(source / artifact.PLAN), trust=options.trust)
        measured, unmeasured = measured_on(options.evaluate, record, images, model)
        record = {
            **record,
            "class_names": list(model.class_names) if model.class_names else None,
            "notes": list(dict.fromkeys((*record["notes"], *said, *unmeasured))),
        }
    if settings.batch % (settings.accumulate * place.world):
        raise InputError(
            f"a batch of {settings.batch} images cannot be shared by {place.world} processes in "
            f"{settings.accumulate} parts each",
            "Choose a batch that is a multiple of their product.",
        )
    return _Job(source, target, record, model, images, measured, settings, place, progress)


def _trained_part(record: Mapping[str, Any], train: str | None) -> str:
    """What is trained, where nobody says it too."""
    if any("adapter" in link for link in record["chain"]):
        return train or "adapter"
    if train not in (None, "all"):
        raise InputError(
            f"{record['chain'][0]['model']} is one network without an adapter, and `train={train!r}` was asked for",
            "Leave `train` out: all of it is trained.",
        )
    return "all"


def _compiled_with(source: Path, record: Mapping[str, Any], trust: bool) -> str | None:
    """The images that the artifact was compiled with, all of them.

    Raises:
        UnsafeCheckpoint: they are of a kind that only the user may name, without `trust`.
    """
    given = recipe.read(source / "recipe.toml").options.get("data")
    if given is not None:
        check_data(given, str(source / "recipe.toml"), trust=trust)
        return given
    probe = (record.get("probe") or {}).get("data") or ""
    return "digits" if probe.split("?")[0] == "digits" else None


def _labelled(images: Images, settings: TuneOptions) -> TuneOptions:
    """Images without labels can teach only what the parents say of them."""
    if images.labels is not None:
        return settings
    if not settings.taught:
        raise DataError(
            f"the images of '{images.name}' have no labels",
            "Give images in class subfolders, or learn from a network alone: `distill='better'` or `teacher`.",
        )
    return replace(settings, distill_weight=1.0)


def _teachers(job: _Job, origins: Origins) -> Teachers | None:
    settings = job.settings
    if settings.teacher:
        models = []
        for subject in settings.teacher:
            with stage(job.progress, f"loading {name_of(subject)}"):
                models.append(model_of(subject, trust=settings.trust))
    elif settings.distill:
        models = origins.teachers(settings.distill)
    else:
        return None
    for teacher in models:
        _same_classes(teacher, job.model)
    return Teachers(models, job.model.input, settings.temperature, job.place.device)


def _same_classes(teacher: Model, model: Model) -> None:
    if teacher.class_names and model.class_names and teacher.class_names != model.class_names:
        raise InputError(
            f"the outputs of {teacher.name} mean other classes than those of {model.name}, or in another order",
            "Learn from a network with the same classes.",
        )


def _trained(
    job: _Job, trainee: Trainee, views: Views, held: Views | None, teachers: Teachers | None, checkpoint: Checkpoint,
    before: Accuracy | None,
) -> tuple[Loop, int]:  # fmt: skip
    """The training, run to its end from where the checkpoint says; and how many steps were done before."""
    settings, progress = job.settings, job.progress
    found, resumed = checkpoint.read(), 0
    values, taught = _features(job, trainee, views, teachers, checkpoint)
    try:
        loop = Loop(
            trainee, views, settings, job.place, held=held, teachers=teachers, features=values, taught=taught,
            workers=settings.workers, every=settings.checkpoint_seconds, progress=progress,
            save=lambda state: checkpoint.write({"before": before.as_dict() if before else None, **state}),
        )  # fmt: skip
        if found:
            loop.load(found)
            resumed = loop.state.epoch * loop.steps + loop.state.step
            progress.tell(
                f"Going on after {resumed} of {settings.epochs * loop.steps} steps, from {checkpoint.folder}."
            )
        with stage(progress, f"training {', '.join(trainee.trains)}"):
            loop.run()
    except Diverged:
        checkpoint.drop()
        raise
    except KeyboardInterrupt as stopped:
        if checkpoint.path.exists():
            stopped.add_note(f"The same command goes on from the last checkpoint, in {checkpoint.folder}.")
        raise
    finally:
        if values is not None:
            values.close()
    return loop, resumed


def _held_out(loop: Loop) -> HeldOut | None:
    state = loop.state
    if loop.held is None or state.start is None or state.best is None:
        return None
    return HeldOut(len(loop.held), state.start, state.best.worth, state.best.epoch)


def _features(
    job: _Job, trainee: Trainee, views: Views, teachers: Teachers | None, checkpoint: Checkpoint
) -> tuple[Features | None, Features | None]:
    """What the layers that are not trained make of every image, and what the teachers say of it, where keeping both
    saves time."""
    settings, device, progress = job.settings, job.place.device, job.progress
    if not settings.cache or job.place.world > 1 or not kept.saves_time(trainee, views.augment, settings.epochs):
        return None, None
    needed = kept.bytes_of(trainee, views, device)
    scratch = checkpoint.folder if needed > settings.max_memory else None
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    with stage(progress, "computing features at the cut"):
        values = kept.collect(trainee.features, views, device, scratch, progress)
    if values is None:
        progress.tell(f"The features at the cut take {size(needed)}, more than the disk has free: they are not kept.")
        return None, None
    spent = (time.perf_counter() - begun) / values.versions
    where = "in memory" if scratch is None else f"in {values.path}"
    progress.tell(f"Features at the cut: {size(needed)} {where}. Each epoch saves the {duration(spent)} they take.")
    taught = None
    if teachers is not None:
        with stage(progress, "asking the teachers"):
            taught = kept.collect(teachers, views, device, None, progress)
    return values, taught


def _written(made: Tuned, job: _Job, origins: Origins, start: float) -> Tuned:
    """The tuned artifact, in its place."""
    in_place = job.settings.out is None
    keep = _next_free(f"{job.source.resolve()}-untuned") if in_place else None
    said = replace(job.settings, data=job.images.name, evaluate=job.measured.name if job.measured else None)
    alone = len(job.record["chain"]) == 1
    parents = [made.before] if alone else origins.measured(job.measured, job.place.device.type)
    with artifact.staging(job.target, force=job.settings.force or in_place, keep=keep) as staged:
        record = emit(
            job.network, job.model, job.source, staged, record=job.record, tuning=_entry(made, job), options=said,
            accuracy=made.after, parents=parents, images=job.images, seconds={"tune": time.perf_counter() - start},
            progress=job.progress,
        )  # fmt: skip
    return replace(made, record=record, kept=keep)


def _entry(made: Tuned, job: _Job) -> dict[str, Any]:
    """What plan.json says of a training, under `tuned`."""
    options = job.settings.as_dict()
    options.pop("cache")
    return {
        "train": options.pop("train"), "trained_params": made.trained_params, "data": job.images.name,
        "images": len(job.images), "epochs": len(made.history),
        "accuracy": {
            "data": job.measured.name if job.measured else None,
            "images": len(job.measured) if job.measured else None,
            "before": made.before.top1 if made.before else None,
            "after": made.after.top1 if made.after else None,
        },
        "held_out": made.held_out and made.held_out.as_dict(), "options": options, "history": list(made.history),
    }  # fmt: skip


def _next_free(name: str) -> Path:
    return next(Path(n) for n in (name, *(f"{name}-{i}" for i in range(2, 10_000))) if not Path(n).exists())
