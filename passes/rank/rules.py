"""The names of the rules that candidates are ranked by; `scores` says what each gives a network."""

from __future__ import annotations

from ..data import plugins
from ..data.errors import InputError, did_you_mean

#: The entry points by which other packages add rules.
GROUP = "stitchc.ranks"
_BUILT_IN = ("cascade", "fit", "agreement", "kl", "accuracy")


def rules() -> list[str]:
    """All rules that probe stitched networks; `select` has one more, "cka", which needs no stitching."""
    return list(dict.fromkeys([*_BUILT_IN, *plugins.installed(GROUP)]))


def check(name: str) -> None:
    """
    Raises:
        InputError: there is no rule of that name.
    """
    if name not in rules():
        near = did_you_mean(name, rules())
        raise InputError(f"'{name}' is no rank", f"{near} There are cka, {', '.join(rules())}.".strip())
