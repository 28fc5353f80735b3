"""The options of a training, their defaults, and those of the papers by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..option_kinds import Pictures, Subjects
from ..passes.data.errors import InputError, unknown
from ..passes.data.option_kinds import Bytes, Choice, Choices, Count, Kind, Number, Share, Switch
from ..passes.data.options import NEVER, Options, option, option_of, options_of, with_default
from ..passes.data.pass_options import IMAGES, OUTPUT
from ..shared_options import ArchOptions, DeviceOptions, ForceOptions, OutOptions, SeedOptions, TrustOptions

if TYPE_CHECKING:
    from ..passes.data.model import Images, Model

TRAINING, DISTILLATION, SPEED = "Training", "Distillation", "Speed and memory"

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
    # Ours, measured in docs/tuning_measured.md: what gains on a few hundred or thousand images without their labels.
    "label-free": {
        "train": "all", "distill": "better", "distill_weight": 1.0, "temperature": 2.0, "optimizer": "adamw",
        "lr": 3e-4, "weight_decay": 0.01, "batch": 64, "epochs": 10, "warmup": 1.0, "augment": ("crop", "flip"),
    },
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Settings(Options):
    """How a network is trained.

    Raises:
        InputError: a name that does not exist, a value out of range, or two that do not go together.
    """

    preset: str | None = option(
        None, Choice(*PRESETS), "Take the hyperparameters of a paper, or with label-free those for learning from a "
        "network alone (docs/tuning.md); those that are given besides replace its own.", group=TRAINING, recipe=NEVER,
    )  # fmt: skip
    train: str | None = option(
        None, Choice("adapter", "back", "front", "all"),
        "What is trained: the adapter alone, or the adapter and what comes after it, what comes before it, or both.",
        group=TRAINING, unset="adapter; all of a network that has none",
    )  # fmt: skip
    epochs: int = option(10, Count(least=1), "Number of passes over the training images.", group=TRAINING)
    batch: int = option(128, Count(least=1), "Images of one optimizer step, over all processes.", group=TRAINING)
    accumulate: int = option(
        1, Count(least=1), "Backward passes that one optimizer step is split into, to save memory.", group=TRAINING
    )
    optimizer: str = option("adamw", Choice("adamw", "sgd"), "Optimizer.", group=TRAINING)
    lr: float = option(3e-4, Number(least=0, above=True), "Highest learning rate.", group=TRAINING)
    momentum: float = option(0.9, Number(least=0, most=1), "Momentum of sgd.", group=TRAINING)
    weight_decay: float = option(0.01, Number(least=0), "Weight decay.", group=TRAINING)
    schedule: str = option(
        "cosine", Choice("cosine", "constant"), "Course of the learning rate after the warm-up.", group=TRAINING
    )
    warmup: float = option(
        0.25, Number(least=0), "Epochs in which the learning rate rises from zero to its highest.", group=TRAINING
    )
    clip: float | None = option(
        None, Number(least=0, above=True), "Norm to which larger gradients are scaled down.", group=TRAINING,
        unset="no clipping",
    )  # fmt: skip
    smoothing: float = option(0.0, Number(least=0, most=1), "Label smoothing.", group=TRAINING)
    teacher: Sequence[str | Path | Model] | None = option(
        None, Subjects(),
        "Also learn from the outputs of this network, of several from the mean of their probabilities (Hinton et al. "
        "2015).",
        group=DISTILLATION, metavar="MODEL", unset="labels alone",
    )  # fmt: skip
    distill: str | None = option(
        None, Choice("front", "back", "both", "better"),
        "The same with a network that the artifact was made from: the one before the adapter, the one after it, both, "
        "or the better one, which is the more accurate where that was measured, else the larger.",
        group=DISTILLATION, unset="labels alone",
    )  # fmt: skip
    distill_weight: float = option(0.5, Share(), "Share of the loss that distillation has.", group=DISTILLATION)
    temperature: float = option(
        2.0, Number(least=0, above=True), "Temperature of the softmax in distillation.", group=DISTILLATION
    )
    augment: tuple[str, ...] = option(
        (), Choices("flip", "crop", "erase", "autoaugment", "randaugment", "trivialaugment"),
        "Augmentations of the training images, applied in the order given: flip, crop, erase, autoaugment, "
        "randaugment, trivialaugment.",
        group=IMAGES,
    )  # fmt: skip
    holdout: float | None = option(
        None, Share(most=0.9),
        "Share of the training images that is not trained on. The epoch that is best on them is kept, or the untuned "
        "weights where none is better. With 0% the last epoch is kept, whatever it is worth.",
        group=IMAGES, unset="20%; of more than 5,000 images, 1,000 at most",
    )  # fmt: skip
    patience: int | None = option(
        None, Count(least=1), "Stop after this number of epochs without a better one.", group=TRAINING, unset="never"
    )
    precision: str = option("fp32", Choice("fp32", "bf16", "fp16"), "Number format to compute in.", group=SPEED)
    cache: bool = option(
        True, Switch(), "Compute the values of layers that are not trained once, and keep them where that is faster.",
        group=SPEED,
    )  # fmt: skip
    seed: int = with_default(SeedOptions, "seed", 0)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Any:
        """The settings of a preset with those given over it; what is None counts as not given."""
        said = {name: value for name, value in given.items() if value is not None}
        known = options_of(cls)
        for name in said:
            if name not in known:
                raise unknown(name, "option of a training", known)
        if "preset" in said:
            option_of(known["preset"]).kind.read("preset", said["preset"])
            preset = dict(PRESETS[said["preset"]])
            if said.get("teacher"):
                preset.pop("distill", None)
            said = {**preset, **said}
        return cls(**said)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch % self.accumulate:
            raise InputError(
                f"a batch of {self.batch} images cannot be accumulated in {self.accumulate} equal parts",
                "Choose a batch that is a multiple of it.",
            )
        if self.teacher and self.distill:
            raise InputError(
                f"`teacher` and `distill={self.distill!r}` both say whom to learn from", "Leave one of them out."
            )
        if self.patience is not None and self.holdout == 0:
            raise InputError(
                "patience needs held-out images, and holdout is 0", "Give `holdout=0.1`, or no `patience`."
            )

    @property
    def learns_labels(self) -> bool:
        """Whether labels are a part of the loss."""
        return not self.taught or self.distill_weight < 1

    @property
    def taught(self) -> bool:
        """Whether there is anybody to learn from but the labels."""
        return bool(self.teacher or self.distill)

    def as_dict(self) -> dict[str, Any]:
        """The settings alone, as a recipe states them."""
        known = options_of(Settings)
        return {
            name: option_of(of).kind.plain(getattr(self, name)) if getattr(self, name) is not None else None
            for name, of in known.items()
            if option_of(of).recipe != NEVER
        }


@dataclass(frozen=True, kw_only=True)
class TuneImages(Options):
    """The images to train on and to measure accuracy on."""

    data: str | Images | None = option(
        None, Pictures(), "Images to train on, labelled unless a teacher alone is learned from.",
        group=IMAGES, metavar="DATA",
        unset="those that the artifact was compiled with, or that the model's own record names",
    )  # fmt: skip
    evaluate: str | Images | None = option(
        None, Pictures(), "Labelled images to measure accuracy on, before and after.", group=IMAGES, metavar="DATA",
        unset="those that the artifact's accuracy was measured on",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(TuneImages, Settings):
    """What decides the outcome of a training: what a recipe states of it."""

    extra: float | None = option(
        None, Share(most=100.0),
        "Of a family: most bytes that members may add that keep their untuned weights, where the tuned ones are worth "
        "less for them, as a share of the family's weights: 15%. Members for which there is no room share the tuned "
        "ones.",
        group=TRAINING, unset="as many as it takes for no member to be worse",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """How a training is run, which changes nothing in what comes out."""

    workers: int = option(0, Count(least=0), "Number of processes that prepare images.", group=SPEED, recipe=NEVER)
    checkpoint_seconds: float = option(
        60.0, Number(least=0), "Seconds between checkpoints; several processes write at an epoch's end.", group=OUTPUT,
        recipe=NEVER,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TuneOptions(TrainingOptions, RunOptions, OutOptions, DeviceOptions, ArchOptions, TrustOptions, ForceOptions):
    """Of `stitchc.tune`."""

    max_memory: int = option(
        2 << 30, Bytes(), "Memory for the values that are kept; more of them go to a file.", group=SPEED, recipe=NEVER
    )
    restart: bool = option(
        False, Switch(), "Begin anew instead of going on with an unfinished training.", group=OUTPUT, recipe=NEVER
    )
    out: Any = option(
        None, Kind(), "Folder to write the tuned artifact to.", group=OUTPUT, metavar="DIR", also=("-o",), recipe=NEVER,
        unset="in place of the untuned one, which is kept as DIR-untuned",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Settings, RunOptions, DeviceOptions):
    """Of `stitchc.tuning.train`."""
