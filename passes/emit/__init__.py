"""The pass `codegen`: the stitched graph as a Python file that imports torch alone, and its weights beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from ..data.plan import Plan
from ..pipeline import Pass
from .classes import make_classes
from .docstring import describe, parts
from .prepare import prepare
from .regroup import regroup
from .source import write_source
from .weights import tied_keys, write_weights


@dataclass(frozen=True)
class Codegen(Pass):
    """Writes `model.py` and `model.safetensors` into `folder`, which is made if it does not exist.

    `model.py` has a class `Stitched` and a function `load(folder=<its own>)` that returns it in eval mode. The same
    plan gives the same bytes.

    Raises:
        TraceError: the graph holds a layer or a function that torch alone cannot make.
    """

    name: ClassVar[str] = "codegen"
    requires: ClassVar[tuple[str, ...]] = ("hybrids",)
    ensures: ClassVar[tuple[str, ...]] = ("folder",)

    folder: Path

    def run(self, plan: Plan) -> Plan:
        folder = Path(self.folder)
        described = {name: _sentence(name, text) for name, text in parts(plan).items()}
        program = prepare(plan.hybrid.network)
        classes = make_classes(program, regroup(program))
        for made in classes:
            if made.paths[0] in described and len(made.paths) == 1:
                made.document = f"{described[made.paths[0]]}."
        state = program.state_dict()
        folder.mkdir(parents=True, exist_ok=True)
        dtypes = write_weights(state, folder / "model.safetensors")
        text = write_source(describe(plan), classes, dtypes, tied_keys(state))
        (folder / "model.py").write_text(text, encoding="utf-8")
        return replace(plan, folder=folder)


def _sentence(name: str, text: str) -> str:
    return f"The adapter: {text}" if name.rpartition(".")[2].startswith("adapter") else text
