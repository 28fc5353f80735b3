"""A family's members as sequences of pieces, so that what several have in common is written, and stored, once.

Pieces that compute the same with the same bytes of weights are one; of those that differ, as where a layer was healed
for one member, both stand, and share the layers that are the same.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from torch.fx import GraphModule

from ..graphs.conventions import result
from .digests import Digests
from .names import class_name, fresh
from .prepare import prepare
from .program import Program, scopes
from .regroup import regroup


@dataclass(frozen=True)
class Span:
    """What one member does between two cuts.

    wish: the name that the piece gets where nothing else has it. graph: what it computes; its modules lie under
    `inside`, or under nothing. part: of the member's chain, by its name there. about: what it is, in words.
    """

    wish: str
    graph: GraphModule
    inside: str
    part: str
    about: str

    @property
    def of_model(self) -> bool:
        """Whether it is a part of a model, whose layers can be those of another."""
        return not self.part.startswith(("adapter", "input"))


@dataclass(frozen=True)
class Step:
    """A piece as a member runs it. module: the attribute of the family. piece, part, about: as the span was called."""

    module: str
    piece: str
    part: str
    about: str


@dataclass(frozen=True)
class Piece:
    """A module of the family. program: what it computes, its paths under the name."""

    name: str
    program: Program
    about: str


@dataclass
class Pieces:
    """What a family is made of.

    pieces: in the order in which they are made. steps: of each member, what it runs, in order. shared: of a module or
    parameter that is the same as one in an earlier piece, by its path, the path of that one. equal: of a buffer with
    the same numbers as one in an earlier piece, likewise.
    """

    pieces: list[Piece] = field(default_factory=list)
    steps: dict[str, tuple[Step, ...]] = field(default_factory=dict)
    shared: dict[str, str] = field(default_factory=dict)
    equal: dict[str, str] = field(default_factory=dict)


def pieces_of(members: Mapping[str, Sequence[Span]]) -> Pieces:
    """The pieces of all members, by their names. Whoever comes first gives its pieces their names."""
    found, known = Pieces(), Digests()
    for member, spans in members.items():
        steps = []
        for span in spans:
            program = prepare(span.graph)
            if result(program.graph).op == "placeholder":
                continue  # it hands on what it is given
            name = known.piece(program, span.inside) or _add(found, known, span, program, member)
            steps.append(Step(name, span.wish, span.part, span.about))
        found.steps[member] = tuple(steps)
    return found


def _add(found: Pieces, known: Digests, span: Span, program: Program, member: str) -> str:
    taken = {piece.name for piece in found.pieces}
    name = span.wish if span.wish not in taken else fresh(f"{span.wish}_for_{member}", taken)
    program = _moved(program, span.inside, name, class_name(span.wish))
    known.add(name, program)
    found.pieces.append(Piece(name, program, span.about))
    if span.of_model:
        shared, equal = known.shared(name, program, regroup(program, kept=frozenset((name,))))
        found.shared |= shared
        found.equal |= equal
    return name


def _moved(program: Program, part: str, name: str, title: str) -> Program:
    """The program with its paths under `name` instead of `part`, and weights of its own."""
    memo: dict[int, object] = {}

    def there(path: str) -> str:
        return f"{name}.{path.removeprefix(f'{part}.') if part else path}"

    for node in program.graph.nodes:
        if node.op in ("call_module", "get_attr"):
            node.target = there(str(node.target))
        inner = scopes(node)[1:] if part else scopes(node)
        node.meta["scopes"] = ((name, title), *((there(path), kind) for path, kind in inner))
    leaves = {there(path): copy.deepcopy(leaf, memo) for path, leaf in program.leaves.items()}
    tensors = {there(path): copy.deepcopy(tensor, memo) for path, tensor in program.tensors.items()}
    return replace(program, leaves=leaves, tensors=tensors)
