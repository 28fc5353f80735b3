"""The base class of adapter modules, and what the closed-form fit needs from them."""

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

    The conversions of layout, tokens and size are part of `forward`, so they are part of the stitched graph. An adapter
    with a linear map defines its least-squares problem by `design` and `target`, row by row, such that
    `target ~ design @ weight.T + bias`, and takes the solution by `load`. One without a linear map has 0 `features`.
    """

    features: int = 0  # length of a row of `design`
    intercept: bool = True  # whether the linear map has a bias
    ridge: float | None = None  # the penalty to fit with; None for the best on held-out images; 0 for the pseudoinverse
    preactivation: bool = False  # whether to fit to the input of the ReLU that makes the back's value, if any
    exact: bool = True  # whether, once loaded, `forward` is the linear map and nothing else
    matrix: Tensor  # of a kind that folds: [back channels, front channels]
    observes: bool = False  # whether `observe` must see the images before `design` can be asked

    def __init__(self, kind: Kind, front: Value, back: Value):
        super().__init__()
        self.kind, self.front, self.back = kind, front, back

    @property
    def name(self) -> str:
        return self.kind.notation

    @property
    def design_key(self) -> Hashable:
        """What `design` depends on besides its argument: adapters with equal keys have the same design matrix, and so
        share second moments and factorisations."""
        return self.kind, self.front, self.back

    @property
    def target_key(self) -> Hashable:
        """What `target` depends on besides its argument: adapters with equal keys are fitted to the same rows."""
        return self.back

    def observe(self, x: Tensor, y: Tensor) -> None:
        """Takes the values of some images, x [images, *front.shape] and y [images, *back.shape], for statistics that
        must be known before the fit: means and variances."""

    def design(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """The design matrix: [images, rows, features], for the front's values x [images, *front.shape].

        keep: indices of the rows that are wanted, int64 [images, rows]; None for all.
        """
        raise NotImplementedError

    def target(self, y: Tensor) -> Tensor:
        """The regression targets of all rows: [images, rows, channels], for the back's own values y [images,
        *back.shape]."""
        return convert.rows(y, self.back)

    def load(self, solution: Solution, moments: Moments) -> None:
        """Sets the weights from a solution: weight [channels, features], bias [channels]. moments: what it was solved
        from."""
        raise NotImplementedError

    def set_to_identity(self) -> None:
        """Sets the weights as near to the identity as the shapes allow. Of several steps in a row, all but the last are
        so until they are trained."""


class AroundLinearMap(Adapter):
    """An adapter that is fitted through one linear map inside it, `inner`; its other branches begin with zero
    output."""

    exact = False

    def wrap(self, inner: Adapter) -> None:
        """Makes `inner`, a submodule of this one already, the linear map that is fitted."""
        self._inner = (inner,)  # in a tuple, or it would be registered twice
        self.features, self.intercept, self.ridge = inner.features, inner.intercept, inner.ridge
        self.observes = inner.observes

    @property
    def inner(self) -> Adapter:
        """The linear map that is fitted."""
        return self._inner[0]

    def inner_input(self, x: Tensor) -> Tensor:
        """The input of `inner`, for the front's values x [images, *front.shape]."""
        return x

    def inner_target(self, y: Tensor) -> Tensor:
        """The output that `inner` is fitted to, for the back's values y [images, *back.shape]."""
        return y

    @property
    def design_key(self) -> Hashable:
        return type(self), self.front, self.inner.design_key

    @property
    def target_key(self) -> Hashable:
        return self.back, self.inner.target_key

    def observe(self, x: Tensor, y: Tensor) -> None:
        self.inner.observe(self.inner_input(x), self.inner_target(y))

    def design(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        return self.inner.design(self.inner_input(x), keep)

    def target(self, y: Tensor) -> Tensor:
        return self.inner.target(self.inner_target(y))

    def load(self, solution: Solution, moments: Moments) -> None:
        self.inner.load(solution, moments)

    def set_to_identity(self) -> None:
        self.inner.set_to_identity()


def picked(rows: Tensor, keep: Tensor | None) -> Tensor:
    """The rows that `keep` selects: of rows [images, rows, features] and keep int64 [images, n], [images, n,
    features]."""
    if keep is None:
        return rows
    return rows.gather(1, keep[:, :, None].expand(-1, -1, rows.shape[2]))
