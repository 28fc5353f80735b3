"""Dropout and stochastic depth layers, restored from what tracing noted."""

from __future__ import annotations

from .program import Program


def restore_drops(program: Program) -> None:
    """A call of a dropout layer behind every value that the model hands on through one. All who read the value came
    after that call in the model too."""
    for node in list(program.graph.nodes):
        value = node
        for drop in node.meta.pop("drops", ()):
            if drop.path in program.leaves:  # called more than once: the note of the first call stands for all
                continue
            program.leaves[drop.path] = drop.layer()
            with program.graph.inserting_after(value):
                call = program.graph.call_module(drop.path, (value,))
            call.meta = {key: node.meta[key] for key in ("shape", "dtype") if key in node.meta}
            call.meta["scopes"] = drop.scopes
            value.replace_all_uses_with(call, delete_user_cb=lambda user, call=call: user is not call)
            value = call
