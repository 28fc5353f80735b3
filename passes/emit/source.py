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
def load(folder: str | Path = Path(__file__).parent) -> nn.Module:
    """The network with its trained weights, in eval mode."""
    data = bytearray(Path(folder, "model.safetensors").read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")  # the header's length, the header, the tensors
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    weights = {{}}
    for name, info in header.items():
        begin, end = info["data_offsets"]
        flat = torch.frombuffer(data[start + begin : start + end], dtype={dtype})
        weights[name] = flat.reshape(info["shape"])
{tied}    model = Stitched()
    model.load_state_dict(weights)
    return model.eval()
'''


def write_source(head: str, classes: list[ClassDef], dtypes: dict[str, str], tied: dict[str, str]) -> str:
    """head: the module's docstring. dtypes: safetensors names of the dtypes that occur, and torch's.

    tied: keys of parameters that share the memory of another, and the key of that one.
    """
    body: list[str] = []
    for made in classes:
        body += ["", "", *_class(made)]
    text = "\n".join(body)
    if "DropPath(" in text:
        text = f"\n\n{inspect.getsource(DropPath)}{text}"
    imports = ["import json", *(["from collections import OrderedDict"] if "OrderedDict(" in text else [])]
    imports += ["from pathlib import Path", "", "import torch"]
    imports += ["import torch.nn.functional as F"] if " F." in text or "(F." in text else []
    imports += ["from torch import Tensor, nn"]
    alone = next(iter(dtypes.values())) if len(dtypes) == 1 else ""
    entries = ", ".join(f"{quoted(name)}: {dtype}" for name, dtype in sorted(dtypes.items()))
    load = _LOAD.format(
        table="" if alone else f"\nDTYPES = {{{entries}}}\n\n",
        dtype=alone or 'DTYPES[info["dtype"]]',
        tied="".join(f"    weights[{quoted(here)}] = weights[{quoted(there)}]\n" for here, there in tied.items()),
    )
    return f'"""{docstring(head)}"""\n\n' + "\n".join(imports) + "\n" + text + "\n\n" + load


def _class(made: ClassDef) -> list[str]:
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
