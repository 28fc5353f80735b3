"""The tree of modules that is emitted: which paths are layers, classes of their own, sequences or mere containers."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from ..data.printable import quoted
from .names import is_name, singular
from .program import Program
from .regroup import Region, is_chain, path_of


@dataclass(eq=False)
class Slot:
    """One path. A layer, a tensor, a called module (region), or what only holds others."""

    path: str
    children: dict[str, Slot] = field(default_factory=dict)
    leaf: nn.Module | None = None
    tensor: Tensor | None = None
    region: Region | None = None

    @property
    def is_sequence(self) -> bool:
        """Whether it is written as `nn.Sequential(...)` where it stands."""
        return self.region is not None and self.region.kind == "Sequential" and is_chain(self.region)

    @property
    def is_class(self) -> bool:
        return self.region is not None and not self.is_sequence

    @property
    def numbered(self) -> bool:
        return bool(self.children) and all(name.isdigit() for name in self.children)

    @property
    def contiguous(self) -> bool:
        return list(self.children) == [str(i) for i in range(len(self.children))]

    def walk(self, path: str) -> list[tuple[Slot, str, Slot]]:
        """(slot, name, child) for every step down to `path`."""
        steps, here = [], self
        for name in path.removeprefix(self.path).strip(".").split("."):
            steps.append((here, name, here.children[name]))
            here = here.children[name]
        return steps


def slots(program: Program, root: Region) -> Slot:
    """The tree for a regrouped program. Children are in the order in which they are called; numbered ones by number."""
    top = Slot("", region=root)
    regions = {region.path: region for region in root.regions() if region.path}

    def reach(path: str) -> Slot:
        here = top
        for name in path.split("."):
            below = f"{here.path}.{name}".lstrip(".")
            if name not in here.children:
                here.children[name] = Slot(below, region=regions.get(below))
            here = here.children[name]
        return here

    for node in program.graph.nodes:
        if node.op == "call_module":
            reach(str(node.target)).leaf = program.leaves[str(node.target)]
        elif node.op == "get_attr":
            reach(str(node.target)).tensor = program.tensors[str(node.target)]
    for path in regions:  # regions without layers of their own
        reach(path)
    _sort(top)
    return top


def _sort(slot: Slot) -> None:
    if slot.numbered and not (slot.region and is_chain(slot.region)):
        slot.children = dict(sorted(slot.children.items(), key=lambda item: int(item[0])))
    elif slot.region and is_chain(slot.region):
        order = [path_of(item).rpartition(".")[2] for item in slot.region.items]
        slot.children = {name: slot.children[name] for name in order}
    for child in slot.children.values():
        _sort(child)


def access(owner: Slot, path: str) -> str:
    """How code in `owner`'s class names the module or tensor at `path`."""
    text = "self"
    for slot, name, _ in owner.walk(path):
        text += _step(slot, name)
    return text


def _step(slot: Slot, name: str) -> str:
    if name.isdigit() and slot.numbered:
        in_order = slot.is_sequence or (slot.region is not None and is_chain(slot.region))
        if in_order or (slot.region is None and slot.contiguous):
            return f"[{list(slot.children).index(name)}]"
        if slot.region is None:
            return f"[{quoted(name)}]"
    return f".{name}" if is_name(name) else f".get_submodule({quoted(name)})"


def loop_over(owner: Slot, path: str) -> tuple[list[str], str, str] | None:
    """All children of the list that `path` lies in, and how a `for` goes through them; None for what is no list."""
    if not path or path == owner.path:
        return None
    steps = owner.walk(path)
    container = steps[-1][0]
    if container.region is not None or not container.numbered or len(steps) < 2:
        return None
    name = access(owner, container.path)
    variable = singular(steps[-2][1])
    values = "" if container.contiguous else ".values()"
    paths = [child.path for child in container.children.values()]
    return paths, f"for {variable} in {name}{values}", variable
