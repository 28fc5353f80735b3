"""The text of `model.py`: its head, one class after the other, and the function that loads the weights."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from ..data.printable import docstring, quoted
from ..graphs.drops import DropPath
from .definition import ClassDef
from .text import Bracketed, Hole, lay_out

_LOAD = '''{table}
def load(folder: str | Path = Path(__file__).parent) -> {kind}:
    """{document}"""
    data = bytearray(Path(folder, "model.safetensors").read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")  # the header's length, the header, the tensors
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    weights = {{}}
    for name, info in header.items():
        begin, end = info["data_offsets"]
        flat = torch.frombuffer(data[start + begin : start + end], dtype={dtype})
        weights[name] = flat.reshape(info["shape"])
'''

_STITCHED = """\
    model = Stitched()
    model.load_state_dict(weights)
    return model.eval()
"""


def write_source(head: str, classes: list[ClassDef], dtypes: dict[str, str], tied: dict[str, str]) -> str:
    """head: the module's docstring. dtypes: safetensors names of the dtypes that occur, and torch's.

    tied: keys of parameters that share the memory of another, and the key of that one.
    """
    load = load_function("nn.Module", "The network with its trained weights, in eval mode.", dtypes)
    load += "".join(f"    weights[{quoted(here)}] = weights[{quoted(there)}]\n" for here, there in tied.items())
    return whole_source(head, [class_lines(made) for made in classes], load + _STITCHED)


def whole_source(head: str, classes: list[list[str]], load: str, more_imports: tuple[str, ...] = ()) -> str:
    """The text of a file. classes: the lines of each. load: its last function. more_imports: lines for what the classes
    need beside torch."""
    text = "\n".join(line for lines in classes for line in ("", "", *lines))
    if "DropPath(" in text:
        text = f"\n\n{inspect.getsource(DropPath)}{text}"
    ordered = ["from collections import OrderedDict"] if "OrderedDict(" in text else []
    imports = ["import json", *sorted([*ordered, *more_imports, "from pathlib import Path"]), "", "import torch"]
    imports += ["import torch.nn.functional as F"] if " F." in text or "(F." in text else []
    imports += ["from torch import Tensor, nn"]
    return f'"""{docstring(head)}"""\n\n' + "\n".join(imports) + "\n" + text + "\n\n" + load


def load_function(kind: str, document: str, dtypes: dict[str, str]) -> str:
    """The beginning of `load`, up to where all tensors of the file are in `weights` by their names."""
    alone = next(iter(dtypes.values())) if len(dtypes) == 1 else ""
    entries = ", ".join(f"{quoted(name)}: {dtype}" for name, dtype in sorted(dtypes.items()))
    table = "" if alone else f"\nDTYPES = {{{entries}}}\n\n"
    return _LOAD.format(kind=kind, document=document, table=table, dtype=alone or 'DTYPES[info["dtype"]]')


def class_lines(made: ClassDef) -> list[str]:
    """The lines of a class, from its head to the end of its `forward`."""
    fills = iter(made.fills)
    lines = [f"class {made.name}({made.base}):"]
    if made.document:
        lines += [f'    """{docstring(made.document)}"""', ""]
    if len(made.setup) > 1 or made.parameters or made.base != "nn.Module":
        lines += _constructor(made, fills)
    if made.body is None:
        return lines
    if len(lines) > 1 and lines[-1]:
        lines.append("")

    def in_forward(hole: Hole) -> str:
        text = next(fills)
        for name in made.stored:
            text = _with_self(text, name)
        return text

    arguments = ", ".join(["self", *(f"{name}: Tensor" for name in made.body.parameters)])
    lines += [f"    def forward({arguments}) -> {_returned(made)}:"]
    for depth, piece in made.body.lines:
        lines += lay_out("", piece, 8 + 4 * depth, in_forward)
    return lines


def _constructor(made: ClassDef, fills: Iterator[str]) -> list[str]:
    parameters = Bracketed("def __init__(", ("self", *map(str, made.parameters)), "):")
    lines = lay_out("", parameters, 4, lambda hole: "")

    def in_setup(hole: Hole) -> str:
        return next(fills)

    stored = [f"        self.{name} = {name}" for name in made.stored]
    for i, line in enumerate(made.setup):
        if line.flag:
            lines += [f"        {line.before}nn.Identity()", f"        if {line.flag}:"]
        lines += lay_out(line.before, line.piece, 12 if line.flag else 8, in_setup, line.after)
        if i == 0:
            lines += stored
    return lines


def _with_self(text: str, name: str) -> str:
    return re.sub(rf"\b{name}\b", f"self.{name}", text)


def _returned(made: ClassDef) -> str:
    assert made.body is not None
    count = made.body.outputs
    return "None" if count == 0 else "Tensor" if count == 1 else f"tuple[{', '.join(['Tensor'] * count)}]"
