"""The values of a graph's nodes for the probe images, computed when asked for and kept while something needs them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from ..data.model import Images, InputSpec
from ..graphs.conventions import is_scalar, placeholder, writes_in_place
from ..graphs.placement import fast_layout
from ..numerics.held_out import held_out
from ..numerics.offload import TensorStore


@dataclass(frozen=True)
class Chunk:
    """A few of the images from `start` to `stop`: those held out, or the others. members: which, counted from start."""

    start: int
    stop: int
    held_out: bool
    members: tuple[int, ...]


def chunks(images: int, size: int) -> tuple[Chunk, ...]:
    """All images by chunks of at most `size`."""
    found = []
    for start in range(0, images, size):
        stop = min(start + size, images)
        held = held_out(start, stop - start)
        for part in (False, True):
            members = tuple((held == part).nonzero().flatten().tolist())
            found += [Chunk(start, stop, part, members)] if members else []
    return tuple(found)


class Values:
    """What the nodes of a graph give, by chunks of images.

    A value is computed from the latest ones that are kept. Parameters are read anew each time, so that a change of
    weights shows in everything that is computed after it; `forget` drops what was computed with older ones.
    """

    def __init__(
        self, graph: GraphModule, images: Images, spec: InputSpec, chunks: Sequence[Chunk], store: TensorStore
    ):
        self.graph, self.images, self.spec, self.chunks, self.memory = graph, images, spec, chunks, store
        self.position = {node: index for index, node in enumerate(graph.graph.nodes)}
        self.last = {node: max((self.position[u] for u in node.users), default=-1) for node in graph.graph.nodes}
        self.kept: dict[Chunk, dict[Node, Any]] = {}

    def __call__(self, chunk: Chunk, wanted: Sequence[Node], keep: Callable[[Node], bool] | None = None) -> list[Any]:
        """The values of some nodes. Of the values known then, those for which `keep` is true stay (None: no change)."""
        before = self.kept.setdefault(chunk, {})
        todo = self._missing(before, wanted)
        if any(node.op == "placeholder" for node in todo):  # not always first: exported graphs begin with parameters
            self._load(chunk)
        known = dict(self.kept[chunk])
        readers = {node: at for at, user in enumerate(todo) for node in user.all_input_nodes}
        for at, node in enumerate(todo):
            if node not in known:
                known[node] = self._computed(node, known)
            self._sizes(node, known)
            self._release(known, node, at, readers, wanted, keep)
        self.memory.unload()
        if keep is not None:
            self._keep(chunk, {n: v for n, v in known.items() if is_scalar(n) or (n.op != "get_attr" and keep(n))})
        return [self.memory.here(known[node]) for node in wanted]

    def through(self, chain: Sequence[Node], start: Node, value: Tensor, known: Mapping[Node, Any]) -> Tensor:
        """The value at the end of a chain of nodes when the node before them, `start`, has this value."""
        found = dict(known) | {start: value}
        for node in chain:
            found[node] = self._computed(node, found)
        return found[chain[-1]] if chain else value

    def forget(self, after: int) -> None:
        """Drop what lies after a position in the graph."""
        for held in self.kept.values():
            for node in [n for n in held if self.position[n] > after and not is_scalar(n)]:
                self.memory.free(held.pop(node))

    def close(self) -> None:
        """Frees all values."""
        self.forget(-1)
        self.kept.clear()

    def _missing(self, held: dict[Node, Any], wanted: Iterable[Node]) -> list[Node]:
        """What has to be computed for the wanted nodes, in graph order."""
        seen: set[Node] = set()
        stack = [node for node in wanted if node not in held]
        while stack:
            node = stack.pop()
            if node not in seen:
                seen.add(node)
                stack += [n for n in node.all_input_nodes if n not in held and n not in seen]
        return sorted(seen, key=self.position.__getitem__)

    def _load(self, chunk: Chunk) -> None:
        """Shows a range of images to both of its chunks at once: they are decoded but once."""
        batch = next(iter(self.images.batches(self.spec, chunk.stop - chunk.start, chunk.start, chunk.stop)))
        image = placeholder(self.graph.graph)
        for other in self.chunks:
            if other.start == chunk.start and (other == chunk or other not in self.kept):
                held = self.kept.setdefault(other, {})
                shown = batch[list(other.members)].to(self.memory.device)
                if shown.dim() == 4:  # convolutions like it best, and what they give stays so
                    shown = shown.contiguous(memory_format=fast_layout(shown.device))
                held[image] = self.memory.put(shown)
                self._sizes(image, held)

    def _sizes(self, node: Node, known: dict[Node, Any]) -> None:
        """The integers that are computed from a value alone: they outlive it."""
        for user in node.users:
            if is_scalar(user) and user not in known and all(n in known for n in user.all_input_nodes):
                known[user] = self._computed(user, known)
                self._sizes(user, known)

    def parameters(self, node: Node) -> dict[Node, Any]:
        """The parameters and buffers among a node's arguments."""
        return {given: self._computed(given, {}) for given in node.all_input_nodes if given.op == "get_attr"}

    def _computed(self, node: Node, known: dict[Node, Any]) -> Any:
        if node.op == "get_attr":
            holder, _, name = str(node.target).rpartition(".")
            return getattr(self.graph.get_submodule(holder), name).detach()
        args: Any = map_arg(node.args, lambda given: self.memory.here(known[given]))
        kwargs: Any = map_arg(node.kwargs, lambda given: self.memory.here(known[given]))
        if writes_in_place(node) and args and isinstance(args[0], Tensor):
            args = (args[0].clone(), *args[1:])
        if node.op == "call_module":
            return self.graph.get_submodule(str(node.target))(*args, **kwargs)
        if node.op == "call_method":
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        assert callable(node.target)
        return node.target(*args, **kwargs)

    def _release(
        self,
        known: dict[Node, Any],
        node: Node,
        at: int,
        readers: dict[Node, int],
        wanted: Sequence[Node],
        keep: Callable[[Node], bool] | None,
    ) -> None:
        """Frees the values whose last reader is the node at position `at` of those to be computed."""
        for given in node.all_input_nodes:
            needed = given in wanted or is_scalar(given) or (keep is not None and keep(given))
            if readers.get(given) == at and not needed:
                known.pop(given, None)

    def _keep(self, chunk: Chunk, values: dict[Node, Any]) -> None:
        before = self.kept[chunk]
        for node, value in before.items():
            if node not in values:
                self.memory.free(value)
        self.kept[chunk] = {n: v if n in before else self.memory.put(v) for n, v in values.items()}
