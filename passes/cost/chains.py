"""The price of a chain of any length, from the counts of its models."""

from __future__ import annotations

from functools import reduce
from operator import add

from torch.fx import GraphModule

from .. import adapters as registry
from ..data.chain import Chain, Seam
from ..data.errors import CutError
from ..data.plan import Plan
from ..data.values import Price
from ..data.weights_file import Entry, file_bytes
from .adapter_prices import AdapterPrice, adapter_price, folded
from .calls import Calls
from .count import count
from .fragments import FragmentPrices, fragment_prices


def price_of(plan: Plan, chain: Chain, first: FragmentPrices | None = None) -> Price:
    """The price of a chain, exact to the byte: the emitted artifact costs the same. The plan needs cuts and parts.

    While a fragment runs, the image and the value that it was given are held; while an adapter does, the image and the
    memory that the value before it lies in.

    first: of what makes the chain's image out of another one, where that is a part of the network: it is run before the
    chain, and both images are held.

    Raises:
        CutError: an adapter that cannot join the two values at its seam.
    """
    image = plan.parts[chain.front.model].peaks.image
    sums, entries = list[Price](), list[Entry]()
    peak = given = more = 0
    if first is not None:
        own, image, given = first.spans.piece(None, None), first.peaks.image, image
        sums, peak = [own.sums], own.peak_bytes
        entries = [entry._replace(name=f"input.{entry.name}") for entry in own.entries]
    seams = iter(chain.seams())
    held: int | None = None
    for part in chain.parts():
        prefix = f"{part.name}." if part.name else ""
        if part.fragment is not None:
            piece = plan.parts[part.fragment.model].spans.piece(part.fragment.start, part.fragment.end)
            sums.append(piece.sums)
            entries += [entry._replace(name=prefix + entry.name) for entry in piece.entries]
            peak = max(peak, given + piece.peak_bytes)
            held = given if piece.held_bytes is None else piece.held_bytes
            continue
        seam = next(seams)
        adapter = _adapter(plan, seam)
        sums.append(_folded(plan, seam, adapter))
        entries += [entry._replace(name=prefix + entry.name) for entry in adapter.entries]
        more, given = more + adapter.more_bytes, adapter.given_bytes
        assert held is not None
        peak = max(peak, held + adapter.memory_bytes)
    return reduce(add, sums) | {"size": file_bytes(entries) + more, "memory": image + peak}


def price_of_graph(graph: GraphModule, size: tuple[int, int, int]) -> Price:
    """The price of a graph as it is written, for an image of that size."""
    return prices_of_graph(graph, size).whole


def prices_of_graph(graph: GraphModule, size: tuple[int, int, int]) -> FragmentPrices:
    """The same as a fragment that others follow."""
    return fragment_prices(count(graph, size, Calls()), ())


def seam_price(plan: Plan, seam: Seam) -> Price:
    """The price of a seam's adapter, in every metric that is a sum. The plan needs cuts and parts.

    Raises:
        CutError: it cannot join the two values.
    """
    return _folded(plan, seam, _adapter(plan, seam))


def _folded(plan: Plan, seam: Seam, price: AdapterPrice) -> Price:
    readers = plan.parts[seam.enters.model].readers[seam.enters.cut] if price.widens else ()
    return folded(price, readers, plan.value_at(seam.leaves), plan.value_at(seam.enters))


def _adapter(plan: Plan, seam: Seam) -> AdapterPrice:
    kind = registry.get(seam.adapter)
    front, back = plan.value_at(seam.leaves), plan.value_at(seam.enters)
    price = adapter_price(kind, front, back)
    if isinstance(price, str):
        x, y = (plan.node_at(*end) for end in (seam.leaves, seam.enters))
        names = [plan.models[end.model].name for end in (seam.leaves, seam.enters)]
        raise CutError(
            f"{kind.notation} cannot join '{x}' of {names[0]} {front.shape} to '{y}' of {names[1]} {back.shape}: "
            f"{price}",
            "Choose other cuts, or another adapter.",
        )
    return price
