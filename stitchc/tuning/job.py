"""What is trained, on what, where: loaded, and held against the options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from .. import artifact, recipe
from ..evaluate import Accuracy, accuracy
from ..folder import try_out
from ..inputs import images_of
from ..passes.data.errors import DataError, InputError
from ..passes.data.model import Images, Model
from ..progress import Progress, stage
from ..zoo.trust import check_data
from .engine import Engine
from .labels import meant, measured_on
from .settings import TuneOptions


@dataclass(frozen=True)
class Job:
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


def begin(source: Path, options: TuneOptions, place: Engine, progress: Progress) -> Job:
    """The artifact and the images, loaded, and held against the options."""
    if options.extra is not None:
        raise InputError("`extra` is of what members of a family keep, and this is no family", "Leave it out.")
    record = artifact.checked(source, trust=options.trust)
    target = Path(options.out) if options.out is not None else source
    artifact.replaceable(target, options.force or options.out is None)
    if place.rank == 0:
        try_out(target)
    with stage(progress, f"loading {source}"):
        shown = shown_to(artifact.as_model(source, trust=options.trust), source, record, options)
        settings = replace(shown.settings, train=_trained_part(record, options.train))
        record = {
            **record,
            "class_names": list(shown.model.class_names) if shown.model.class_names else None,
            "notes": list(dict.fromkeys((*record["notes"], *shown.notes))),
        }
    check_batch(settings, place)
    return Job(source, target, record, shown.model, shown.images, shown.measured, settings, place, progress)


@dataclass(frozen=True)
class Shown:
    """What a training is shown. model: with the names that its outputs have from then on. images: to train on, with
    labels that are outputs of it. measured: to measure accuracy on, if any. settings: as the images ask for them.
    notes: what a report must say."""

    model: Model
    images: Images
    measured: Images | None
    settings: TuneOptions
    notes: tuple[str, ...]


def shown_to(model: Model, source: Path, record: Mapping[str, Any], options: TuneOptions) -> Shown:
    """The images that the options, or the record of the artifact in `source`, name for a model.

    Raises:
        DataError: there are none, or they are of other classes. UnsafeCheckpoint: a file names what only a user may.
    """
    data = options.data if options.data is not None else _compiled_with(source, record, options.trust)
    images = images_of(data, "to train on")
    settings = _labelled(images, options)
    images, model, said = meant(images, model)
    if not options.evaluate and (named := (record["accuracy"] or {}).get("data")):
        check_data(named, str(source / artifact.PLAN), "evaluate", trust=options.trust)
    measured, unmeasured = measured_on(options.evaluate, record, images, model)
    return Shown(model, images, measured, settings, (*said, *unmeasured))


def check_batch(settings: TuneOptions, place: Engine) -> None:
    """Raises:
    InputError: a batch cannot be dealt out to the processes.
    """
    if settings.batch % (settings.accumulate * place.world):
        raise InputError(
            f"a batch of {settings.batch} images cannot be shared by {place.world} processes in "
            f"{settings.accumulate} parts each",
            "Choose a batch that is a multiple of their product.",
        )


def _trained_part(record: Mapping[str, Any], train: str | None) -> str:
    """What is trained, where nobody says it too."""
    several = record.get("ensemble")
    if any("adapter" in link for link in record["chain"]) and not several:
        return train or "adapter"
    if train not in (None, "all"):
        what = (
            "an ensemble of chains" if several else f"{record['chain'][0]['model']} is one network without an adapter"
        )
        raise InputError(
            f"{'this is ' if several else ''}{what}, and `train={train!r}` was asked for",
            "Leave `train` out: all of it is trained.",
        )
    return "all"


def _compiled_with(source: Path, record: Mapping[str, Any], trust: bool) -> str | None:
    """The images that the artifact was compiled with, all of them.

    Raises:
        UnsafeCheckpoint: they are of a kind that only the user may name, without `trust`.
    """
    given = recipe.of_artifact(source, record).options.get("data")
    if given is not None:
        check_data(given, str(source / "recipe.toml"), "data", trust=trust)
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
