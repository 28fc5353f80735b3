"""The options of a training, their defaults, and those of the papers by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from ..passes.data.errors import InputError, did_you_mean

TRAIN = ("adapter", "back", "front", "all")
DISTILL = ("front", "back", "both")
OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("cosine", "constant")
PRECISIONS = ("fp32", "bf16", "fp16")
AUGMENTATIONS = ("flip", "crop", "erase", "autoaugment", "randaugment", "trivialaugment")


@dataclass(frozen=True)
class Settings:
    """How an artifact is trained. The names are those of the flags, of a recipe and of `stitchc.tune`.

    train: the adapters alone, or with them the fragments after ("back"), the one before ("front"), or both ("all").
    batch: images a step, over all processes. accumulate: backward passes that one step is made of. lr: at the peak.
    warmup: epochs of linear rise to it. clip: largest norm of the gradient, None for any. smoothing: of the labels.
    distill: the parent whose answers are learned beside the labels ("both": the mean of their probabilities);
    distill_weight: its share of the loss; temperature: of the softmax there (Hinton et al. 2015).
    augment: of `AUGMENTATIONS`, in the order in which they are applied. holdout: the share of the training images
    that is set aside, class by class, to choose the best epoch by. patience: epochs without a better one, then stop.
    cache: keep what the frozen front computes where that is faster.
    """

    train: str = "adapter"
    epochs: int = 10
    batch: int = 128
    accumulate: int = 1
    optimizer: str = "adamw"
    lr: float = 3e-4
    momentum: float = 0.9
    weight_decay: float = 0.01
    schedule: str = "cosine"
    warmup: float = 0.25
    clip: float | None = None
    smoothing: float = 0.0
    distill: str | None = None
    distill_weight: float = 0.5
    temperature: float = 2.0
    augment: tuple[str, ...] = ()
    holdout: float = 0.0
    patience: int | None = None
    precision: str = "fp32"
    cache: bool = True
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


#: What the papers state. Neither names an augmentation for CIFAR or a schedule for ReStNet: crops, flips and a cosine
#: are what such networks are usually trained with.
PRESETS: dict[str, dict[str, Any]] = {
    # ReStNet (arXiv 2506.09066), appendix A, CNN to CNN.
    "restnet-cnn": {
        "optimizer": "sgd", "lr": 0.01, "momentum": 0.9, "weight_decay": 0.005, "batch": 256, "epochs": 150,
        "warmup": 0.0, "augment": ("crop", "flip"),
    },
    # The same, transformer to transformer and CNN to transformer.
    "restnet-transformer": {
        "optimizer": "sgd", "lr": 0.00375, "momentum": 0.9, "weight_decay": 0.05, "batch": 128, "epochs": 300,
        "warmup": 0.0, "augment": ("crop", "flip"),
    },
    # Traft and Cheney 2025, "Optimization": cosine annealing to 0.
    "traft": {
        "optimizer": "adamw", "lr": 0.002, "weight_decay": 0.05, "batch": 512, "epochs": 10,
        "warmup": 0.0, "augment": ("flip", "autoaugment"),
    },
}  # fmt: skip


def resolve(preset: str | None = None, given: Mapping[str, Any] | None = None) -> Settings:
    """The settings of a preset with those given over it; what is None counts as not given.

    Raises:
        InputError: a name that does not exist, or a value out of range.
    """
    chosen = {key: value for key, value in (given or {}).items() if value is not None}
    known = [field.name for field in fields(Settings)]
    for name in chosen:
        if name not in known:
            raise InputError(f"there is no option '{name}' of a training", did_you_mean(name, known))
    if preset is not None and preset not in PRESETS:
        raise _unknown("preset", preset, tuple(PRESETS))
    if isinstance(chosen.get("augment"), str):
        chosen["augment"] = tuple(word for word in chosen["augment"].split(",") if word not in ("", "none"))
    settings = replace(Settings(), **({**PRESETS.get(preset or "", {}), **chosen}))
    settings = replace(settings, augment=tuple(settings.augment))
    if settings.patience is not None and "holdout" not in chosen:
        settings = replace(settings, holdout=0.1)
    _check(settings)
    return settings


def _check(settings: Settings) -> None:
    for name, known in (
        ("train", TRAIN), ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("precision", PRECISIONS),
    ):  # fmt: skip
        if getattr(settings, name) not in known:
            raise _unknown(name, getattr(settings, name), known)
    if settings.distill is not None and settings.distill not in DISTILL:
        raise _unknown("distill", settings.distill, DISTILL)
    for word in settings.augment:
        if word not in AUGMENTATIONS:
            raise _unknown("augment", word, AUGMENTATIONS)
    for name in ("epochs", "batch", "accumulate", "patience"):
        value = getattr(settings, name)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise InputError(f"{name} is {value}", "It must be a whole number, at least 1.")
    for name, least, most in (
        ("lr", 0, math.inf), ("momentum", 0, 1), ("weight_decay", 0, math.inf), ("warmup", 0, math.inf),
        ("smoothing", 0, 1), ("distill_weight", 0, 1), ("temperature", 0, math.inf), ("holdout", 0, 0.9),
        ("clip", 0, math.inf),
    ):  # fmt: skip
        value = getattr(settings, name)
        open_end = name in ("lr", "temperature", "clip")
        if value is not None and not (least < value if open_end else least <= value <= most):
            raise InputError(f"{name} is {value}", f"It must be {'above' if open_end else 'from'} {least:g}"
                             + ("." if most == math.inf else f" to {most:g}."))  # fmt: skip
    if settings.batch % settings.accumulate:
        raise InputError(
            f"a batch of {settings.batch} images cannot be accumulated in {settings.accumulate} equal parts",
            "Choose a batch that is a multiple of it.",
        )
    if settings.patience is not None and not settings.holdout:
        raise InputError("patience needs images to judge by, and holdout is 0", "Give --holdout 0.1, or no --patience.")


def _unknown(option: str, given: Any, known: tuple[str, ...]) -> InputError:
    hint = did_you_mean(str(given), list(known)) or f"There are: {', '.join(known)}."
    return InputError(f"'{given}' is no value of {option}", hint)
