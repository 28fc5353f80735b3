"""The verb: from an artifact, or a model, and images to the artifact tuned."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path

import torch

from .. import artifact
from ..evaluate import Accuracy
from ..families.members import is_family
from ..folder import next_free
from ..inputs import is_artifact
from ..keywords import with_options
from ..passes.data.model import Model
from ..passes.training.distillation import Teachers
from ..progress import Progress, Silent, stage
from ..report.numbers import duration, size
from . import features as kept
from .checkpoint import Checkpoint
from .emit import emit
from .engine import Engine, engine
from .family import TunedFamily, tune_family
from .features import Features
from .job import Job, begin
from .loop import Loop
from .origins import Origins
from .outcome import Tuned, entry, held_out
from .parts import Trainee
from .plain import plain
from .settings import TuneOptions
from .taught import teachers_of
from .views import Views, normalised, training_and_held_out


@with_options(TuneOptions, "data")
def tune(
    subject: str | Path | Model,
    *,
    options: TuneOptions,
    parents: Sequence[Model] | None = None,
    progress: Progress | None = None,
) -> Tuned | TunedFamily:
    """Trains an artifact, or a model, and writes it anew as an artifact, verified. Of a family, see `tune_family`.

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
    if is_family(subject):
        assert not isinstance(subject, Model)
        return tune_family(Path(subject), options, place, watcher)
    if not isinstance(subject, Model) and is_artifact(subject):
        return _tuned(Path(subject), options, place, parents, watcher)
    with plain(subject, options, watcher) as (folder, model, told):
        return _tuned(folder, told, place, (model,), watcher)


def _tuned(
    folder: Path, options: TuneOptions, place: Engine, parents: Sequence[Model] | None, watcher: Progress
) -> Tuned:
    start = time.perf_counter()
    job = begin(folder, options, place, watcher)
    origins = Origins(job.record, parents, job.source, options, watcher)
    views, held = training_and_held_out(job.images, job.model.input, job.settings)
    two = normalised(views.plain(torch.arange(min(2, len(views)))), job.model.input)
    assert job.settings.train is not None
    trainee = Trainee(job.network, job.settings.train, two)
    teachers = teachers_of(job.settings, job.model, origins, job.place, job.progress, trust=job.settings.trust)
    checkpoint = Checkpoint(job.target.resolve(), job.identity)
    if options.restart and place.rank == 0:
        checkpoint.drop()
    place.wait()
    found = checkpoint.read()
    before = Accuracy(**found["before"]) if found and found.get("before") else job.accuracy("before")

    trainee.to(place.device)
    loop, resumed = _trained(job, trainee, views, held, teachers, checkpoint, before)
    after = job.accuracy("after") if place.rank == 0 else None
    made = Tuned(
        job.target, None, job.settings, trainee.trained_params, tuple(loop.state.history), before, after,
        held_out(loop), resumed, {}, place.rank,
    )  # fmt: skip
    if place.rank == 0:
        made = _written(made, job, origins, start)
        checkpoint.drop()
    place.wait()
    return made


def _trained(
    job: Job, trainee: Trainee, views: Views, held: Views | None, teachers: Teachers | None, checkpoint: Checkpoint,
    before: Accuracy | None,
) -> tuple[Loop, int]:  # fmt: skip
    """The training, run to its end from where the checkpoint says; and how many steps were done before."""
    settings, progress = job.settings, job.progress
    found = checkpoint.read()
    values, taught = _features(job, trainee, views, teachers, checkpoint)
    with checkpoint.of_a_training(), closing(values) if values is not None else nullcontext():
        loop = Loop(
            trainee, views, settings, job.place, held=held, teachers=teachers, features=values, taught=taught,
            workers=settings.workers, every=settings.checkpoint_seconds, progress=progress,
            save=lambda state: checkpoint.write({"before": before.as_dict() if before else None, **state}),
        )  # fmt: skip
        resumed = loop.go_on(found, checkpoint.folder)
        with stage(progress, f"training {', '.join(trainee.trains)}"):
            loop.run()
    return loop, resumed


def _features(
    job: Job, trainee: Trainee, views: Views, teachers: Teachers | None, checkpoint: Checkpoint
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


def _written(made: Tuned, job: Job, origins: Origins, start: float) -> Tuned:
    """The tuned artifact, in its place."""
    in_place = job.settings.out is None
    keep = Path(next_free(f"{job.source.resolve()}-untuned")) if in_place else None
    said = replace(job.settings, data=job.images.name, evaluate=job.measured.name if job.measured else None)
    alone = len(job.record["chain"]) == 1
    parents = [made.before] if alone else origins.measured(job.measured, job.place.device.type)
    with artifact.staging(job.target, force=job.settings.force or in_place, keep=keep) as staged:
        record = emit(
            job.network, job.model, job.source, staged, record=job.record, tuning=entry(made, job), options=said,
            accuracy=made.after, parents=parents, images=job.images, seconds={"tune": time.perf_counter() - start},
            progress=job.progress,
        )  # fmt: skip
    return replace(made, record=record, kept=keep)
