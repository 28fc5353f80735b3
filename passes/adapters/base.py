"""The module that an adapter is, and what fitting asks of it."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..data.values import Value
from . import convert

if TYPE_CHECKING:
    from ..numerics.ridge import Moments, Solution
    from .kind import Kind


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
    matrix: Tensor  # of a kind that folds: [the back's channels, the front's]
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

    def pass_on(self) -> None:
        """Be as near to the identity as the shapes allow, which all but the last of several steps are until trained."""


class Carrying(Adapter):
    """An adapter whose fit is that of a linear map inside it, `carrier`; what else is in it begins as nothing."""

    exact = False

    def carry(self, carrier: Adapter) -> None:
        """Take over what `fit` asks of the carrier, which is a module of this one already."""
        self._carrier = (carrier,)  # in a tuple, or it would be registered twice
        self.features, self.intercept, self.ridge = carrier.features, carrier.intercept, carrier.ridge
        self.observes = carrier.observes

    @property
    def carrier(self) -> Adapter:
        return self._carrier[0]

    def enter(self, x: Tensor) -> Tensor:
        """What the carrier gets of the front's values."""
        return x

    def leave(self, y: Tensor) -> Tensor:
        """What the carrier should make, for the back's values y."""
        return y

    @property
    def reading(self) -> Hashable:
        return type(self), self.front, self.carrier.reading

    @property
    def aim(self) -> Hashable:
        return self.back, self.carrier.aim

    def observe(self, x: Tensor, y: Tensor) -> None:
        self.carrier.observe(self.enter(x), self.leave(y))

    def design(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        return self.carrier.design(self.enter(x), keep)

    def target(self, y: Tensor) -> Tensor:
        return self.carrier.target(self.leave(y))

    def load(self, solution: Solution, moments: Moments) -> None:
        self.carrier.load(solution, moments)

    def pass_on(self) -> None:
        self.carrier.pass_on()


def picked(rows: Tensor, keep: Tensor | None) -> Tensor:
    """Of rows [images, rows, ...] those that `keep` [images, kept] names."""
    if keep is None:
        return rows
    return rows.gather(1, keep[:, :, None].expand(-1, -1, rows.shape[2]))
