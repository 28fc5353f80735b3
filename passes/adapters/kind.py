"""The description of an adapter before it is built: a kind with its options, which is plain data."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING, ClassVar

from ..data.values import Price, Value
from . import notation
from .base import Adapter
from .steps import Steps

if TYPE_CHECKING:
    from .footprint import Footprint


@dataclass(frozen=True)
class Kind:
    """A kind of adapter. Its fields are its options (`name?option=value`), and each has a default.

    Called with the value at a front's cut and the one that a back expects, it builds the module that joins the two.
    """

    name: ClassVar[str] = ""
    folds: ClassVar[bool] = False  # whether its projection goes into the back's own weights (see `graphs/fold.py`)

    def __call__(self, front: Value, back: Value) -> Adapter:
        """The module that joins the two, in one step or in several."""
        values = self.between(front, back)
        return self.build(front, back) if len(values) == 2 else Steps(self, values)

    def build(self, front: Value, back: Value) -> Adapter:
        """One module from the front's value to the back's."""
        raise NotImplementedError

    def refuses(self, front: Value, back: Value) -> str:
        """Why one module cannot join the two; "" when it can."""
        raise NotImplementedError

    def cost(self, front: Value, back: Value) -> Price:
        """The cost of one module, in closed form, without building it. Metrics left out are counted on the module
        itself."""
        return Price()

    def between(self, front: Value, back: Value) -> tuple[Value, ...]:
        """The values that modules of this kind lie between: the two, and those after each step but the last."""
        return front, back

    def simplest(self, front: Value, back: Value) -> Kind:
        """The kind with the shortest notation that builds the same module between these two values."""
        return self

    def price(self, front: Value, back: Value) -> Price | str:
        """The cost of joining the two, in the metrics that have a closed form; or the reason why it cannot."""
        pairs = list(pairwise(self.between(front, back)))
        reasons = (self.refuses(x, y) for x, y in pairs)
        return next(filter(None, reasons), "") or reduce(add, (self.cost(x, y) for x, y in pairs))

    def footprint(self, front: Value, back: Value) -> Footprint | None:
        """What `footprint.footprint` returns, in closed form; None where there is no closed form."""
        return None

    @property
    def notation(self) -> str:
        """Its canonical notation, by which plans, recipes and reports name it: `conv3x3?rank=16`."""
        return notation.write(self.name, self)
