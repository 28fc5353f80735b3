"""One input for all members: what a member that wants its images otherwise does with them first."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule

from ..data.errors import InputError
from ..data.family import Family, Member
from ..data.model import InputSpec
from ..data.plan import Plan


class Converted(nn.Module):
    """Images as one specification has them, as another wants them: (pixel - mean) / std with other numbers, and another
    size. A smaller image is averaged from the larger one, which is near what resizing the picture itself gives: by a
    product with fixed shares of rows and of columns, since not every version exports an antialiased resize as it is."""

    scale: Tensor
    shift: Tensor
    rows: Tensor
    columns: Tensor

    def __init__(self, given: InputSpec, wanted: InputSpec):
        super().__init__()
        self.resizes = wanted.size != given.size
        if self.resizes:
            (tall, wide), (low, narrow) = given.size[1:], wanted.size[1:]
            self.register_buffer("rows", _shares(tall, low))
            self.register_buffer("columns", _shares(wide, narrow).T.contiguous())
        channels = given.size[0]
        (mean, std), (mean2, std2) = (
            (torch.tensor(spec.mean, dtype=torch.float64), torch.tensor(spec.std, dtype=torch.float64))
            for spec in (given, wanted)
        )
        self.normalises = bool((mean != mean2).any() or (std != std2).any())
        if self.normalises:
            scale, shift = (std / std2).expand(channels), ((mean - mean2) / std2).expand(channels)
            self.register_buffer("scale", scale.float().reshape(-1, 1, 1).clone())
            self.register_buffer("shift", shift.float().reshape(-1, 1, 1).clone())

    def forward(self, x: Tensor) -> Tensor:
        """x [batch, channels, height, width]."""
        if self.normalises:
            x = x * self.scale + self.shift
        if self.resizes:
            x = torch.matmul(torch.matmul(self.rows, x), self.columns)
        return x


def _shares(given: int, wanted: int) -> Tensor:
    """Which share each of the given lines has in each of the wanted ones: [wanted, given]."""
    lines = torch.eye(given)[None, None]
    return F.interpolate(lines, size=(wanted, given), mode="bilinear", antialias=True)[0, 0].contiguous()


def input_of(plan: Plan, family: Family) -> InputSpec:
    """What a family takes: what its most expensive member that is a model takes, else its most expensive one."""
    parents = [member for member in family.members if member.parent is not None]
    return plan.input_of((parents or list(family.members))[-1].hybrid.chain)


def conversions(plan: Plan, family: Family) -> dict[str, GraphModule]:
    """What the members do first that want another input than the family takes, by their names.

    Raises:
        InputError: a member's images have other channels.
    """
    from ..trace.record import record

    given = input_of(plan, family)
    found = {}
    for member in family.members:
        wanted = plan.input_of(member.hybrid.chain)
        if _same(given, wanted):
            continue
        _check(given, wanted, member)
        found[member.name] = record(Converted(given, wanted).eval(), given.size)
    return found


def _same(a: InputSpec, b: InputSpec) -> bool:
    return (a.size, tuple(a.mean), tuple(a.std)) == (b.size, tuple(b.mean), tuple(b.std))


def _check(given: InputSpec, wanted: InputSpec, member: Member) -> None:
    if given.size[0] != wanted.size[0]:
        raise InputError(
            f"the family takes images of {given.size[0]} channels, and its member {member.name} of {wanted.size[0]}",
            "Make a family of networks whose images have as many channels.",
        )
