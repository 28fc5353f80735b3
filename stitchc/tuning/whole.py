"""Training a network that is no artifact: a parent for experiments. Resumable as `tune` is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ..classes import checked
from ..inputs import images_of, model_of
from ..keywords import with_options
from ..passes.data.errors import ModelError
from ..passes.data.model import Images, Model
from ..passes.data.whole_file import whole_file
from ..progress import Progress, Silent, stage
from .checkpoint import Checkpoint
from .engine import engine
from .labels import meant
from .loop import Loop
from .parts import Trainee
from .settings import TrainOptions
from .taught import teachers_of
from .views import normalised, training_and_held_out


@with_options(TrainOptions)
def train(
    model: str | Path | Model,
    data: str | Images,
    out: str | Path,
    *,
    options: TrainOptions,
    progress: Progress | None = None,
) -> Sequence[Mapping[str, Any]]:
    """Trains all of a model on images and writes its state dict to `out`, a .pt file. Returns the history.

    A call that was killed goes on from its last checkpoint.

    Raises:
        InputError: something given cannot be used.
    """
    settings = replace(options, train="all")
    place, watcher = engine(settings.device, settings.precision), progress or Silent()
    loaded, images = model_of(model), images_of(data, "to train on")
    if loaded.module is None:
        raise ModelError(f"{loaded.name} was loaded without its network", "Load it again.")
    network, target = loaded.module, Path(out)
    checked(images)
    images, _, _ = meant(images, loaded)
    views, held = training_and_held_out(images, loaded.input, settings)
    teachers = teachers_of(settings, loaded, None, place, watcher)
    trainee = Trainee(network, "all", normalised(views.plain(torch.arange(2)), loaded.input))
    known = settings.as_dict() | {"augment": ",".join(settings.augment), "data": images.name, "model": loaded.name}
    checkpoint = Checkpoint(target.resolve(), known)
    loop = Loop(
        trainee, views, settings, place, held=held, teachers=teachers, workers=settings.workers,
        every=settings.checkpoint_seconds, save=checkpoint.write, progress=watcher if place.rank == 0 else Silent(),
    )  # fmt: skip
    loop.go_on(checkpoint.read(), checkpoint.folder)
    with stage(watcher, f"training {loaded.name}"):
        loop.run()
    if place.rank == 0:
        with whole_file(target) as part, part.open("wb") as file:  # torch would put the path's name into the file
            torch.save(network.cpu().state_dict(), file)
        checkpoint.drop()
    place.wait()
    return tuple(loop.state.history)
