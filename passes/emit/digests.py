"""Digests of parts of programs: two of the same digest compute the same, with the same bytes of weights."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node
from torch.fx.node import map_aggregate

from ..graphs.conventions import result, target_name
from .layers import constructor
from .program import Program, scopes
from .regroup import Region, is_inline


class Digests:
    """The pieces of a family by their digests, and the modules and parameters in those that are parts of models."""

    def __init__(self) -> None:
        self._pieces: dict[str, str] = {}
        self._parts: dict[tuple[str, str], str] = {}
        self._bytes: dict[int, tuple[Tensor, str]] = {}  # with the tensor, which keeps its identity its own

    def piece(self, program: Program, base: str) -> str | None:
        """The piece that computes what a program does, whose paths lie under `base`; None where there is none."""
        return self._pieces.get(self._whole(program, base))

    def add(self, name: str, program: Program) -> None:
        """Makes a piece known, whose paths lie under its name."""
        self._pieces[self._whole(program, name)] = name

    def shared(self, name: str, program: Program, root: Region) -> tuple[dict[str, str], dict[str, str]]:
        """Of the largest modules, and of parameters, that an earlier piece has in the same place of a model: their
        paths, and their paths there. What no earlier piece has is made known.

        The second holds buffers of layers that are not shared. They are no more than equal, since training changes the
        statistics of a layer and no other's.
        """
        found: dict[str, str] = {}
        equal: dict[str, str] = {}

        def have(kind: str, path: str, digest: str, into: dict[str, str] = found) -> bool:
            key = (f"{kind} {path.removeprefix(f'{name}.')}", digest)
            if key in self._parts:
                into[path] = self._parts[key]
            else:
                self._parts[key] = path
            return path in into

        def walk(region: Region) -> None:
            for inner in region.items:
                if not isinstance(inner, Region):
                    continue
                if not _has_state(program, inner.path) or not have("module", inner.path, self._region(program, inner)):
                    walk(inner)

        walk(root.items[0] if isinstance(root.items[0], Region) else root)
        tensors = dict(program.tensors)
        for path, leaf in program.leaves.items():
            if _within(path, found) or not leaf.state_dict():
                continue
            if have("layer", path, self._layer(leaf, path)):
                continue
            own = leaf.state_dict(keep_vars=True).items()
            tensors.update((f"{path}.{key}", tensor) for key, tensor in own)
        for path, tensor in tensors.items():
            if not _within(path, found) and tensor.numel() > 1:  # counters are no weights
                have("tensor", path, self._tensor(tensor), found if isinstance(tensor, nn.Parameter) else equal)
        return found, equal

    def _whole(self, program: Program, base: str) -> str:
        nodes = [n for n in program.graph.nodes if n.op not in ("placeholder", "output") and not is_inline(n)]
        return self._digest(program, base, nodes, [result(program.graph)])

    def _region(self, program: Program, region: Region) -> str:
        return self._digest(program, region.path, list(region.nodes()), region.outputs, region.inputs)

    def _digest(
        self, program: Program, base: str, nodes: list[Node], outputs: list[Node], inputs: Iterable[Node] = ()
    ) -> str:
        """nodes: what is computed, in order. All that lies under `base` counts, whoever reads it."""
        under = f"{base}." if base else ""
        number: dict[Node, str] = {node: f"given{i}" for i, node in enumerate(inputs)}
        number |= {node: f"value{i}" for i, node in enumerate(nodes)}

        def said(value: Any) -> Any:
            if not isinstance(value, Node):
                return value
            if value in number:
                return _Word(number[value])
            if value.op == "placeholder":
                return _Word("image")
            return _Word(_call(value))

        def _call(node: Node) -> str:
            target = f"{getattr(node.target, '__module__', '')}.{target_name(node)}"
            if node.op in ("call_module", "get_attr"):
                target = str(node.target).removeprefix(under)
            enclosing = [(p.removeprefix(under), kind) for p, kind in scopes(node) if p.startswith(under)]
            return f"{node.op} {target} {map_aggregate(node.args, said)} {map_aggregate(node.kwargs, said)} {enclosing}"

        hasher = hashlib.sha256()
        lines = [*map(_call, nodes), f"gives {[said(node) for node in outputs]}"]
        for line in (*lines, *self._state(program, under)):
            hasher.update(line.encode() + b"\n")
        return hasher.hexdigest()

    def _state(self, program: Program, under: str) -> Iterator[str]:
        for path, leaf in sorted(program.leaves.items()):
            if path.startswith(under):
                yield f"{path.removeprefix(under)} {self._layer(leaf, path)}"
        for path, tensor in sorted(program.tensors.items()):
            if path.startswith(under):
                yield f"{path.removeprefix(under)} {self._tensor(tensor)}"

    def _layer(self, leaf: nn.Module, path: str) -> str:
        state = {key: self._tensor(tensor) for key, tensor in leaf.state_dict(keep_vars=True).items()}
        return f"{constructor(leaf, path)} {state}"

    def _tensor(self, tensor: Tensor) -> str:
        if id(tensor) not in self._bytes:
            data = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            kind = "parameter" if isinstance(tensor, nn.Parameter) else "buffer"
            said = f"{kind} {tensor.dtype} {tuple(tensor.shape)} {hashlib.sha256(data.data).hexdigest()}"
            self._bytes[id(tensor)] = tensor, said
        return self._bytes[id(tensor)][1]


class _Word(str):
    """Text that is written without quotation marks."""

    def __repr__(self) -> str:
        return str(self)


def _has_state(program: Program, path: str) -> bool:
    under = f"{path}."
    leaves = (leaf for at, leaf in program.leaves.items() if at == path or at.startswith(under))
    return any(leaf.state_dict() for leaf in leaves) or any(at.startswith(under) for at in program.tensors)


def _within(path: str, modules: Iterable[str]) -> bool:
    return any(path == module or path.startswith(f"{module}.") for module in modules)
