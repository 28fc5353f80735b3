"""The statements of one `forward`: what is written in place, what gets a name, and which name."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from torch import nn
from torch.fx import Node

from ..graphs.conventions import target_name
from .expressions import Access, Expression, Ref, Writer, reads_as_method
from .instructions import Instruction, Loop, mentions, nodes_of, outputs_of, parts_of, tuple_length
from .names import NAMELESS, fresh, is_name, path_name
from .program import Memory, writes
from .regroup import Region, is_inline, needed, path_of
from .text import Piece, Text

# Beyond these an expression is cut up into statements: a line a person would still write.
_LONGEST, _DEEPEST = 88, 3


@dataclass
class Statement:
    """`targets = expression`; without targets, the expression alone. loop: the header of a `for` around it."""

    targets: tuple[Node, ...]
    expression: Expression
    reads: tuple[Node, ...] = ()
    loop: str = ""
    returns: bool = False


@dataclass
class Body:
    """The forward of a region: names of its parameters, how many values it returns, and lines (indentation, text)."""

    parameters: list[str]
    outputs: int
    lines: list[tuple[int, Piece]] = field(default_factory=list)


def write_body(
    region: Region,
    items: list[Instruction],
    access: Access,
    leaves: dict[str, nn.Module],
    memory: Memory,
    skipped: frozenset[str] = frozenset(),
    unadded: bool = False,
) -> Body:
    """`items` are the region's, with loops in them. `access` names layers and tensors.

    Whatever is moved into the expression that uses it, memory is read and written in the graph's own order.
    skipped: paths of modules that are taken to return what they are given. unadded: leave out the addition of an input
    that the region ends in.
    """
    aliases: dict[Node, Node] = {}
    if unadded and (addition := shortcut_added(region)):
        aliases[addition[0]] = addition[1]
        items = [item for item in items if item is not addition[0]]
    for item in items:
        if not isinstance(item, Loop) and path_of(item) in skipped:
            (given,) = mentions(item)
            aliases[outputs_of(item)[0]] = aliases.get(given, given)
    kept = [item for item in items if isinstance(item, Loop) or path_of(item) not in skipped]
    return _BodyWriter(region, kept, access, leaves, memory, aliases).write()


def shortcut_added(region: Region) -> tuple[Node, Node] | None:
    """Where a region ends in adding its input to something: the addition, and the something."""
    last = region.items[-1] if region.items else None
    if not isinstance(last, Node) or region.outputs != [last] or len(region.inputs) != 1:
        return None
    if target_name(last) != "add" or last.kwargs or len(last.args) != 2 or region.inputs[0] not in last.args:
        return None
    others = [a for a in last.args if a is not region.inputs[0]]
    return (last, others[0]) if len(others) == 1 and isinstance(others[0], Node) else None


class _BodyWriter:
    def __init__(
        self,
        region: Region,
        items: list[Instruction],
        access: Access,
        leaves: dict[str, nn.Module],
        memory: Memory,
        aliases: dict[Node, Node],
    ):
        self.region, self.access, self.leaves, self.memory, self.aliases = region, access, leaves, memory, aliases
        self.outputs = [aliases.get(n, n) for n in region.outputs]
        self.items = [item for item in items if self.matters(item)]
        self.inside = {n for item in self.items for n in nodes_of(item)}
        self.home = {n: i for i, item in enumerate(self.items) for n in nodes_of(item)}
        self.uses = self.count_uses()
        self.unpacked = self.find_unpacked()
        self.inline = self.find_inline()
        self.expressions: dict[int, Expression] = {}
        self.statements: dict[int, Statement] = {}
        self.write_node = Writer(self.operand, access, leaves, _attends(self.inside))

    def mentions(self, item: Instruction) -> Iterator[Node]:
        return (self.aliases.get(value, value) for value in mentions(item))

    def matters(self, item: Instruction) -> bool:
        """Whether anyone uses the item's value, or it writes to memory."""
        used = any(n.users for n in outputs_of(item)) if not isinstance(item, Region) else bool(item.outputs)
        return used or any(writes(n, self.leaves) for n in nodes_of(item))

    # -- what may be written in place ------------------------------------------------------------------------

    def count_uses(self) -> dict[Node, int]:
        """How often each value is named, the return statement included."""
        uses = dict.fromkeys([*self.region.inputs, *self.inside], 0)
        for item in self.items:
            for value in self.mentions(item):
                uses[value] = uses.get(value, 0) + 1
        for value in self.outputs:
            uses[value] += 1
        return uses

    def find_unpacked(self) -> dict[int, tuple[Node, ...]]:
        """Items that give a tuple which is taken apart completely: `q, k, v = qkv.unbind(0)`."""
        found: dict[int, tuple[Node, ...]] = {}
        for i, item in enumerate(self.items):
            if not isinstance(item, Node):
                continue
            length = tuple_length(item) or parts_of(item)
            picked = [u for u in item.users if u.target is operator.getitem and u in self.inside]
            parts = {u.args[1]: u for u in picked if isinstance(u.args[1], int)}
            if length and len(item.users) == len(parts) == length and set(parts) == set(range(length)):
                found[i] = tuple(parts[k] for k in range(length))
        return found

    def find_inline(self) -> set[int]:
        """Items whose value is named once, by another item, and may as well be computed there."""
        taken_apart = {n for parts in self.unpacked.values() for n in parts}
        consumer = self.consumers()
        inline: set[int] = set()
        for i in reversed(range(len(self.items))):
            item = self.items[i]
            outputs = outputs_of(item)
            if i in self.unpacked or item in taken_apart or isinstance(item, Loop) or len(outputs) != 1:
                continue
            if self.uses[outputs[0]] != 1 or outputs[0] not in consumer:
                continue
            path = [consumer[outputs[0]]]  # the expressions it would stand in, up to the one that is a statement
            while path[-1] in inline:
                path.append(consumer[outputs_of(self.items[path[-1]])[0]])
            passed = [self.items[j] for j in range(i + 1, path[-1]) if j not in path]
            if not isinstance(self.items[path[0]], Loop) and not any(self.conflict(item, other) for other in passed):
                inline.add(i)
        return inline

    def consumers(self) -> dict[Node, int]:
        found: dict[Node, int] = {}
        for i, item in enumerate(self.items):
            for value in self.mentions(item):
                found[value] = i
        return found

    def conflict(self, a: Instruction, b: Instruction) -> bool:
        """Whether `a` and `b` may not change places: one writes to memory that the other reads or writes."""
        roots = self.memory.root
        touched = [{roots[v] for n in nodes_of(x) for v in (n, *needed(n)) if v in roots} for x in (a, b)]
        written = [{roots[n] for n in nodes_of(x) if writes(n, self.leaves)} for x in (a, b)]
        return bool(written[0] & touched[1] or written[1] & touched[0])

    # -- statements ------------------------------------------------------------------------------------------

    def write(self) -> Body:
        for i, item in enumerate(self.items):
            if any(item in parts for parts in self.unpacked.values()):
                continue
            expression = self.express(i, item)
            if i in self.inline:
                self.expressions[i] = expression
            else:
                self.state(i, expression)
        ordered = [self.statements[i] for i in sorted(self.statements)]
        return self.name(self.finish(ordered))

    def express(self, i: int, item: Instruction) -> Expression:
        """The item's expression; operands that make it too long or too deep are given names instead."""
        while True:
            expression = self.write_node(item) if isinstance(item, Node) else self.call(item)
            if i in self.unpacked and tuple_length(item) is None:  # type: ignore[arg-type]
                expression = self.write_node.on(expression, "unbind", [0], {})
            operands = [j for j in map(self.home.get, self.mentions(item)) if j is not None and j in self.inline]
            operands = [j for j in operands if j in self.expressions]
            long = [j for j in operands if self.reads_badly(item, j)]
            if _is_stage(item):
                long = [j for j in operands if self.expressions[j].depth]
                expression = replace(expression, depth=_DEEPEST)
            longest = _LONGEST if expression.depth > 1 else _LONGEST + 16
            if not operands or (len(expression) <= longest and expression.depth <= _DEEPEST and not long):
                return expression
            if not isinstance(item, Region | Loop) and target_name(item) in ("cat", "stack"):
                called = [j for j in operands if self.expressions[j].depth]
                for j in called:  # all or none
                    self.inline.discard(j)
                    self.state(j, self.expressions.pop(j))
                if called:
                    continue
            largest = max(long or operands, key=lambda j: (self.expressions[j].depth, len(self.expressions[j])))
            self.inline.discard(largest)
            self.state(largest, self.expressions.pop(largest))

    def reads_badly(self, item: Instruction, j: int) -> bool:
        """Whether an operand is a chain of methods in the midst of a call, or a formula that a method is called on."""
        expression = self.expressions[j]
        if isinstance(item, Node) and item.args[:1] == outputs_of(self.items[j]) and reads_as_method(item):
            return expression.is_formula and len(expression) > _LONGEST // 3
        return expression.links > 1

    def state(self, i: int, expression: Expression) -> None:
        item = self.items[i]
        outputs = self.unpacked.get(i) or tuple(n for n in outputs_of(item) if self.uses.get(n, 0))
        self.statements[i] = Statement(outputs, expression, tuple(_read(expression)))
        if isinstance(item, Loop):
            self.statements[i].loop = item.header

    def operand(self, node: Node) -> Expression:
        node = self.aliases.get(node, node)
        if node.op == "get_attr" and node not in self.region.inputs:
            return Expression((self.access(str(node.target)),))
        if is_inline(node) and node.op != "get_attr":
            return self.write_node(node)
        i = self.home.get(node)
        if i is not None and i in self.inline and i in self.expressions and node in outputs_of(self.items[i]):
            return self.expressions[i]
        return Expression((Ref(node),))

    def call(self, item: Region | Loop) -> Expression:
        if isinstance(item, Loop):
            return self.write_node.call(item.variable, list(self.mentions(item)), {}, "")
        return self.write_node.call(self.access(item.path), list(self.mentions(item)), {}, "")

    def finish(self, statements: list[Statement]) -> list[Statement]:
        """The last statement returns what it computes, where that is what the region gives."""
        outputs = tuple(self.outputs)
        last = statements[-1] if statements else None
        if outputs and last and last.targets == outputs and not last.loop and all(self.uses[n] == 1 for n in outputs):
            statements[-1] = replace(last, returns=True)
        elif outputs:
            names = Expression(tuple(part for n in outputs for part in (", ", Ref(n)))[1:])
            statements.append(Statement((), names, outputs, returns=True))
        return statements

    # -- names -----------------------------------------------------------------------------------------------

    def name(self, statements: list[Statement]) -> Body:
        last: dict[Node, int] = {}
        for s, statement in enumerate(statements):
            for node in (*statement.reads, *statement.targets):
                last[node] = s
        names: dict[Node, str] = {}
        for k, node in enumerate(self.region.inputs):
            wish = path_name(str(node.target)) if node.op == "get_attr" else "x" if k == 0 else _hint(node)
            names[node] = fresh(wish, set(names.values()))
        body = Body([names[n] for n in self.region.inputs], len(self.region.outputs))
        for s, statement in enumerate(statements):
            joins = s + 1 < len(statements) and len(statements[s + 1].reads) > 2
            self.name_targets(statement, s, last, names, joins)
            body.lines += _lines(statement, names)
        return body

    def name_targets(
        self, statement: Statement, s: int, last: dict[Node, int], names: dict[Node, str], joins: bool
    ) -> None:
        if statement.returns:
            return
        dying = [n for n in statement.reads if last[n] == s and n in names and n.op != "get_attr"]
        alive = {name for n, name in names.items() if last.get(n, -1) > s}
        if len(statement.targets) == 1:
            (target,) = statement.targets
            wish = self.wish(target, statement, s, last, joins)
            free = [names[n] for n in dying if names[n] not in alive]
            reused = free[0] if free and (wish == "x" or not joins) else None
            goes_on = _continues(statement.expression, [n for n in dying if names[n] == reused])
            names[target] = reused if reused and (reused in NAMELESS or goes_on) else fresh(wish, alive)
            return
        wishes = "qkv"[-len(statement.targets) :] if len(statement.targets) < 4 and self.is_attention(statement) else ""
        for k, target in enumerate(statement.targets):
            names[target] = fresh(wishes[k] if wishes else f"x{k + 1}", alive)
            alive = alive | {names[target]}

    def wish(self, target: Node, statement: Statement, s: int, last: dict[Node, int], joins: bool) -> str:
        """A name that says what the value is, where it is kept for a while; else one of the nameless."""
        if not statement.reads:
            named = [p for p in statement.expression.parts if isinstance(p, str) and "self." in p]
            word = named[0].rpartition(".")[2].strip("[(") if named else "x"
            short = re.sub(r"_(table|weight|embedding)$", "", word)
            return (short if len(short) < 16 else short.rpartition("_")[2]) if is_name(short) else "x"
        if self.uses[target] == 1 and last.get(target) == s + 1 and not joins:
            return "x"
        item = self.items[self.home[target]]
        return _hint(target, "" if isinstance(item, Loop) else path_of(item))

    def is_attention(self, statement: Statement) -> bool:
        text = "".join(p for p in statement.expression.parts if isinstance(p, str))
        if len(statement.targets) == 2:
            return "kv(" in text
        return "qkv" in text or "ttention" in self.region.kind or "attn" in self.region.path


