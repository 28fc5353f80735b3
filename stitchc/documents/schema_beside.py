"""What plan.json may say beside the network itself: how it was chosen, what it was compared to, and its trainings."""

from __future__ import annotations

import re
from typing import Any

from ..passes.data import metrics
from ..passes.data.rivals import KINDS
from ..zoo.foreign import Fault, characters, choice, either, flag, mapping, optional
from .schema_network import CHAIN, COST, IMAGES, INPUT, LINKS, MODELS, NAME, REAL, SHARE, count, figure, listed, stated

MEMBER_NAME = r"[a-z][a-z0-9_]{0,79}"


def member_name(value: Any, place: str) -> str:
    """Of a member of a family: it is a file's name, and one in Python."""
    if not isinstance(value, str) or not re.fullmatch(MEMBER_NAME, value):
        raise Fault(place, "is no name for a member: lower-case letters, digits and '_', a letter first")
    return value


def _metric(value: Any, place: str) -> str:
    return choice(*metrics.names())(value, place)


def budget(value: Any, place: str) -> dict[str, float]:
    """Limits by the names of metrics that are known here."""
    read = mapping(REAL, 100)(value, place)
    for name in read:
        _metric(name, f"{place}.{name}")
    return read


_PAIR = listed(REAL, 2, 2)
_INDEX = count(0, 10_000)  # of a rival
_WHICH = either(choice("hybrid"), _INDEX)
_FIGURES = {
    "cost": COST, "score": optional(REAL), "accuracy": optional(SHARE), "over_line": optional(REAL),
}  # fmt: skip
_RIVAL = stated({
    **_FIGURES, "kind": choice(*KINDS), "model": NAME, "source": optional(NAME), "input": INPUT,
    "chain": either(listed(REAL, 0, 0), LINKS), "within": flag, "reason": NAME, "trained": flag,
    "interval": optional(_PAIR),
})  # fmt: skip

#: How a network was chosen.
CHOSEN = {
    "candidates": optional(stated({"total": count(), "feasible": count()})), "rank": optional(NAME),
    "stages": listed(stated({"name": NAME, "images": IMAGES, "candidates": count(), "kept": count()}), most=1000),
    "score": optional(REAL),
    "timed": listed(stated({
        "row": count(), "predicted_ms": REAL, "measured_ms": REAL, "iqr_ms": REAL, "runs": count(), "device": NAME,
        "threads": count(), "backend": NAME,
    }), most=10_000),
}  # fmt: skip

#: What it was compared to; `COMPARED` is there where it was.
BESIDE = {"rivals": listed(_RIVAL, most=10_000), "recommended": optional(_WHICH)}
COMPARED = {
    "hybrid": optional(stated({**_FIGURES, "input": INPUT, "chain": LINKS, "interval": optional(_PAIR)})),
    "written": _WHICH,
    "recommendation": stated({
        "by": choice("accuracy", "score"), "images": IMAGES, "over": optional(_WHICH), "lead": optional(REAL),
        "error": optional(REAL), "lead_interval": optional(_PAIR), "dominated_by": listed(_INDEX, most=10_000),
        "line_metric": _metric,
    }),
}  # fmt: skip

#: What is known of a member of a family among the others.
STANDING = {
    "score": optional(REAL), "over_line": optional(REAL), "adds_bytes": optional(count()),
    "dominated_by": listed(NAME, most=2 * CHAIN),
}  # fmt: skip

#: How a family was chosen.
FAMILY = {
    "family": stated({
        "metric": _metric, "share": NAME, "price": REAL, "models_bytes": count(), "members_bytes": count(),
        "tried": count(), "below_line": count(), "healed": count(), "score": NAME, "score_images": IMAGES,
    }),
    "budgets": listed(stated({
        "device": optional(NAME), "limits": mapping(figure(0, 1e30), 100, keys=r"[\x20-\x7e]{1,300}"),
        "member": optional(member_name), "said": optional(NAME),
    }), most=1000),
    "rivals": listed(stated({"kind": choice("smaller-input"), "model": NAME, "input": INPUT, **_FIGURES}), most=1000),
}  # fmt: skip

_BY = choice("labels", "teachers")
_WORTH = optional(stated({"by": _BY, "right": SHARE, "nats": REAL}))
_EPOCH = stated(
    {"epoch": count(), "loss": REAL, "accuracy": optional(SHARE), "holdout": optional(SHARE), "lr": REAL},
    {"holdout_nats": optional(REAL)},
)
_HELD_OUT = stated({
    "images": IMAGES, "by": _BY, "epoch": count(), "right_before": SHARE, "right": SHARE,
    "nats_before": REAL, "nats": REAL,
})  # fmt: skip
_REACHED = stated({
    "data": optional(NAME), "images": optional(IMAGES), "before": optional(SHARE), "after": optional(SHARE),
})  # fmt: skip


def _reached(value: Any, place: str) -> Any:
    read = _REACHED(value, place)
    if (read["before"] is None) is not (read["after"] is None):
        raise Fault(place, "says what was reached before or after, and not both")
    return read


_OPTION = optional(either(flag, REAL, listed(NAME, most=MODELS), NAME))
_OPTIONS = stated(
    {
        "distill": optional(characters(20)), "augment": listed(characters(40), most=20), "optimizer": characters(20),
        "lr": REAL, "batch": count(),
    },
    {"teacher": optional(listed(NAME, 1, MODELS))},
)  # fmt: skip


def _options(value: Any, place: str) -> Any:
    """Those that reports tell of, and others, which are plain."""
    return mapping(_OPTION)(value, place) | _OPTIONS(value, place)


_TRAINING = {
    "train": characters(20), "trained_params": count(), "data": NAME, "images": IMAGES, "epochs": count(),
    "accuracy": _reached, "history": listed(_EPOCH, most=100_000),
    "options": _options,
}  # fmt: skip
_MEMBER = stated({
    "name": NAME, "epoch": count(), "before": optional(SHARE), "after": optional(SHARE), "held_out_before": _WORTH,
    "held_out": _WORTH,
}, {"untuned_bytes": optional(count())})  # fmt: skip

#: The trainings of a network, and of a family.
TUNED = listed(stated(_TRAINING, {"held_out": optional(_HELD_OUT)}), most=1000)
TUNED_FAMILY = listed(stated({**_TRAINING, "members": listed(_MEMBER, 1, CHAIN)}), most=1000)
