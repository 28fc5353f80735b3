"""`stitchc tune`."""

from __future__ import annotations

from typing import Any

import click

from .options import IMAGES, Share, arch
from .parts import Name, argument, option
from .run import Outcome, Run, verb

TRAINING, TEACHING, SPEED, OUTPUT = "Training", "Distillation", "Speed and memory", "Output"
PRESETS = ("restnet-cnn", "restnet-transformer", "traft")


def _stated(path: str, folder: str) -> dict[str, Any]:
    """The options of the recipe's training that the artifact has not had yet."""
    from ..artifact import read
    from ..passes.data.errors import InputError
    from ..recipe import trainings

    found, had = trainings(path), len(read(folder).get("tuned", []))
    if had >= len(found):
        raise InputError(
            f"the recipe {path} states {len(found)} trainings, and the artifact has had {had}",
            "The recipe.toml of a tuned artifact states how it was trained.",
        )
    return found[had]


@verb("tune", example="stitchc tune hybrid/ --data digits --train back --epochs 5")
@argument("folder", metavar="DIR", text="The folder of an artifact.")
@option("--data", metavar="DATA", group=IMAGES, help="Labelled images to train on [what it was compiled with].")
@option("--evaluate", metavar="DATA", group=IMAGES, help="To measure on, before and after [the artifact's own].")
@option("--augment", metavar="NAMES", group=IMAGES,
        help="flip,crop,erase,autoaugment,randaugment,trivialaugment; none [none].")  # fmt: skip
@option("--holdout", type=Share(), metavar="Q", group=IMAGES,
        help="Of the images, set aside to keep the best epoch by [0; 10% with --patience].")  # fmt: skip
@option("--preset", type=Name(*PRESETS), group=TRAINING, help="The hyperparameters of a paper.")
@option("--train", type=Name("adapter", "back", "front", "all"), group=TRAINING,
        help="The adapter; with it what follows, what precedes, or all [adapter].")  # fmt: skip
@option("--epochs", type=click.IntRange(min=1), metavar="N", group=TRAINING, help="Times over the images [10].")
@option("--batch", type=click.IntRange(min=1), metavar="N", group=TRAINING, help="Images a step [128].")
@option("--accumulate", type=click.IntRange(min=1), metavar="N", group=TRAINING, help="Passes that make a step [1].")
@option("--optimizer", type=Name("adamw", "sgd"), group=TRAINING, help="[adamw]")
@option("--lr", type=float, metavar="X", group=TRAINING, help="Learning rate at its peak [0.0003].")
@option("--momentum", type=float, metavar="X", group=TRAINING, help="Of sgd [0.9].")
@option("--weight-decay", type=float, metavar="X", group=TRAINING, help="[0.01]")
@option("--schedule", type=Name("cosine", "constant"), group=TRAINING, help="Of the learning rate [cosine].")
@option("--warmup", type=float, metavar="X", group=TRAINING, help="Epochs of rising learning rate [0.25].")
@option("--clip", type=float, metavar="X", group=TRAINING, help="Largest norm of the gradient [any].")
@option("--smoothing", type=float, metavar="X", group=TRAINING, help="Of the labels [0].")
@option("--patience", type=click.IntRange(min=1), metavar="N", group=TRAINING,
        help="Stop after N epochs without a better one [never].")  # fmt: skip
@option("--distill", type=Name("front", "back", "both"), group=TEACHING, help="Learn from this parent's answers too.")
@option("--distill-weight", type=Share(), metavar="Q", group=TEACHING, help="Of the loss [50%].")
@option("--temperature", type=float, metavar="X", group=TEACHING, help="Of the softmax [2].")
@option("--precision", type=Name("fp32", "bf16", "fp16"), group=SPEED, help="Of the arithmetic [fp32].")
@option("--cache/--no-cache", default=None, group=SPEED, help="Keep what the frozen front computes [where faster].")
@option("--max-memory", metavar="Q", default="2GiB", group=SPEED, help="Of it in memory; the rest in a file [2GiB].")
@option("--workers", type=click.IntRange(min=0), default=0, metavar="N", group=SPEED,
        help="Processes that prepare images [0].")  # fmt: skip
@option("-o", "--out", metavar="DIR", group=OUTPUT,
        help="Leave DIR as it is and write here [in place; the untuned one is kept].")  # fmt: skip
@option("--checkpoint-seconds", type=click.FloatRange(min=0), default=60.0, metavar="X", group=OUTPUT,
        help="Between checkpoints; one an epoch in any case [60].")  # fmt: skip
@option("--restart", is_flag=True, group=OUTPUT, help="Forget an unfinished training instead of going on.")
@option("--recipe", metavar="FILE", group=OUTPUT,
        help="Take options from the recipe.toml of a tuned artifact.")  # fmt: skip
@arch
def command(run: Run, folder: str, recipe: str | None, **given: Any) -> Outcome:
    """Train a stitched artifact; resumable.

    The artifact is written anew with the trained weights, verified and measured. It takes the place of DIR, and the
    untuned one is kept as DIR-untuned. A training that was stopped, however hard, goes on when the same command is
    run again. `torchrun --nproc-per-node N -m stitchc tune ...` trains on N devices.
    """
    import stitchc

    given["seed"] = run.seed or None
    if recipe is not None:
        given = {**given, **{k: v for k, v in _stated(recipe, folder).items() if given.get(k) is None}}
    made = stitchc.tune(
        folder, device=run.device, trust_pickle=run.trust_pickle, force=run.force, progress=run.progress, **given
    )
    if made.rank:
        raise click.exceptions.Exit(0)
    from ..report.tune import TuneReport

    return Outcome(made.record, TuneReport(made.record, made.folder, made.kept).parts())