def _continues(expression: Expression, values: list[Node]) -> bool:
    """Whether the expression is one of the values with methods called on it: it may go on under that name."""
    first, rest = expression.parts[0], expression.parts[1:2]
    return not expression.is_formula and any(first == Ref(n) for n in values) and str(*rest).startswith(".")


def _is_stage(item: Instruction) -> bool:
    """Whether the item is a call of a module of modules: that has a line of its own."""
    return isinstance(item, Region) and any(isinstance(inner, Region) for inner in item.items)


def _attends(nodes: set[Node]) -> bool:
    return any(target_name(n) in ("softmax", "scaled_dot_product_attention") for n in nodes)


def _lines(statement: Statement, names: dict[Node, str]) -> Iterator[tuple[int, Piece]]:
    text = tuple(names[p.node] if isinstance(p, Ref) else p for p in statement.expression.parts)
    if statement.returns:
        yield 0, Text(("return ", *text))
        return
    targets = ", ".join(names[n] for n in statement.targets)
    assigned = Text((f"{targets} = ", *text)) if targets else Text(text)
    if statement.loop:
        source = names[statement.reads[0]]
        if targets != source:
            yield 0, Text((f"{targets} = {source}",))
            assigned = Text(tuple(targets if part == source else part for part in assigned.parts))
        yield 0, Text((statement.loop + ":",))
        yield 1, assigned
    else:
        yield 0, assigned


def _read(expression: Expression) -> Iterator[Node]:
    yield from dict.fromkeys(p.node for p in expression.parts if isinstance(p, Ref))


_SAYS_NOTHING = re.compile(
    r"(conv|bn|norm|act|activation|relu|fc|linear|ln|layer|block|features|proj|drop|pool|\w)\w?\d*(_\d+)*"
)


def _hint(node: Node, called: str = "") -> str:
    """What a person would call the value. called: the path of the module that gives it."""
    if called:
        stem = path_name(called)
        return "x" if _SAYS_NOTHING.fullmatch(stem) else stem
    return {"softmax": "weights", "mean": "mean"}.get(target_name(node), "x")
