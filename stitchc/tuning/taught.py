"""Whom a training learns from beside the labels."""

from __future__ import annotations

from ..inputs import model_of, name_of
from ..passes.data.errors import InputError
from ..passes.data.model import Model
from ..passes.training.distillation import Teachers
from ..progress import Progress, stage
from .engine import Engine
from .origins import Origins
from .settings import Settings


def teachers_of(
    settings: Settings, model: Model, origins: Origins | None, place: Engine, progress: Progress, *, trust: bool = False
) -> Teachers | None:
    """The teachers that the settings name, for the images of `model`; None where they name none.

    origins: of an artifact; None for a network that was made from no others.

    Raises:
        InputError: there are no origins to learn from, or a teacher has other classes.
    """
    if settings.teacher:
        found = []
        for subject in settings.teacher:
            with stage(progress, f"loading {name_of(subject)}"):
                found.append(model_of(subject, trust=trust))
    elif settings.distill and origins is None:
        raise no_origins(model, settings)
    elif settings.distill:
        assert origins is not None
        found = origins.teachers(settings.distill)
    else:
        return None
    for teacher in found:
        if teacher.class_names and model.class_names and teacher.class_names != model.class_names:
            raise InputError(
                f"the outputs of {teacher.name} mean other classes than those of {model.name}, or in another order",
                "Learn from a network with the same classes.",
            )
    return Teachers(found, model.input, settings.temperature, place.device)


def no_origins(model: Model, settings: Settings) -> InputError:
    """What is said of a network that was made from no others."""
    return InputError(
        f"{model.name} was made from no other networks, and `distill={settings.distill!r}` asks to learn from one",
        "Name the network to learn from: `teacher`.",
    )
