"""What instances of one class differ in becomes its constructor's parameters: anti-unification of their literals."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from .names import fresh
from .text import ANY, Code, Hole, literal

# Hints of literals that count channels, from torch's own argument names and from ours.
_INPUT_HINTS = frozenset({"in_channels", "in_features", "in_dim"})
_OUTPUT_HINTS = frozenset({"out_channels", "out_features", "out_dim"})
_DIM_HINTS = frozenset({"in_features", "out_features", "normalized_shape", "embed_dim", "dim", "in_dim", "out_dim"})
_MAP_HINTS = frozenset({"in_channels", "out_channels", "num_features", "num_channels"})
_CHANNEL_HINTS = _INPUT_HINTS | _OUTPUT_HINTS | _DIM_HINTS | _MAP_HINTS | {"channels", "width", "hidden_dim"}
_SPOKEN = {"num_heads": "heads", "num_groups": "groups", "normalized_shape": "dim"}
# A quantity that torch's own layers are given; not said in terms of others.
_INDEPENDENT = frozenset({"stride", "kernel_size", "dilation", "num_heads", "depth", "eps", "shifts"})


@dataclass(frozen=True)
class Parameter:
    """A constructor parameter; default is `...` where it has none."""

    name: str
    default: Any = ...
    kind: str = ""

    def __str__(self) -> str:
        typed = f"{self.name}: {self.kind}" if self.kind else self.name
        return typed if self.default is ... else f"{typed} = {literal(self.default)}"


@dataclass(frozen=True)
class Unified:
    """fills: for each hole its text, in terms of the parameters. arguments: for each instance, a value a parameter."""

    parameters: tuple[Parameter, ...]
    fills: tuple[str, ...]
    arguments: tuple[tuple[Any, ...], ...]
    used: tuple[tuple[str, ...], ...]  # for each hole, the parameters in its text


def unify(instances: list[list[Hole]], taken: set[str]) -> Unified:
    """One parameter for every set of holes that vary together; those that are multiples of another need none.

    `instances` have holes in the same order. `taken`: names that no parameter may have.
    """
    columns = _settle(list(zip(*instances, strict=True)))
    keys = [tuple(_key(h.value) for h in column) for column in columns]
    varying = [key for key in dict.fromkeys(keys) if len(set(key)) > 1]
    groups = {key: [i for i, k in enumerate(keys) if k == key] for key in varying}
    # Channels first, then sizes: most other numbers can be said in terms of them.
    groups = dict(sorted(groups.items(), key=lambda group: _rank(group[1], columns)))
    channels = [key for key, column in zip(keys, columns, strict=True) if column[0].hint in _CHANNEL_HINTS]
    expressions: dict[tuple[Any, ...], tuple[str, tuple[str, ...]]] = {}
    parameters: list[tuple[Parameter, tuple[Any, ...]]] = []
    for key, places in groups.items():
        values = tuple(h.value for h in columns[places[0]])
        derived = _derive(values, places, columns, parameters)
        if derived:
            expressions[key] = derived
            continue
        wish = _wish(key, places, columns, channels)
        name = fresh(wish, taken | {p.name for p, _ in parameters})
        defaults = {_key(columns[i][0].default) for i in places}
        default = columns[places[0]][0].default if len(defaults) == 1 else ...
        parameters.append((Parameter(name, default, _kind(values)), values))
        expressions[key] = (name, (name,))
    fills, used = [], []
    for key, column in zip(keys, columns, strict=True):
        text, names = expressions.get(key, (literal(column[0].value), ()))
        fills.append(text)
        used.append(names)
    parameters.sort(key=lambda p: p[0].default is not ...)
    arguments = tuple(tuple(values[i] for _, values in parameters) for i in range(len(instances)))
    return Unified(tuple(p for p, _ in parameters), tuple(fills), arguments, tuple(used))


def _settle(columns: list[tuple[Hole, ...]]) -> list[tuple[Hole, ...]]:
    """Fill in what an instance leaves open, like a column that agrees wherever both are said, if there is one."""
    whole = [column for column in columns if all(h.value is not ANY for h in column)]
    settled = []
    for column in columns:
        if all(h.value is not ANY for h in column):
            settled.append(column)
            continue
        said = next(h for h in column if h.value is not ANY)
        constant = len({_key(h.value) for h in column if h.value is not ANY}) == 1
        channels = said.hint in _CHANNEL_HINTS
        like = [w for w in whole if _agree(column, w) and channels == (w[0].hint in _CHANNEL_HINTS)]
        like.sort(key=lambda w: w[0].hint != said.hint)
        if like and (not constant or channels or like[0][0].hint == said.hint):
            values = [h.value for h in like[0]]
        else:
            values = [said.value if h.value is ANY else h.value for h in column]
        settled.append(tuple(replace(said, value=value) for value in values))
    return settled


def _agree(column: tuple[Hole, ...], other: tuple[Hole, ...]) -> bool:
    return all(a.value is ANY or _key(a.value) == _key(b.value) for a, b in zip(column, other, strict=True))


def _rank(places: list[int], columns: list[tuple[Hole, ...]]) -> int:
    if _is_channels(places, columns):
        return 0
    hints = _hints(places, columns)
    return 1 if "size" in hints and "extent" not in hints else 2


def _kind(values: tuple[Any, ...]) -> str:
    """The annotation that fits all values; none where only a long one would."""
    kinds = {"nn.Module" if isinstance(v, Code) else type(v).__name__ for v in values}
    if kinds <= {"tuple", "int"} and "tuple" in kinds:
        return "int | tuple[int, ...]" if "int" in kinds else "tuple[int, ...]"
    return kinds.pop() if len(kinds) == 1 else ""


def _key(value: Any) -> Any:
    return ("...",) if value is ... else (type(value).__name__, literal(value))


def _hints(places: list[int], columns: list[tuple[Hole, ...]]) -> list[str]:
    return [columns[i][0].hint for i in places]


def _is_channels(places: list[int], columns: list[tuple[Hole, ...]]) -> bool:
    return any(hint in _CHANNEL_HINTS for hint in _hints(places, columns))


def _derive(
    values: tuple[Any, ...],
    places: list[int],
    columns: list[tuple[Hole, ...]],
    parameters: list[tuple[Parameter, tuple[Any, ...]]],
) -> tuple[str, tuple[str, ...]] | None:
    """`4 * dim` or `channels // 2`, where that holds for every instance."""
    hints = set(_hints(places, columns))
    if not all(type(v) is int and v >= 0 for v in values) or hints & _INDEPENDENT:
        return None
    for parameter, given in parameters:
        if all(type(v) is int and v > 0 for v in given):
            text = _in_terms_of(parameter.name, list(zip(values, given, strict=True)), hints)
            if text:
                return text, (parameter.name,)
    return None


def _in_terms_of(name: str, pairs: list[tuple[int, int]], hints: set[str]) -> str | None:
    """How a number is computed from the parameter `name`; pairs: (number, parameter) of every instance."""
    value, given = pairs[0]
    factor, divisor = value // given, given // value if value else 0
    multiple = 2 <= factor <= 64 and all(v == factor * g for v, g in pairs)
    if any(word in name for word in ("channels", "dim", "width")) and not hints & {"padding", "stride"}:
        if multiple and factor <= 16:
            return f"{factor} * {name}"
        least = 16 if "heads" in hints else 2
        return f"{name} // {divisor}" if least <= divisor <= 64 and all(v * divisor == g for v, g in pairs) else None
    if name.startswith("size") and hints <= {"size", "extent", "index"}:
        if multiple:
            return f"{factor} * {name}"
        return f"{name}**2" if all(v == g * g for v, g in pairs) else None
    same_padding = name.startswith("kernel_size") and hints == {"padding"} and all(v == g // 2 for v, g in pairs)
    return f"{name} // 2" if same_padding else None


def _wish(key: Any, places: list[int], columns: list[tuple[Hole, ...]], channels: list[Any]) -> str:
    """What a parameter is called. channels: the values of all holes that count channels, in order."""
    hints = _hints(places, columns)
    if isinstance(columns[places[0]][0].value, Code):
        return hints[0]
    if not any(hint in _CHANNEL_HINTS for hint in hints):
        common = Counter(hints).most_common(1)[0][0]
        return _SPOKEN.get(common, common)
    every = [h.hint for column in columns for h in column[:1]]
    noun = "channels" if any(h in _MAP_HINTS for h in every) else "dim"
    first, last = channels[0] == key, channels[-1] == key
    if first and (last or len({k for k in channels if len(set(k)) > 1}) == 1):
        return noun
    if first:
        return f"in_{noun}"
    if last:
        return f"out_{noun}"
    return "width" if noun == "channels" else "hidden_dim"
