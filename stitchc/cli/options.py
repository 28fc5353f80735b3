"""Options and arguments that several verbs share. Their names are those of the public API and of recipes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from .parts import Name, argument, option

if TYPE_CHECKING:
    from ..passes.data.budget import Limit

F = TypeVar("F", bound=Callable[..., Any])

BUDGET = "Budget"
CHOICE = "Choice of a stitch"
HEALING = "Healing"
IMAGES = "Images"
MODELS = "Models"
METRICS = ("params", "macs", "flops", "latency", "memory", "size")

_MODEL = "timm/NAME, torchvision/NAME, digits/NAME, a checkpoint, or a Python FILE:FACTORY."


class Metric(Name):
    """A metric that candidates are priced in."""

    name = "metric"

    def __init__(self) -> None:
        super().__init__(*METRICS)


class Share(click.ParamType):
    """A share of a whole, `10%` or `0.1`."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value).strip()
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            raise click.BadParameter(f"'{value}' is no share; write it like 10%", ctx, param)
        return share


class Bytes(click.ParamType):
    """A size in memory, `500MiB` or `2GB`."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        from ..passes.data.budget import parse_quantity

        limit = parse_quantity(str(value), "memory")
        if limit.relative:
            raise click.BadParameter(f"'{value}' is no size; write it like 2GiB", ctx, param)
        return int(limit.value)


def model_argument(command: F) -> F:
    return argument("model", metavar="MODEL", text=f"{_MODEL} Or an artifact's folder.")(command)


def pair_arguments(command: F) -> F:
    command = argument("b", metavar="B", text="The other one.")(command)
    return argument("a", metavar="A", text=_MODEL)(command)


def budget(command: F) -> F:
    command = option(
        "--metric", type=Metric(), default="flops", group=BUDGET, help="Of a budget that names none [flops]."
    )(command)
    command = option(
        "--backend", type=Name("eager", "compile", "onnxruntime"), default="eager", group=BUDGET,
        help="What latency is measured with [eager].",
    )(command)  # fmt: skip
    command = option(
        "--allow-uncounted", is_flag=True, group=BUDGET,
        help="Count operators without a formula as nothing, instead of refusing a budget in macs or flops.",
    )(command)  # fmt: skip
    return option(
        "--budget", multiple=True, metavar="[METRIC=]Q", group=BUDGET,
        help="At most this: 12M, 60% (of the larger model), latency=5ms. Repeatable.",
    )(command)  # fmt: skip


def ranking(command: F) -> F:
    for decorate in reversed([
        option("--direction", type=Name("slow-to-fast", "fast-to-slow", "both"), default="slow-to-fast", group=CHOICE,
               help="Which of the two comes first [slow-to-fast]."),
        option("--adapter", metavar="NAME", default="auto", group=CHOICE,
               help="linear, conv3x3, bottleneck, fused, ...; conv3x3?resize=before; the best of several [auto]."),
        option("--rank", type=Name("cascade", "cka", "fit", "agreement", "kl", "accuracy"), metavar="NAME",
               default="cascade", group=CHOICE, help="cascade, cka, fit, agreement, kl or accuracy [cascade]."),
        option("--effort", metavar="Q", default="medium", group=CHOICE,
               help="Of probing: low, medium, high or seconds, like 60s [medium]."),
        option("--min-share", type=Share(), metavar="Q", group=CHOICE,
               help="Of the MACs, from each parent; less comes last [0; with cka 10%]."),
        option("--similarity", type=Name("cka-unbiased", "cka", "cka-pooled", "rbf-cka", "procrustes"),
               metavar="NAME", default="cka-unbiased", group=CHOICE,
               help="cka, cka-pooled, rbf-cka, procrustes, [cka-unbiased]."),
        option("--max-memory", type=Bytes(), metavar="Q", group=CHOICE,
               help="That comparing, and healing, may take beside the models, like 2GiB [no limit; 2GiB]."),
    ]):  # fmt: skip
        command = decorate(command)
    return command


def data(command: F) -> F:
    return option(
        "--data", metavar="DATA", group=IMAGES,
        help="digits, folder:DIR, tar:FILE, npz:FILE, cifar10:DIR, ...; ?split=, ?limit=. "
        "[what the models' records name]",
    )(command)  # fmt: skip


def probe_images(command: F) -> F:
    return option(
        "--probe-images", type=click.IntRange(min=8), default=512, metavar="N", group=IMAGES,
        help="Images to compare and fit on, at most [512].",
    )(command)  # fmt: skip


def healing(command: F) -> F:
    for decorate in reversed([
        option("--heal", type=Name("none", "adapter", "back", "all"), default="back", group=HEALING,
               help="Refit this toward the parents' values; never on noise [back]."),
        option("--heal-layers", type=click.IntRange(min=1), metavar="N", group=HEALING,
               help="Blocks behind the seam to heal [all]."),
        option("--heal-sweeps", type=click.IntRange(1, 8), default=2, metavar="N", group=HEALING,
               help="1: closed form; each more: a Gauss-Newton step a block [2]."),
        option("--heal-target", type=Name("back", "front", "both"), default="back", group=HEALING,
               help="Whose logits the classifier follows [back]."),
    ]):  # fmt: skip
        command = decorate(command)
    return command


def arch(command: F) -> F:
    return option("--arch", metavar="NAME", group=MODELS, help="Of a checkpoint that does not name its own.")(command)


def frontend(command: F) -> F:
    return option(
        "--frontend", type=Name("auto", "record", "export"), default="auto", group=MODELS,
        help="How networks are traced [record, else torch.export].",
    )(command)  # fmt: skip


def read_budget(given: dict[str, Any]) -> dict[str, Limit]:
    """Takes `budget` out of a verb's options and reads it, before anything slow begins."""
    from ..passes.data.budget import parse_budget

    return parse_budget(given.pop("budget"), given["metric"])
