"""Members of a family that are worth more with the weights that they had, and what it costs to keep these beside the
new ones."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from ..passes.family.weights import added, contents
from ..passes.training.worth import Worth


def with_room(
    networks: Mapping[str, nn.Module], tuned: Mapping[str, nn.Module], lost: Mapping[str, tuple[float, float]],
    room: float,
) -> tuple[dict[str, nn.Module], dict[str, int]]:  # fmt: skip
    """Of each member the family that it is taken from, and the bytes that untuned weights add to the others': of those
    members that keep them, and of those for which there is no room, which share the tuned ones.

    networks: as nothing but worth decides. tuned: for the members that had rather not be tuned, the tuned family. lost:
    what each of these loses by that; who loses most is heard first. room: bytes that they may add at most.
    """
    held = contents(_member(networks[name], name) for name in networks if name not in tuned)
    found, asked = dict(networks), dict[str, int]()
    for name in sorted(tuned, key=lambda name: lost[name], reverse=True):
        more = added(_member(networks[name], name), held)
        asked[name] = sum(more.values())
        if asked[name] <= room:
            room -= asked[name]
            held |= more
        else:
            found[name] = tuned[name]
    return found, asked


def bytes_of(family: nn.Module, names: Mapping[str, object]) -> int:
    """Of all weights of a family's members, each counted once."""
    return sum(contents(_member(family, name) for name in names).values())


def loss(before: Worth, after: Worth) -> tuple[float, float]:
    """By how much one state is worth less than another, in what decides between them first."""
    right, nats = before.right - after.right, after.nats - before.nats
    return (right, nats) if before.by == "labels" else (nats, right)


def _member(family: nn.Module, name: str) -> nn.Module:
    return family.member(name)  # type: ignore[operator]
