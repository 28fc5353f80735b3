"""From a traced graph to the program that is written down, and priced."""

from __future__ import annotations

from torch.fx import GraphModule

from .batch import localise
from .constants import fold_constants, place_constants
from .drops import restore_drops
from .program import Program
from .simplify import drop_identities, drop_writes, nest_concatenations, restore_layers


def prepare(graph_module: GraphModule) -> Program:
    """The program of a graph, rewritten so that it reads well: what does nothing dropped, layers for their parts."""
    program = Program.of(graph_module)
    restore_drops(program)
    drop_identities(program)
    fold_constants(program)
    restore_layers(program)
    nest_concatenations(program)
    drop_writes(program)
    localise(program)
    place_constants(program)
    return program
