"""What an adapter is: a kind with its options, which is data, and the module that it builds for two values."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor, nn

from ..values import Price, Value
from . import convert, words

if TYPE_CHECKING:
    from ..ridge import Moments, Solution


@dataclass(frozen=True)
class Kind:
    """A kind of adapter. Its fields are its options (`name?option=value`), and each has a default.

    Called with the value at a front's cut and the one that a back expects, it builds the module that joins the two.
    """

    name: ClassVar[str] = ""
    folds: ClassVar[bool] = False  # whether its projection goes into the back's own weights (see `passes/folding.py`)

    def __call__(self, front: Value, back: Value) -> Adapter:
        raise NotImplementedError

    def refuses(self, front: Value, back: Value) -> str:
        """Why this adapter cannot join the two; "" when it can."""
        raise NotImplementedError

    def cost(self, front: Value, back: Value) -> Price:
        """What it takes to join the two, without building it."""
        raise NotImplementedError

    def simplest(self, front: Value, back: Value) -> Kind:
        """The kind that is the same between these two values in the fewest words."""
        return self

    def price(self, front: Value, back: Value) -> Price | str:
        """What it takes to join the two, or why it cannot."""
        return self.refuses(front, back) or self.cost(front, back)

    @property
    def words(self) -> str:
        """What it is named by in plans, recipes and reports."""
        return words.write(self.name, self)


class Adapter(nn.Module):
    """From the value at a front's cut, [batch, *front.shape], to what the back expects, [batch, *back.shape].

    The conversions of layout, tokens and size are part of `forward`, so they are part of the stitched graph. One that
    has a linear map in it says what `fit` needs: `design` and `target`, row by row, such that
    `target ~ design @ weight.T + bias`, and `load`, which takes the solution. One without has 0 `features`.
    """

    features: int = 0  # length of a row of `design`
    intercept: bool = True  # whether the linear map has a bias
    ridge: float | None = None  # the penalty to fit with; None for the best on held-out images; 0 for the pseudoinverse
    preactivation: bool = False  # whether to aim at what the ReLU that makes the back's value reads, where one does
    exact: bool = True  # whether, once loaded, `forward` is the linear map and nothing else
    observes: bool = False  # whether `observe` must see the images before `design` can be asked

    def __init__(self, kind: Kind, front: Value, back: Value):
        super().__init__()
        self.kind, self.front, self.back = kind, front, back

    @property
    def name(self) -> str:
        return self.kind.words

    @property
    def reading(self) -> Hashable:
        """What `design` depends on besides its argument: adapters that read the same need one set of moments."""
        return self.kind, self.front, self.back

    @property
    def aim(self) -> Hashable:
        """What `target` depends on besides its argument."""
        return self.back

    def observe(self, x: Tensor, y: Tensor) -> None:
        """The values of some images, for what must be known before the fit: means and variances."""

    def design(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """What the weights multiply: [images, rows, features], for the front's values x [images, *front.shape].

        keep: the rows that are wanted, int64 [images, rows]; None for all.
        """
        raise NotImplementedError

    def target(self, y: Tensor) -> Tensor:
        """The values of all rows: [images, rows, channels], for the back's own values y [images, *back.shape]."""
        return convert.rows(y, self.back)

    def load(self, solution: Solution, moments: Moments) -> None:
        """Take a solution: weight [channels, features], bias [channels]; and the moments that it was solved from."""
        raise NotImplementedError


def picked(rows: Tensor, keep: Tensor | None) -> Tensor:
    """Of rows [images, rows, ...] those that `keep` [images, kept] names."""
    if keep is None:
        return rows
    return rows.gather(1, keep[:, :, None].expand(-1, -1, rows.shape[2]))
