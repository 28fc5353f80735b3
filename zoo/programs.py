"""Files of torch.export.save, held to be data before torch reads them.

torch itself warns never to load one from an untrusted source: it may hold pickles, texts that are evaluated as Python
(`expr_str` by sympy, `guards_code` by exec), names of any function below the module `torch`, and native code. What
networks need of that is little: operators, and arithmetic on sizes. All else is refused unless the file is trusted,
and what is handed to torch is an archive made anew of the members that were looked at.
"""

from __future__ import annotations

import ast
import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stitchc.passes.data.errors import BadCheckpoint, UnsafeCheckpoint

from . import foreign, pickled, zips

_MOST_JSON_BYTES = 64 * 2**20
_MOST_DEPTH = 200
_MEMBERS = re.compile(
    r"[^/]+/(archive_format|archive_version|byteorder|version|\.data/\w+|\.format_version|\.storage_alignment"
    r"|models/\w+\.json|data/weights/\w+(\.json)?|data/constants/\w+(\.json)?|data/sample_inputs/\w+\.pt)"
)
_EXTRA = re.compile(r"[^/]+/extra/.*")
#: Operators of torch's own libraries: arithmetic on tensors. `from_file` reads a file.
_OPERATORS = re.compile(
    r"torch\.ops\.(aten|prims|prim|torchvision|_c10d_functional)\.(?!from_file|_?print|_?assert_async\b|_dir\b)"
    r"(?!__(?!i?(and|or|xor|lshift|rshift)__))\w+(\.(?!_)\w+)?"  # no attribute that Python has of every object
    r"|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast|cond|scan|map_impl|while_loop)"
    r"|_operator\.(add|sub|mul|floordiv|truediv|mod|neg|pos|pow|abs|eq|ne|lt|le|gt|ge|and_|or_|xor|not_|invert|getitem)"
    r"|math\.(floor|ceil|trunc|sqrt|pow)|torch\.sym_\w+|torch\._sym_\w+|torch\.ops\.aten\._assert_\w+(\.\w+)?"
)
_TREES = {"builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict", "collections.namedtuple", None}
_FUNCTIONS = {
    "Symbol", "Integer", "Rational", "Float", "Add", "Mul", "Pow", "Max", "Min", "Mod", "PythonMod", "FloorDiv",
    "CleanDiv", "CeilDiv", "ModularIndexing", "Where", "Identity", "CeilToInt", "FloorToInt", "TruncToInt",
    "TruncToFloat", "RoundToInt", "RoundDecimal", "ToFloat", "IntTrueDiv", "FloatTrueDiv", "PowByNatural", "FloatPow",
    "LShift", "RShift", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "Equality", "Unequality", "StrictLessThan", "LessThan",
    "StrictGreaterThan", "GreaterThan", "And", "Or", "Not", "true", "false", "True", "False", "oo", "int_oo",
}  # fmt: skip
_POWERS = {"Pow", "PowByNatural", "FloatPow", "LShift"}
_OF_TENSORS = {"size", "stride", "storage_offset", "dim", "numel"}
_NAME = re.compile(r"[\w.<>-]{0,1000}")  # torch writes names into code as they are, and runs it
_SYMBOL = re.compile(r"[a-z]{1,3}\d{1,6}")
_MOST_TEXT = 100_000
_MOST_NUMBER = 2**63

_Nodes = (
    ast.Expression, ast.Compare, ast.BoolOp, ast.UnaryOp, ast.BinOp, ast.Call, ast.keyword, ast.Name, ast.Constant,
    ast.Subscript, ast.Attribute, ast.Load, ast.operator, ast.unaryop, ast.boolop, ast.cmpop,
)  # fmt: skip


def checked(path: Path) -> io.BytesIO:
    """The program in `path` as an archive that is data alone.

    Raises:
        BadCheckpoint: it is damaged, or no such archive. UnsafeCheckpoint: it holds what only a trusted file may.
    """
    try:
        with zips.opened(path) as archive:
            pickled.check_zip(path, archive)
            members = {name: archive.read(name) for name in archive.namelist() if not _EXTRA.fullmatch(name)}
    except (zipfile.BadZipFile, OSError, EOFError) as error:
        raise pickled.unreadable(path, error) from error
    for name, content in members.items():
        if not _MEMBERS.fullmatch(name):
            raise _refused(path, f"the member {name}, which is none of a program's graph and weights")
        if name.endswith(".json"):
            _check_json(path, name, content)
        elif "/sample_inputs/" in name and content:
            _check_pickle(path, name, content)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    made.seek(0)
    return made


