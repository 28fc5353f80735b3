"""Options that another one leaves without any effect: whoever gives them is told, and not passed over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .options import CompareOptions, CompileOptions
from .passes.data.errors import InputError
from .passes.data.options import Options, default_of, options_of
from .passes.data.pass_options import HealOptions
from .shared_options import ArtifactOptions
from .tuning.settings import Settings


@dataclass(frozen=True)
class Rule:
    """names: options of `records` that nothing looks at `when` this holds of the record. why: a clause that says so.
    hint: what to do besides leaving them out, "" where there is nothing."""

    records: tuple[type[Options], ...]
    names: tuple[str, ...]
    when: Callable[[Any], bool]
    why: str
    hint: str = ""


_RULES = (
    Rule(
        (HealOptions,), ("heal_layers", "heal_sweeps", "heal_target", "heal_flips"), lambda o: o.heal == "none",
        "with `heal='none'` nothing is refitted", "Or take another `heal`.",
    ),
    Rule((ArtifactOptions,), ("opset",), lambda o: not o.onnx, "with `onnx=False` no ONNX file is written"),
    Rule(
        (CompareOptions, CompileOptions), ("effort",), lambda o: o.rank == "cka",
        "with `rank='cka'` no candidates are stitched to rank them", "Or take another `rank`.",
    ),
    Rule(
        (CompareOptions, CompileOptions), ("backend",), lambda o: not o.asks_latency,
        "nothing asks for latency", "Or say how much it may be: `budget='latency=5ms'`.",
    ),
    Rule(
        (CompileOptions,), ("direction", "min_share"), lambda o: o.chain is not None,
        "`chain` says which fragments follow one another",
    ),
    Rule(
        (CompileOptions,), ("min_share",), lambda o: o.front is not None and o.back is not None,
        "`front` and `back` say how much of each model there is",
    ),
    Rule(
        (Settings,), ("distill_weight", "temperature"), lambda o: not o.taught,
        "there is no network to learn from", "Or name one: `distill='better'`, or a `teacher`.",
    ),
    Rule(
        (Settings,), ("momentum",), lambda o: o.optimizer != "sgd",
        "only sgd has momentum", "Or take `optimizer='sgd'`.",
    ),
)  # fmt: skip


def check_idle(options: Options) -> None:
    """Refuses options that are other than their default and would not be looked at.

    Raises:
        InputError: there is one.
    """
    known = options_of(type(options))
    for rule in _RULES:
        if not isinstance(options, rule.records) or not rule.when(options):
            continue
        for name in rule.names:
            value = getattr(options, name)
            if value != default_of(known[name]):
                raise InputError(f"{rule.why}, and `{name}={value!r}` was given", f"Leave it out. {rule.hint}".strip())
