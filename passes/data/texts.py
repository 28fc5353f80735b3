"""The source texts of graph modules. torch.fx keeps the text of every one that was ever compiled, for tracebacks, until
the process ends: in one that compiles for days they are most of what piles up."""

from __future__ import annotations

import linecache
from collections.abc import Iterable

import torch.fx.graph_module
from torch.fx import GraphModule


def known() -> frozenset[str]:
    """The names of the texts that are kept now. A name is that of the file in a traceback: `<eval_with_key>.12`."""
    return frozenset(_kept())


def forget(before: frozenset[str], living: Iterable[GraphModule]) -> None:
    """Drops the texts that were added since they were `before`, but for those of `living` graphs. A traceback through
    any other graph that still lives shows no lines of it."""
    needed = {_name(graph) for graph in living}
    for name in known() - before - needed:
        _kept().pop(name, None)
        linecache.cache.pop(name, None)


def _kept() -> dict[str, str]:
    # torch has no public name for it: where it is elsewhere in another version, nothing is dropped.
    return getattr(getattr(torch.fx.graph_module, "_loader", None), "eval_cache", {})


def _name(graph: GraphModule) -> str:
    code = getattr(type(graph).forward, "__code__", None)
    return code.co_filename if code is not None else ""