def _check_json(path: Path, name: str, content: bytes) -> None:
    try:
        document = foreign.json_of(content, most_bytes=_MOST_JSON_BYTES, most_depth=_MOST_DEPTH)
    except foreign.Fault as error:
        raise BadCheckpoint(f"{path}, {name}: {error}", "Write it again with torch.export.save.") from error
    for key, value in _entries(document):
        if not _NAME.fullmatch(key):
            raise _refused(path, f"the name {key[:60]!r} in {name}")
        if reason := _fault(key, value):
            raise _refused(path, f"{reason} in {name}")


def _check_pickle(path: Path, name: str, content: bytes) -> None:
    try:
        pickled.load_bytes(path, content)
    except BadCheckpoint:
        raise
    except Exception as error:  # torch raises errors of many kinds
        raise _refused(path, f"pickled code in {name}") from error


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    """Every key of every object in a document, with its value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)


def _fault(key: str, value: Any) -> str:
    """What is wrong with one entry of a program's JSON; "" where it is data."""
    if key == "use_pickle" and value is not False:
        return "pickled tensors"
    if key == "path_name" and not re.fullmatch(r"(weight|tensor)_\d+", str(value)):
        return f"the object {str(value)[:60]!r}"
    if key in ("target", "as_operator") and not _OPERATORS.fullmatch(str(value)):
        return f"a call of {str(value)[:60]!r}, which is no operator of torch"
    if key.endswith("name") and not (value is None or (isinstance(value, str) and _NAME.fullmatch(value))):
        return f"the name {str(value)[:60]!r}"
    if key in ("as_custom_obj", "custom_obj") and value is not None:
        return "an object of a class of its own"
    if key == "expr_str" and not _is_arithmetic(value):
        return f"the expression {str(value)[:60]!r}"
    if key == "guards_code" and not (isinstance(value, list) and all(map(_is_arithmetic, value))):
        return "a condition that is more than arithmetic on sizes"
    if key in ("in_spec", "out_spec") and not _is_tree(value):
        return "inputs or outputs of a class of their own"
    return ""


def _is_tree(value: Any) -> bool:
    """Whether a pytree is made of tuples, lists and dicts; a context may name modules to import."""
    if value in (None, ""):
        return True
    try:
        document = foreign.json_of(value, most_bytes=2**20)
    except foreign.Fault:
        return False
    entries = list(_entries(document))
    return all(inner in _TREES for key, inner in entries if key == "type") and not any(
        "__enum__" in str(inner) for key, inner in entries if key == "context"
    )


def _is_arithmetic(text: Any) -> bool:
    """Whether a text is an expression of sizes and numbers, with nothing that is called but arithmetic."""
    if not isinstance(text, str) or len(text) > _MOST_TEXT or not text.isprintable() or "#" in text:
        return False
    try:
        nodes = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    powers = [node for node in nodes if _is_power(node)]
    return all(map(_is_plain, nodes)) and len(powers) <= 1 and all(map(_is_small_power, powers))


def _is_plain(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        value = node.value
        if isinstance(value, str):
            return bool(re.fullmatch(r"\w{1,100}", value))
        return value is None or (isinstance(value, int | float) and abs(value) < _MOST_NUMBER)
    if isinstance(node, ast.Name):
        return node.id in _FUNCTIONS or node.id in ("L", "torch", "math") or bool(_SYMBOL.fullmatch(node.id))
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id in ("torch", "math"):
            return bool(re.fullmatch(r"(sym_|_sym_)\w+", node.attr)) or node.attr in ("floor", "ceil", "sqrt", "trunc")
        return node.attr in _OF_TENSORS
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name | ast.Attribute)
    return isinstance(node, _Nodes)


def _is_power(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Pow | ast.LShift)
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _POWERS


def _is_small_power(node: ast.AST) -> bool:
    """Whether no exponent makes a number of more digits than memory has."""
    exponent = node.right if isinstance(node, ast.BinOp) else node.args[-1] if isinstance(node, ast.Call) else None
    numbers = [one.value for one in ast.walk(exponent) if isinstance(one, ast.Constant)] if exponent else [_MOST_NUMBER]
    return all(isinstance(value, int | float) and abs(value) <= 64 for value in numbers)


def _refused(path: Path, what: str) -> UnsafeCheckpoint:
    return UnsafeCheckpoint(
        f"{path} holds {what}: reading it would run whatever it says",
        "Export the network again, or name its Python file instead; or, if you trust where the file comes from, give "
        "--trust.",
    )
