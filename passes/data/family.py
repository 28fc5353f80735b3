"""A family: several hybrids, and the models that they are made of, in one artifact that switches between them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import PipelineError, unknown
from .hybrid import Hybrid
from .model import InputSpec

_NAME = re.compile(r"[a-z][a-z0-9_]{0,79}")


@dataclass(frozen=True)
class Member:
    """One network of a family.

    name: by which it is called at run time: a Python identifier in lower case, which is a file's name too. hybrid: its
    chain, with its graph and its price.
    parent: the name of the model that the member is as it stands: its chain is one whole fragment; None for a stitched
    one.
    """

    name: str
    hybrid: Hybrid
    parent: str | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise PipelineError(
                f"'{self.name[:80]}' is no name for a member", "Lower-case letters, digits and '_', a letter first."
            )
        if (self.parent is not None) is not (len(self.hybrid.chain.fragments) == 1):
            raise PipelineError(f"member {self.name}: a parent is a chain of one fragment, and no other member is")


@dataclass(frozen=True)
class Family:
    """The members, from cheap to expensive: see `Price.ordering`. Names are told apart. input: what the images of all
    must be, of which a member makes its own where it wants others; None for what its most expensive member takes that
    is a model.

    Raises:
        PipelineError: two members of one name, or of no price.
    """

    members: tuple[Member, ...]
    input: InputSpec | None = None

    def __post_init__(self) -> None:
        names = [member.name for member in self.members]
        if len(set(names)) < len(names):
            raise PipelineError(f"two members have one name: {', '.join(names)}")
        if any(member.hybrid.price is None for member in self.members):
            raise PipelineError("a member of a family has no price")
        object.__setattr__(self, "members", tuple(sorted(self.members, key=_ordering)))

    def __getitem__(self, name: str) -> Member:
        found = next((member for member in self.members if member.name == name), None)
        if found is None:
            raise unknown(name, "member of this family", [member.name for member in self.members])
        return found


def _ordering(member: Member) -> tuple[float, ...]:
    assert member.hybrid.price is not None
    return member.hybrid.price.ordering()
