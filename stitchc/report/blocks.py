"""Two graphs and what became of them: the blocks of the models of a chain that are kept, healed, dropped or new."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..documents import label
from ..passes.data.plan import Plan
from ..passes.data.values import Price

if TYPE_CHECKING:
    from ..passes.data.chain import Chain


@dataclass(frozen=True)
class Block:
    """What a model computes between two cuts that follow one another, or its input or output.

    index: among the blocks of the model. name: the cut that it ends in. shape: of the value there, () at the output.
    price: None where cuts were not priced. operators: how often each kind of layer or function is called; empty where
    the graph is not at hand. targets: paths of the modules that it calls. healed: the items of `healing.blocks` that
    are of it.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    price: Price | None
    operators: Mapping[str, int]
    targets: frozenset[str] = frozenset()
    healed: tuple[Mapping[str, Any], ...] = ()

    @property
    def is_healed(self) -> bool:
        """Whether any of it has other weights than its model, and keeps them."""
        return any(one["kept"] for one in self.healed)


@dataclass(frozen=True)
class Change:
    """Blocks of one model that follow one another and are all kept or all dropped, or an adapter.

    state: "kept", "dropped" or "new". model: its index in the plan; None of an adapter. seam: of an adapter, its place
    among the seams of the chain.
    """

    state: str
    model: int | None
    blocks: tuple[Block, ...] = ()
    seam: int | None = None


def blocks(plan: Plan, model: int) -> list[Block]:
    """The blocks of a model in graph order, one more than it has cuts."""
    cuts = plan.cuts[model].cuts
    whole = plan.prices[model] if model < len(plan.prices) else None
    ends = [*(cut.before for cut in cuts), whole]
    names = [*map(label, cuts), "output"]
    shapes = [*(cut.value.shape for cut in cuts), ()]
    found = []
    called = list(_called(plan, model)) or [(Counter(), frozenset())] * len(names)
    for k, (name, shape, end) in enumerate(zip(names, shapes, ends, strict=True)):
        start = ends[k - 1] if k else Price()
        price = end if not k else end - start if end is not None and start is not None else None
        found.append(Block(k, name, shape, price, *called[k]))
    return found


def changes(plan: Plan, chain: Chain, healing: Mapping[str, Any] | None = None) -> list[Change]:
    """What becomes of the blocks of all models of a chain, in the order of the chain. healing: of a plan document."""
    models = sorted({fragment.model for fragment in chain.fragments})
    every = {model: blocks(plan, model) for model in models}
    runs = [_run(fragment.start, fragment.end, len(every[fragment.model])) for fragment in chain.fragments]
    used = {model: {k for f, run in zip(chain.fragments, runs, strict=True) if f.model == model for k in run}
            for model in models}  # fmt: skip
    healed = _healed(chain, healing)
    found: list[Change] = []
    for place, (fragment, run) in enumerate(zip(chain.fragments, runs, strict=True)):
        model, own = fragment.model, every[fragment.model]
        at = [k for k, other in enumerate(chain.fragments) if other.model == model]
        if place:
            found.append(Change("new", None, seam=place - 1))
        if place == at[0]:
            found += _dropped(model, own, range(run.start), used[model])
        found.append(Change("kept", model, _kept(own, run, healed.get(place, ()))))
        after = at.index(place) + 1
        until = runs[at[after]].start if after < len(at) else len(own)
        found += _dropped(model, own, range(run.stop, until), used[model])
    return found


def _run(start: int | None, end: int | None, count: int) -> range:
    """The indices of the blocks of a fragment. A block has the index of the cut that it ends in."""
    return range(0 if start is None else start + 1, count if end is None else end + 1)


def _dropped(model: int, own: Sequence[Block], where: range, used: set[int]) -> Iterator[Change]:
    gone = tuple(own[k] for k in where if k not in used)
    if gone:
        yield Change("dropped", model, gone)


def _kept(own: Sequence[Block], run: range, healed: Sequence[Mapping[str, Any]]) -> tuple[Block, ...]:
    """The blocks of a fragment, with what was healed in each."""
    marked = [own[k] for k in run]
    for one in healed:
        k = _place(marked, one["path"])
        if k is not None:
            marked[k] = replace(marked[k], healed=(*marked[k].healed, one))
    return tuple(marked)


def _place(marked: Sequence[Block], path: str) -> int | None:
    """Which block holds the module of that path, or the first of those within it."""
    for k, block in enumerate(marked):
        if block.name == path or any(target == path or target.startswith(f"{path}.") for target in block.targets):
            return k
    return None


def _healed(chain: Chain, healing: Mapping[str, Any] | None) -> dict[int, list[dict[str, Any]]]:
    """Of each fragment, by its place, what was healed in it: items of `healing.blocks` with the `path` in the model."""
    places = {part.name: k for k, part in enumerate(p for p in chain.parts() if p.fragment is not None)}
    found: dict[int, list[dict[str, Any]]] = {}
    for block in healing["blocks"] if healing else ():
        part, _, path = block["name"].partition(".")
        if part in places:
            found.setdefault(places[part], []).append({**block, "path": path})
    return found


def _called(plan: Plan, model: int) -> Iterator[tuple[Counter[str], frozenset[str]]]:
    """Of each block what it calls, by kind, and the modules among that; nothing where there is no graph."""
    if model >= len(plan.graphs):
        return
    graph = plan.graphs[model]
    nodes = list(graph.graph.nodes)
    order = {node.name: k for k, node in enumerate(nodes)}
    ends = [order[cut.node] for cut in plan.cuts[model].cuts]
    kinds: list[Counter[str]] = [Counter() for _ in range(len(ends) + 1)]
    targets: list[set[str]] = [set() for _ in kinds]
    for k, node in enumerate(nodes):
        if node.op not in ("call_module", "call_function", "call_method"):
            continue
        block = bisect_left(ends, k)
        if node.op == "call_module":
            kinds[block][type(graph.get_submodule(node.target)).__name__] += 1
            targets[block].add(node.target)
        else:
            kinds[block][getattr(node.target, "__name__", str(node.target))] += 1
    yield from ((counted, frozenset(own)) for counted, own in zip(kinds, targets, strict=True))
