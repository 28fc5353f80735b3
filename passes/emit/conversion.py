"""One input for all members: what a member that wants its images otherwise does with them first."""

from __future__ import annotations

from torch.fx import GraphModule

from ..data.errors import InputError
from ..data.family import Family, Member
from ..data.model import InputSpec
from ..data.plan import Plan
from ..numerics.converted import Converted


def input_of(plan: Plan, family: Family) -> InputSpec:
    """What a family takes: what it says; else what its most expensive member that is a model takes, else its most
    expensive one."""
    if family.input is not None:
        return family.input
    parents = [member for member in family.members if member.parent is not None]
    return plan.input_of((parents or list(family.members))[-1].hybrid.chain)


def conversions(plan: Plan, family: Family) -> dict[str, GraphModule]:
    """What the members do first that want another input than the family takes, by their names.

    Raises:
        InputError: a member's images have other channels.
    """
    given = input_of(plan, family)
    found = {}
    for member in family.members:
        wanted = plan.input_of(member.hybrid.chain)
        _check(given, wanted, member)
        if (made := conversion(given, wanted)) is not None:
            found[member.name] = made
    return found


def conversion(given: InputSpec, wanted: InputSpec) -> GraphModule | None:
    """What makes images of one kind out of those of another; None where they are the same."""
    from ..trace.record import record

    return None if _same(given, wanted) else record(Converted(given, wanted).eval(), given.size)


def _same(a: InputSpec, b: InputSpec) -> bool:
    return (a.size, tuple(a.mean), tuple(a.std)) == (b.size, tuple(b.mean), tuple(b.std))


def _check(given: InputSpec, wanted: InputSpec, member: Member) -> None:
    if given.size[0] != wanted.size[0]:
        raise InputError(
            f"the family takes images of {given.size[0]} channels, and its member {member.name} of {wanted.size[0]}",
            "Make a family of networks whose images have as many channels.",
        )
