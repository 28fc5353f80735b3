"""The verb: from an artifact and labelled images to the artifact tuned."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from .. import artifact, recipe
from ..evaluate import Accuracy, accuracy
from ..inputs import images_of
from ..passes.data.budget import parse_quantity
from ..passes.data.errors import DataError, Diverged, InputError, ModelError
from ..passes.data.model import Images, Model
from ..passes.data.scores import scores
from ..progress import Progress, Silent, stage
from ..report.numbers import duration, size
from . import features as kept
from .checkpoint import Checkpoint
from .emit import emit
from .engine import Engine, engine
from .features import Features
from .loop import Loop
from .parts import Trainee
from .settings import Settings, resolve
from .teachers import Teachers
from .views import Views, normalised, split

MEMORY = "2GiB"
CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class Tuned:
    """What came of a training. folder: the tuned artifact; kept: where the untuned one lies now, if it was replaced.

    history: an entry an epoch: loss and accuracy while it trained, held-out accuracy, learning rate. before, after: on
    the same images. resumed: the steps that an earlier, unfinished run had done. record: plan.json of the artifact.
    rank: of this process; those above 0 have only helped, and their record is empty.
    """

    folder: Path
    kept: Path | None
    settings: Settings
    trained_params: int
    history: tuple[Mapping[str, Any], ...]
    before: Accuracy | None
    after: Accuracy | None
    resumed: int
    record: Mapping[str, Any]
    rank: int = 0


def tune(
    folder: str | Path,
    data: str | Images | None = None,
    *,
    preset: str | None = None,
    train: str | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    accumulate: int | None = None,
    optimizer: str | None = None,
    lr: float | None = None,
    momentum: float | None = None,
    weight_decay: float | None = None,
    schedule: str | None = None,
    warmup: float | None = None,
    clip: float | None = None,
    smoothing: float | None = None,
    distill: str | None = None,
    distill_weight: float | None = None,
    temperature: float | None = None,
    augment: str | Sequence[str] | None = None,
    holdout: float | None = None,
    patience: int | None = None,
    precision: str | None = None,
    cache: bool | None = None,
    seed: int | None = None,
    evaluate: str | Images | None = None,
    out: str | Path | None = None,
    parents: Sequence[Model] | None = None,
    max_memory: int | str = MEMORY,
    workers: int = 0,
    checkpoint_seconds: float = CHECKPOINT_SECONDS,
    restart: bool = False,
    device: str = "auto",
    arch: str | None = None,
    trust_pickle: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Tuned:
    """Trains the artifact in `folder` on labelled images and writes it anew, verified.

    What is None takes the value of `preset`, else that of `Settings`, which says what each option means. data: DATA
    words or Images; by default what the artifact was compiled with. evaluate: the images to measure on, before and
    after; by default those of the artifact's own accuracy. out: by default the tuned artifact takes the place of
    `folder`, and the untuned one lies in `<folder>-untuned`. parents: the models that the artifact was made from; by
    default they are loaded by the words that it names them by, when they are needed. max_memory: of features that are
    kept in memory; larger ones go to a file.

    A training that was killed goes on from its last checkpoint, to the same result, when it is called again with the
    same options; restart: forget it and begin anew. Several processes: start them with `torchrun`.

    Raises:
        InputError: something given cannot be used. VerificationError: the artifact was changed, or what was emitted
        does not agree with what was trained; `folder` is as it was.
    """
    start = time.perf_counter()
    names = Settings.__dataclass_fields__
    given = {name: value for name, value in locals().items() if name in names}
    settings = resolve(preset, given)
    place = engine(device, settings.precision)
    watcher = (progress or Silent()) if place.rank == 0 else Silent()
    source = Path(folder)
    record = artifact.read(source)
    artifact.check_hashes(source, record)
    target = Path(out) if out is not None else source
    artifact.replaceable(target, force or out is None)
    with stage(watcher, f"loading {folder}"):
        model = artifact.as_model(source)
        images = images_of(data if data is not None else _compiled_with(source, record), "to train on")
        settings = _labelled(images, settings)
        measured = _measured_on(evaluate, record, images)
    if settings.batch % (settings.accumulate * place.world):
        raise InputError(
            f"a batch of {settings.batch} images cannot be shared by {place.world} processes in "
            f"{settings.accumulate} parts each",
            "Choose a batch that is a multiple of their product.",
        )
    training, held = split(images, settings.holdout, settings.seed)
    views = Views(images, model.input, training, settings.augment, settings.seed)
    assert model.module is not None
    _check_classes(model.module, views, settings)
    trainee = Trainee(
        model.module, settings.train, normalised(views.plain(torch.arange(min(2, len(views)))), model.input)
    )
    loaded = _Parents(record, parents, source, arch, trust_pickle, watcher)
    teachers = None
    if settings.distill:
        teachers = Teachers(loaded.teachers(settings.distill), model.input, settings.temperature, place.device)

    checkpoint = Checkpoint(target.resolve(), _identity(settings, record, images, measured, place))
    if restart and place.rank == 0:
        checkpoint.drop()
    place.wait()
    found = checkpoint.read()
    before = Accuracy(**found["before"]) if found and found["before"] else None
    if measured is not None and before is None:
        with stage(watcher, "measuring the hybrid before"):
            before = accuracy(model.module, model.input, measured, device=place.device.type, progress=watcher)
    trainee.to(place.device)
    done = 0
    values, taught = _features(trainee, views, teachers, settings, place, max_memory, checkpoint, watcher)
    try:
        loop = Loop(
            trainee, views, settings, place,
            held=Views(images, model.input, held, (), settings.seed) if len(held) else None,
            teachers=teachers, features=values, taught=taught, workers=workers, every=checkpoint_seconds,
            save=lambda state: checkpoint.write({"before": asdict(before) if before else None, **state}),
            progress=watcher,
        )  # fmt: skip
        if found:
            loop.load(found)
            done = loop.state.epoch * loop.steps + loop.state.step
            watcher.tell(f"Going on after {done} of {settings.epochs * loop.steps} steps, from {checkpoint.folder}.")
        with stage(watcher, f"training {', '.join(trainee.trains)}"):
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
    history = tuple(loop.state.history)
    after = None
    if measured is not None and place.rank == 0:
        with stage(watcher, "measuring the hybrid after"):
            after = accuracy(model.module, model.input, measured, device=place.device.type, progress=watcher)
    made = Tuned(target, None, settings, trainee.trained_params, history, before, after, done, {}, place.rank)
    if place.rank == 0:
        keep = _next_free(f"{source.resolve()}-untuned") if out is None else None
        with artifact.staging(target, force=force or out is None, keep=keep) as staged:
            new = emit(
                model.module, model, source, staged,
                record=record, tuning=_entry(made, images, measured), options=_recipe(settings, images, measured),
                accuracy=after, parents=loaded.measured(measured, place), images=images,
                seconds={"tune": time.perf_counter() - start}, progress=watcher,
            )  # fmt: skip
        checkpoint.drop()
        made = replace(made, record=new, kept=keep)
    place.wait()
    return made


def _compiled_with(source: Path, record: Mapping[str, Any]) -> str | None:
    """The images that the artifact was compiled with, all of them."""
    given = recipe.read(source / "recipe.toml").get("data")
    if given is not None:
        return given
    probe = (record.get("probe") or {}).get("data") or ""
    return "digits" if probe.split("?")[0] == "digits" else None


def _labelled(images: Images, settings: Settings) -> Settings:
    """Images without labels can teach only what the parents say of them."""
    if images.labels is not None:
        return settings
    if settings.distill is None:
        raise DataError(
            f"the images of '{images.name}' have no labels",
            "Give images in class subfolders, or learn from the parents alone: --distill both.",
        )
    return replace(settings, distill_weight=1.0)


def _measured_on(evaluate: str | Images | None, record: Mapping[str, Any], images: Images) -> Images | None:
    """The images to measure on: those given, else those of the artifact's accuracy, else the digits' test split."""
    if evaluate is not None:
        return images_of(evaluate, "to measure on")
    known = (record.get("accuracy") or {}).get("data")
    if known is None and images.name.split("?")[0] == "digits":
        known = "digits?split=test"
    return images_of(known, "to measure on") if known else None


@torch.no_grad()
def _check_classes(network: torch.nn.Module, views: Views, settings: Settings) -> None:
    labels = views.images.labels
    if labels is None:
        return
    classes = scores(network, normalised(views.plain(torch.arange(1)), views.spec)).shape[1]
    if int(labels.max()) >= classes:
        raise DataError(
            f"'{views.images.name}' has a label {int(labels.max())}, but the network has {classes} outputs",
            "Tune it on images of the classes that it was compiled for.",
        )


def _identity(
    settings: Settings, record: Mapping[str, Any], images: Images, measured: Images | None, place: Engine
) -> dict[str, Any]:
    """All that the result of a training follows from."""
    options = settings.as_dict() | {"augment": ",".join(settings.augment)}
    return options | {
        "weights": record["files"]["model.safetensors"][:16], "data": images.name, "images": len(images),
        "evaluate": measured.name if measured is not None else None, "processes": place.world,
    }  # fmt: skip


def _features(
    trainee: Trainee,
    views: Views,
    teachers: Teachers | None,
    settings: Settings,
    place: Engine,
    max_memory: int | str,
    checkpoint: Checkpoint,
    watcher: Progress,
) -> tuple[Features | None, Features | None]:
    """What the trunk makes of every image, and what the teachers say of it, where keeping both saves time."""
    if not settings.cache or place.world > 1 or not kept.worth(trainee, views.augment, settings.epochs):
        return None, None
    limit = parse_quantity(max_memory, "memory").value if isinstance(max_memory, str) else max_memory
    needed = kept.bytes_of(trainee, views, place.device)
    scratch = checkpoint.folder if needed > limit else None
    if scratch is not None:
        scratch.mkdir(parents=True, exist_ok=True)
    begun = time.perf_counter()
    with stage(watcher, "computing features at the cut"):
        values = kept.collect(trainee.features, views, place.device, scratch, watcher)
    if values is None:
        watcher.tell(f"The features at the cut take {size(needed)}, more than the disk has free: they are not kept.")
        return None, None
    spent = (time.perf_counter() - begun) / values.versions
    where = "in memory" if scratch is None else f"in {values.path}"
    watcher.tell(f"Features at the cut: {size(needed)} {where}. Each epoch saves the {duration(spent)} they take.")
    taught = None
    if teachers is not None:
        with stage(watcher, "asking the teachers"):
            taught = kept.collect(teachers, views, place.device, None, watcher)
    return values, taught


class _Parents:
    """The models that an artifact was made from, loaded when they are asked for."""

    def __init__(
        self, record: Mapping[str, Any], given: Sequence[Model] | None, folder: Path, arch: str | None,
        trust_pickle: bool, watcher: Progress,
    ):  # fmt: skip
        self.record, self.given, self.folder = record, given, folder
        self.arch, self.trust_pickle, self.watcher = arch, trust_pickle, watcher
        self.loaded: dict[int, Model] = {}
        if given is not None and len(given) != len(record["models"]):
            raise InputError(f"{folder} was made from {len(record['models'])} models, and {len(given)} were given")

    def teachers(self, distill: str) -> list[Model]:
        names = [model["name"] for model in self.record["models"]]
        first, last = (names.index(self.record["chain"][end]["model"]) for end in (0, -1))
        return [self.load(index) for index in {"front": [first], "back": [last], "both": [first, last]}[distill]]

    def load(self, index: int) -> Model:
        """Raises:
        ModelError: it is not there any more, or is another network than the artifact was made from.
        """
        if index in self.loaded:
            return self.loaded[index]
        known = self.record["models"][index]
        if self.given is not None:
            model = self.given[index]
        elif not known["source"]:
            raise ModelError(
                f"{self.folder} does not say where its parent {known['name']} came from",
                "From Python, give the models: stitchc.tune(..., parents=(a, b)).",
            )
        else:
            from ..inputs import arch_for, model_of

            arch = self.arch or recipe.read(self.folder / "recipe.toml").get("arch")
            with stage(self.watcher, f"loading {known['name']}"):
                model = model_of(known["source"], trust_pickle=self.trust_pickle, arch=arch_for(known["source"], arch))
            if known["sha256"] and model.sha256 != known["sha256"]:
                raise ModelError(
                    f"'{known['source']}' is not the network that {self.folder} was made from: its weights differ",
                    "Put the right file there, or compile again with the new one.",
                )
        self.loaded[index] = model
        return model

    def measured(self, images: Images | None, place: Engine) -> list[Accuracy | None]:
        """The parents' accuracy on the images that the hybrid was measured on; None where it is known, or cannot be."""
        found: list[Accuracy | None] = []
        for index, known in enumerate(self.record["models"]):
            if images is None or known.get("accuracy_on") == images.name:
                found.append(None)
                continue
            try:
                model = self.load(index)
            except (ModelError, InputError):
                found.append(None)
                continue
            with stage(self.watcher, f"measuring {model.name}"):
                found.append(
                    accuracy(model.network, model.input, images, device=place.device.type, progress=self.watcher)
                )
        return found


def _entry(made: Tuned, images: Images, measured: Images | None) -> dict[str, Any]:
    """What plan.json says of a training, under `tuned`."""
    options = made.settings.as_dict()
    options.pop("cache")
    return {
        "train": options.pop("train"), "trained_params": made.trained_params, "data": images.name,
        "images": len(images), "epochs": len(made.history),
        "accuracy": {
            "data": measured.name if measured else None,
            "images": len(measured) if measured else None,
            "before": made.before.top1 if made.before else None,
            "after": made.after.top1 if made.after else None,
        },
        "options": options, "history": list(made.history),
    }  # fmt: skip


def _recipe(settings: Settings, images: Images, measured: Images | None) -> dict[str, Any]:
    return {"data": images.name, "evaluate": measured.name if measured else None, **settings.as_dict()}


def _next_free(name: str) -> Path:
    return next(Path(n) for n in (name, *(f"{name}-{i}" for i in range(2, 10_000))) if not Path(n).exists())
