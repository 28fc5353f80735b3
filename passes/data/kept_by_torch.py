"""What torch keeps of every graph until the process ends. In one that compiles for days it is most of what piles up:

- the source text of each graph module that was ever compiled, for tracebacks;
- what operators gave for tensors without numbers, and what was concluded of sizes, in caches of classes;
- each program ever exported: its sizes hold its inputs, and these its sizes, by a way that Python's collector of
  garbage does not see.
"""

from __future__ import annotations

import linecache
import sys
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch.fx.graph_module
from torch.fx import GraphModule


def texts() -> frozenset[str]:
    """The names of the source texts that are kept now. A name is that of a file in tracebacks: `<eval_with_key>.12`."""
    return frozenset(_texts())


def forget(before: frozenset[str], living: Iterable[GraphModule]) -> None:
    """Drops the texts that were added since they were `before`, those of `living` graphs when these die, and the
    caches. A traceback through any other graph that still lives shows no lines of it."""
    needed = {_name(graph): graph for graph in living}
    for name, graph in needed.items():
        weakref.finalize(graph, _forget_text, name)
    for name in texts() - before - needed.keys():
        _forget_text(name)
    linecache.checkcache()  # of generated files that have been moved since
    _forget_sizes()


def _forget_text(name: str) -> None:
    _texts().pop(name, None)
    linecache.cache.pop(name, None)


def _texts() -> dict[str, str]:
    # torch has no public name for it: where it is elsewhere in another version, nothing is dropped.
    return getattr(getattr(torch.fx.graph_module, "_loader", None), "eval_cache", {})


def _name(graph: GraphModule) -> str:
    code = getattr(type(graph).forward, "__code__", None)
    return code.co_filename if code is not None else ""


def _forget_sizes() -> None:
    """torch clears these caches never, or when the next program has as many facts. Where the modules were not imported
    there is nothing in them."""
    fake, symbolic = (
        sys.modules.get(f"torch.{name}") for name in ("_subclasses.fake_tensor", "fx.experimental.symbolic_shapes")
    )
    caches = [fake.FakeTensorMode] if fake is not None else []
    caches += vars(symbolic.ShapeEnv).values() if symbolic is not None else []
    for cache in caches:
        if callable(clear := getattr(cache, "cache_clear", None)):
            clear()


@contextmanager
def mortal_exports() -> Iterator[None]:
    """Programs that are exported while this is entered go when nobody needs them any more. When it is left, all must be
    done with them that asks for the sizes of their inputs, such as `run_decompositions`."""
    from torch.fx.experimental.symbolic_shapes import ShapeEnv

    made: list[weakref.ref[ShapeEnv]] = []
    make = ShapeEnv.__init__

    def noting(self: ShapeEnv, *args: Any, **options: Any) -> None:
        made.append(weakref.ref(self))
        make(self, *args, **options)

    ShapeEnv.__init__ = noting  # type: ignore[method-assign]
    try:
        yield
    finally:
        ShapeEnv.__init__ = make  # type: ignore[method-assign]
        for sizes in filter(None, (one() for one in made)):
            sizes.tracked_fakes = None
            getattr(sizes, "fake_tensor_cache", {}).clear()
