"""The code and the weights of a family: `model.py` with a class `StitchedFamily`, and `model.safetensors`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node

from ..data.family import Family
from ..data.model import InputSpec
from ..data.plan import Plan
from ..data.printable import quoted
from ..graphs.conventions import output, placeholder, result
from . import switched
from .classes import make_classes
from .conversion import conversions, input_of
from .cutting import spans_of
from .definition import ClassDef, Line
from .family_text import describe
from .pieces import Pieces, Span, Step, pieces_of
from .program import Program
from .regroup import regroup
from .source import class_lines, load_function, whole_source
from .weights import tied_keys, write_weights

_LOAD_EQUAL = """\
    weights |= {here: weights[there] for here, there in EQUAL.items()}
"""
_LOAD_END = """\
    model = StitchedFamily()
    first: dict[int, str] = {}  # of a tensor that several modules share, the file has the first name
    state = model.state_dict(keep_vars=True)
    model.load_state_dict({key: weights[first.setdefault(id(state[key]), key)] for key in sorted(state)})
    return model.eval()
"""


@dataclass(frozen=True)
class Emitted:
    """What was written. input: what the images must be, whichever member runs. steps: of each member, what it runs.
    networks: of each member, what its own graph computes on images as the family takes them."""

    input: InputSpec
    steps: Mapping[str, tuple[Step, ...]]
    networks: Mapping[str, nn.Module]


def emit_family(plan: Plan, family: Family, folder: Path) -> Emitted:
    """Writes `model.py` and `model.safetensors` into `folder`, which is made if it does not exist. The same plan and
    family give the same bytes.

    plan: with the models, graphs and cuts that the members' chains are of.

    Raises:
        TraceError: a layer or a function that torch alone cannot make. PipelineError: as `pieces_of`.
    """
    first = conversions(plan, family)
    steps = write_members(plan, family, spans_of(plan, family, first), folder)
    networks = {one.name: _after(first.get(one.name), one.hybrid.network) for one in family.members}
    return Emitted(input_of(plan, family), steps, networks)


def write_members(
    plan: Plan, family: Family, members: Mapping[str, Sequence[Span]], folder: Path
) -> dict[str, tuple[Step, ...]]:
    """As `emit_family`, of members that are cut already, by their names; returns what each runs."""
    made = pieces_of(members)
    program = _together(made)
    root = regroup(program, kept=frozenset(piece.name for piece in made.pieces))
    classes = make_classes(program, root, lambda lines: _outermost(made, lines))
    for one in classes:
        about = next((piece.about for piece in made.pieces if piece.name == one.paths[0]), None)
        if about:
            one.document = f"{about}."
    folder.mkdir(parents=True, exist_ok=True)
    stored, equal = _stored(program, made)
    dtypes = write_weights(stored, folder / "model.safetensors")
    (folder / "model.py").write_text(_source(plan, family, made, classes, dtypes, equal), encoding="utf-8")
    return made.steps


def _after(first: GraphModule | None, network: GraphModule) -> nn.Module:
    return network if first is None else nn.Sequential(first, network)


def _together(made: Pieces) -> Program:
    """All pieces as one program, each with an input and an output of its own."""
    graph = Graph()
    outputs: list[Node] = []
    leaves: dict[str, nn.Module] = {}
    tensors: dict[str, Tensor] = {}
    for piece in made.pieces:
        source = piece.program.graph
        copies: dict[Node, Node] = {placeholder(source): graph.placeholder(f"into_{piece.name}")}
        copies[placeholder(source)].meta = dict(placeholder(source).meta)
        for node in source.nodes:
            if node.op not in ("placeholder", "output"):
                copies[node] = graph.node_copy(node, copies.__getitem__)
        outputs.append(copies[result(source)])
        leaves |= piece.program.leaves
        tensors |= piece.program.tensors
    graph.output(tuple(outputs))
    assert output(graph).all_input_nodes == outputs
    return Program(graph, leaves, tensors)


def _outermost(made: Pieces, lines: list[Line]) -> ClassDef:
    """The class of the family: it makes the pieces, and then lets them share."""
    setup = [Line("super().__init__(MEMBERS, INPUT)", ""), *lines[1:]]
    if made.shared:
        setup.append(Line("self._share(SHARED)", ""))
    names = {piece.name for piece in made.pieces}
    return ClassDef("StitchedFamily", "Switched", setup, None, [""], children=names, name="StitchedFamily")


def _stored(program: Program, made: Pieces) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of the weights file, each under the first of its names; and the first names of tensors that are equal
    to one in the file."""
    state = program.state_dict()
    tied = tied_keys(state)
    names: dict[str, str] = {}
    for key in sorted(state):
        source = _followed(tied.get(key, key), made.shared)
        names.setdefault(tied.get(source, source), key)
    first: dict[str, str] = {}
    stored, equal = {}, {}
    for source, name in names.items():
        content = _followed(source, made.equal)
        if first.setdefault(content, name) == name:
            stored[name] = state[name]
        else:
            equal[name] = first[content]
    return stored, equal


