"""What is public says what it does: every function and class of the library and the product has a docstring."""

import ast
from pathlib import Path

import pytest

import stitchc
import stitchc.passes

ROOT = Path(__file__).parents[1]
FILES = [path for room in ("passes", "stitchc") for path in sorted((ROOT / room).rglob("*.py"))]


def without_docstring(body: list[ast.stmt]) -> list[str]:
    """The public functions and classes among some statements that have no docstring."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [
        node.name
        for node in body
        if isinstance(node, kinds) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_public_functions_and_classes_have_docstrings(path):
    assert without_docstring(ast.parse(path.read_text(encoding="utf-8")).body) == []


@pytest.mark.parametrize("package", [stitchc.passes, stitchc], ids=lambda package: package.__name__)
def test_what_packages_list_has_docstrings_down_to_the_methods(package):
    """Methods that override one of a base class may rely on its docstring."""
    for name in package.__all__:
        found = getattr(package, name)
        if isinstance(found, str):  # the version
            continue
        assert found.__doc__, name
        for method, value in vars(found).items() if isinstance(found, type) else ():
            function = getattr(value, "__func__", getattr(value, "fget", value))
            if method.startswith("_") or not callable(function):
                continue
            assert any(getattr(base.__dict__.get(method), "__doc__", None) for base in found.__mro__), (
                f"{name}.{method}"
            )


def test_the_check_finds_what_is_missing():
    body = ast.parse('def told():\n    """Yes."""\ndef untold(): ...\nclass Untold: ...\ndef _own(): ...').body
    assert without_docstring(body) == ["untold", "Untold"]
