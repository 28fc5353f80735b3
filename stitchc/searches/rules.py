"""What a search is told that only some methods know: options of one method, and rules for a chain as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from string import ascii_uppercase
from typing import TYPE_CHECKING

from ..passes.data.errors import InputError, unknown
from ..passes.data.options import default_of, options_of
from .options import SearchOptions

if TYPE_CHECKING:
    from ..passes.data.model import Model
    from ..passes.search.pool import Pool
    from ..passes.search.rules import Rules

#: Of options that not every method knows, those that do.
_KNOWN_TO = {
    "differ": ("exact",), "min_share": ("exact", "milp"), "models_at_least": ("milp",), "switches": ("milp",),
    "hold": ("milp",), "apart": ("milp",), "width": ("stitchnet",), "threshold": ("stitchnet",),
    "start": ("stitchnet",), "candidates": ("stitchnet",),
}  # fmt: skip
#: Of options that a sweep, which writes no artifact, has no use for, the values that it can have.
_IN_SWEEPS = {"rivals": ("auto", "none"), "best": (False,), "against": (None, ()), "onnx": (True,), "opset": (None,)}


def check_method(options: SearchOptions) -> None:
    """Refuses options that the method, or a sweep, would not look at.

    Raises:
        InputError: there is one.
    """
    known = options_of(SearchOptions)
    for name, methods in _KNOWN_TO.items():
        if options.method not in methods and getattr(options, name) != default_of(known[name]):
            raise InputError(
                f"`method={options.method!r}` does not look at `{name}`",
                f"Take `method={methods[0]!r}`, or leave it out.",
            )
    for name, values in _IN_SWEEPS.items() if options.sweep else ():
        if getattr(options, name) not in values:
            raise InputError(
                f"a sweep writes no artifact, and does not look at `{name}={getattr(options, name)!r}`",
                "Leave it out. `compile` makes a chain of the front, given as its `chain`.",
            )


def models_at_least(options: SearchOptions, models: int) -> int:
    """How many models a chain has at least: where nobody says, two, where there are two and may be switched between."""
    if options.models_at_least is not None:
        return options.models_at_least
    return min(2, models, models if options.switches is None else options.switches + 1)


def check_rules(options: SearchOptions, models: int, fragments: int) -> None:
    """Refuses rules that no chain can meet.

    Raises:
        InputError: so many models there are not, or they do not fit into the fragments or the switches of a chain.
    """
    least = models_at_least(options, models)
    most = {
        f"{models} were given": models,
        f"a chain has {fragments} fragments at most": fragments,
        f"{options.switches} switches at most were allowed": models
        if options.switches is None
        else options.switches + 1,
    }
    for said, able in most.items():
        if least > able:
            raise InputError(
                f"a chain is to have {least} models at least, and {said}", "Ask for fewer `models_at_least`."
            )


def rules_of(pool: Pool, options: SearchOptions) -> Rules:
    """The rules as numbers of a space.

    Raises:
        CutError: a part of no model. InputError: as `not_together`.
    """
    from ..passes.search.rules import Rules
    from ..passes.stitch.stated import fragment_of

    models = pool.plan.models
    fragments = [fragment_of(pool.plan, words) for words in options.hold or ()]
    return Rules(
        models_at_least=models_at_least(options, len(models)),
        switches_at_most=options.switches,
        keep=tuple((pool.point(f.model, f.start), pool.point(f.model, f.end, last=True)) for f in fragments),
        not_together=not_together(models, options.apart or ()),
    )


def not_together(models: Sequence[Model], apart: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Sets of models of which no chain may have all, by their indices.

    apart: `A+C`, models by letter or name; or licences, `CC-BY-NC-4.0+GPL-3.0`, each of which stands for every model
    that has it.

    Raises:
        InputError: a word that is no model and no licence of one; or a set of fewer than two.
    """
    found: dict[tuple[int, ...], None] = {}
    for words in apart:
        parts = dict.fromkeys(word.strip() for word in words.split("+"))
        if len(parts) < 2:
            raise InputError(
                f"'{words}' names no two that cannot come together", "Write it like A+C, or CC-BY-NC-4.0+GPL-3.0."
            )
        sets = (tuple(sorted({*models_of})) for models_of in product(*(_named(models, word) for word in parts)))
        found |= dict.fromkeys(one for one in sets if len(one) > 1)
    return tuple(found)


def _named(models: Sequence[Model], word: str) -> list[int]:
    """The models that a word stands for."""
    known = dict(_names(models))
    by_licence = [k for k, model in enumerate(models) if (model.licence or "").casefold() == word.casefold()]
    if word not in known and not by_licence:
        licences = {model.licence for model in models if model.licence}
        raise unknown(word, "model or licence of this pool", [*known, *sorted(licences)])
    return [known[word]] if word in known else by_licence


def _names(models: Sequence[Model]) -> Iterator[tuple[str, int]]:
    yield from ((model.name, index) for index, model in enumerate(models))
    yield from zip(ascii_uppercase, range(len(models)), strict=False)