def _followed(key: str, paths: Mapping[str, str]) -> str:
    """The key of what takes the place of a tensor, however many times it is passed on."""
    parts = key.split(".")
    for k in range(len(parts), 0, -1):
        if (there := paths.get(".".join(parts[:k]))) is not None:
            return _followed(".".join([there, *parts[k:]]), paths)
    return key


def _source(
    plan: Plan, family: Family, made: Pieces, classes: list[ClassDef], dtypes: dict[str, str], equal: dict[str, str]
) -> str:
    runtime = [inspect.getsource(one).rstrip().splitlines() for one in _RUNTIME]
    *inner, outermost = classes
    outermost.document = _about(family)
    told = [class_lines(one) for one in inner]
    shared = _table("SHARED", made.shared, "Modules and parameters that members have in common.")
    same = _table("EQUAL", equal, "Buffers with the same numbers as others, which training may change.")
    last = [_members(family, made), shared, same, class_lines(outermost)]
    load = load_function("StitchedFamily", "The family with its trained weights, in eval mode.", dtypes)
    load += (_LOAD_EQUAL if equal else "") + _LOAD_END
    imports = ("from dataclasses import dataclass", "from statistics import median", "from time import perf_counter")
    size = f"INPUT = {input_of(plan, family).size}"
    return whole_source(describe(plan, family), [*runtime, *told, [size], *filter(None, last)], load, imports)


_RUNTIME = (switched.Member, switched.MemberNetwork, switched.Switched, switched._milliseconds)


def _about(family: Family) -> str:
    names = [member.name for member in family.members]
    return f"The members {', '.join(names[:-1])} and {names[-1]}, which share what they have in common."


def _members(family: Family, made: Pieces) -> list[str]:
    lines = ["MEMBERS = ("]
    for member in family.members:
        price = member.hybrid.price
        assert price is not None
        amounts = [f"{key}={int(price[metric])}" for metric, key in _AMOUNTS.items()]
        steps = ", ".join(quoted(step.module) for step in made.steps[member.name])
        steps += "," if len(made.steps[member.name]) == 1 else ""
        lines += ["    Member(", f"        {quoted(member.name)},", *(f"        {amount}," for amount in amounts)]
        lines += [f"        steps=({steps}),", "    ),"]
    return [*lines, ")"]


_AMOUNTS = {"macs": "macs", "params": "params", "size": "size_bytes", "memory": "memory_bytes"}


def _table(name: str, paths: Mapping[str, str], about: str) -> list[str]:
    if not paths:
        return []
    entries = [f"    {quoted(here)}: {quoted(there)}," for here, there in paths.items()]
    return [f"# {about}", f"{name} = {{", *entries, "}"]
