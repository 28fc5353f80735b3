"""A chain that is stated by hand, read and priced.

    A:..layer2.1 / B:layer2.0..layer3.1 / conv3x3 / C:layer3.2..

Fragments in their order, each with its model, the cut whose value it starts from and the cut whose value it ends with;
left out where it is the model's own end. A model is named by its letter (A for the first that was given) or its name, a
cut by its node, its path or its index. Between two fragments an adapter may be named; elsewhere it is left open.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from string import ascii_uppercase

from .. import adapters as registry
from ..cost.chains import price_of
from ..data.candidates import Candidate
from ..data.chain import Chain, Fragment
from ..data.cut_names import find_cut, no_such_cut
from ..data.errors import CutError, unknown
from ..data.plan import Plan
from ..data.values import Price

#: Ways to join the fragments of one chain that are priced at most.
MOST = 4096

_EXAMPLE = "Write it like 'A:..layer2.1 / B:layer2.0..layer3.1 / C:layer3.2..'."


def stated(plan: Plan, chain: Chain | str, adapter: str = "auto") -> tuple[Candidate, ...]:
    """A stated chain, once for each way to join its fragments, the most expensive first. The plan needs cuts and parts.

    adapter: for the seams that name none; "auto" for all that it stands for and that can join the two values.

    Raises:
        CutError: text that describes no chain, a model or a cut that there is not, or values that cannot be joined.
    """
    if isinstance(chain, Chain):
        ways: list[tuple[str, ...]] = [(words,) for words in chain.adapters]
        fragments: Sequence[Fragment] = chain.fragments
    else:
        fragments, named = _read(plan, chain)
        ways = [registry.expand(words or adapter) for words in named]
    open_chain = Chain(tuple(fragments), tuple(names[0] for names in ways))
    able = [_able(plan, seam.leaves, names, seam.enters) for seam, names in zip(open_chain.seams(), ways, strict=True)]
    if math.prod(map(len, able)) > MOST:
        raise CutError(
            f"the fragments can be joined in {math.prod(map(len, able)):,} ways",
            "Name the adapters between them: A:..layer2.1 / conv3x3 / B:layer2.2..",
        )
    chains = [Chain(tuple(fragments), names) for names in product(*able)]
    candidates = [Candidate(one, math.nan, price_of(plan, one), True) for one in chains]
    return tuple(sorted(candidates, key=lambda one: one.price.ordering(), reverse=True))


def words_of(plan: Plan, chain: Chain) -> str:
    """A chain as text that `stated` reads: its models by their letters, cuts by their nodes, every adapter named."""
    said = []
    for part in chain.parts():
        if part.fragment is None:
            said.append(part.adapter or "")
            continue
        model, *ends = part.fragment.model, part.fragment.start, part.fragment.end
        name = ascii_uppercase[model] if model < len(ascii_uppercase) else plan.models[model].name
        said.append(f"{name}:{'..'.join(plan.node_at(model, cut) or '' for cut in ends)}")
    return " / ".join(said)


def _able(plan: Plan, leaves: tuple[int, int], names: Sequence[str], enters: tuple[int, int]) -> list[str]:
    """The adapters that can join two values, without those that repeat a simpler one."""
    front, back = plan.value_at(leaves), plan.value_at(enters)
    kinds = [registry.get(name) for name in names]
    said = {kind.notation: kind.price(front, back) for kind in kinds}
    able = [kind for kind in kinds if isinstance(said[kind.notation], Price)]
    found = [
        kind.notation for kind in able if kind.simplest(front, back) == kind or kind.simplest(front, back) not in able
    ]
    if not found:
        (a, i), (b, j) = leaves, enters
        reasons = "; ".join(f"{name}: {reason}" for name, reason in said.items())
        raise CutError(
            f"'{plan.node_at(a, i)}' of {plan.models[a].name} {front.shape} cannot be joined to "
            f"'{plan.node_at(b, j)}' of {plan.models[b].name} {back.shape}: {reasons}",
            "Choose other cuts, or another adapter.",
        )
    return found


def _read(plan: Plan, text: str) -> tuple[list[Fragment], list[str]]:
    """The fragments, and the adapter at each seam in its notation, "" where none is stated."""
    fragments: list[Fragment] = []
    adapters: list[str] = []
    for word in (part.strip() for part in text.split(" / ") if part.strip()):
        if ".." in word and ":" in word:
            if len(fragments) > len(adapters):
                adapters.append("")
            fragments.append(fragment_of(plan, word))
        elif len(fragments) != len(adapters) + 1:
            raise CutError(f"the adapter '{word}' stands between no two fragments of the chain '{text}'", _EXAMPLE)
        else:
            adapters.append(word)
    if not fragments or len(adapters) != len(fragments) - 1:
        raise CutError(f"'{text}' is no chain of fragments", _EXAMPLE)
    return fragments, adapters


def fragment_of(plan: Plan, word: str) -> Fragment:
    """`MODEL:START..END`. A model's name may hold colons itself: the longest that is known counts.

    Raises:
        CutError: there is no such model, or no such cut; or the word says no fragment.
    """
    known = dict(_names(plan))
    ways = [(word[:at].strip(), word[at + 1 :]) for at, character in enumerate(word) if character == ":"]
    for name, span in reversed(ways):
        if name in known and ".." in span:
            start, _, end = span.partition("..")
            model = known[name]
            return Fragment(model, *(_cut(plan, model, text.strip()) for text in (start, end)))
    if not ways or ".." not in word:
        raise CutError(f"'{word}' is no fragment of a chain", _EXAMPLE)
    raise unknown(ways[0][0], "model of this chain", known, CutError)


def _names(plan: Plan) -> Iterator[tuple[str, int]]:
    for index, model in enumerate(plan.models):
        yield model.name, index
    yield from zip(ascii_uppercase, range(len(plan.models)), strict=False)


def _cut(plan: Plan, model: int, word: str) -> int | None:
    if not word:
        return None
    index = find_cut(plan.cuts[model].cuts, word)
    if index is None:
        raise no_such_cut(plan, word, [model])
    return index
