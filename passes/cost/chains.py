"""What a chain of any length takes, from what was counted of each of its models."""

from __future__ import annotations

from math import prod

from .. import adapters as registry
from ..adapters.footprint import footprint
from ..data.chain import Chain, Seam
from ..data.errors import CutError
from ..data.plan import Plan
from ..data.values import Price, Value
from ..data.weights_file import Entry, file_bytes


def price_of(plan: Plan, chain: Chain) -> Price:
    """The price of a chain, exact to the byte: what is written for it has the same. The plan needs cuts and parts.

    While a fragment runs, the image and the value that it was given are held; while an adapter does, the image and the
    memory that the value before it lies in.

    Raises:
        CutError: an adapter that cannot join the two values at its seam.
    """
    image = plan.parts[chain.front.model].peaks.image
    params = macs = more = 0
    entries: list[Entry] = []
    peak, given = 0, 0
    seams = iter(chain.seams())
    held: int | None = None
    for part in chain.parts():
        prefix = f"{part.name}." if part.name else ""
        if part.fragment is not None:
            piece = plan.parts[part.fragment.model].spans.piece(part.fragment.start, part.fragment.end)
            params, macs = params + piece.params, macs + piece.macs
            entries += [entry._replace(name=prefix + entry.name) for entry in piece.entries]
            peak = max(peak, given + piece.peak_bytes)
            held = given if piece.held_bytes is None else piece.held_bytes
            continue
        seam = next(seams)
        front, back = plan.value_at(seam.leaves), plan.value_at(seam.enters)
        price, (own, memory, given, folded) = _adapter(plan, seam, front, back)
        params, macs, more = params + price.params, macs + price.macs, more + folded
        entries += [entry._replace(name=prefix + entry.name) for entry in own]
        assert held is not None
        peak = max(peak, held + memory)
    return Price(params, macs, file_bytes(entries) + more, image + peak)


def _adapter(
    plan: Plan, seam: Seam, front: Value, back: Value
) -> tuple[Price, tuple[tuple[Entry, ...], int, int, int]]:
    """Its price; its tensors in the weights file, its memory, the bytes of the value that it gives, and the bytes that
    the next fragment's part of the file has more by it."""
    kind = registry.get(seam.adapter)
    price = kind.price(front, back)
    if not isinstance(price, Price):
        x, y = (plan.node_at(*end) for end in (seam.leaves, seam.enters))
        names = [plan.models[end.model].name for end in (seam.leaves, seam.enters)]
        raise CutError(
            f"{kind.words} cannot join '{x}' of {names[0]} {front.shape} to '{y}' of {names[1]} {back.shape}: {price}",
            "Choose other cuts, or another adapter.",
        )
    found = footprint(kind, front, back)
    given = 4 * prod(back.shape)
    if kind.folds:  # the back is given the front's channels, and its weights are of other shapes
        given = given // back.channels * front.channels
    return price, (found.entries, found.memory_bytes, given, price.size_bytes if kind.folds else 0)
