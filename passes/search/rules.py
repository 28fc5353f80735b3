"""Rules for a chain as a whole, which do not add up along it as costs do."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ..data.errors import InputError
from .space import Route, Space


@dataclass(frozen=True)
class Rules:
    """What a chain must be, beside cheap.

    models_at_least: different models in it. switches_at_most: seams between different models.
    keep: parts of models, each as its first and last point; one of the chain's fragments holds all of each part.
    without: models that are not used. not_together: sets of models, of each of which one at least is not used: so are
    licences told that exclude each other.
    """

    models_at_least: int = 1
    switches_at_most: int | None = None
    keep: tuple[tuple[int, int], ...] = ()
    without: tuple[int, ...] = ()
    not_together: tuple[tuple[int, ...], ...] = ()

    def check(self, space: Space) -> None:
        """Raises InputError where a rule names what is not in the space, or can never hold."""
        known = range(len(space.first))
        named = {*self.without, *(model for group in self.not_together for model in group)}
        if not named <= {*known}:
            raise InputError(f"a rule names the models {sorted(named - {*known})}; there are {len(known)}")
        if any(not group for group in self.not_together):
            raise InputError("a set of models that must not come together is empty")
        if self.switches_at_most is not None and self.switches_at_most < 0:
            raise InputError(f"there are no chains with at most {self.switches_at_most} switches")
        for first, last in self.keep:
            inside = 0 <= first < last < len(space.model) and space.model[first] == space.model[last]
            if not inside:
                raise InputError(f"from point {first} to point {last} is no part of a model that could be kept")

    def broken(self, space: Space, route: Route) -> list[str]:
        """The rules that a chain breaks, by name."""
        models, fragments = space.models(route), space.fragments(route)
        switches = sum(one != other for one, other in pairwise(models))
        broken = {
            "models_at_least": len({*models}) < self.models_at_least,
            "switches_at_most": self.switches_at_most is not None and switches > self.switches_at_most,
            "keep": not all(any(a <= first and last <= b for a, b in fragments) for first, last in self.keep),
            "without": bool({*models} & {*self.without}),
            "not_together": any({*group} <= {*models} for group in self.not_together),
        }
        return [name for name, is_broken in broken.items() if is_broken]
