"""What is public says what it does: every function and class of the library and the product has a docstring. Those that
packages list name each argument and field, the shapes of tensors and the errors, and stand on the page of reference."""

import ast
import dataclasses
import inspect
import re
import textwrap
from pathlib import Path

import pytest

import stitchc
import stitchc.passes
from stitchc import zoo
from stitchc.passes.data import errors

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


def public():
    """Every public function and class, by its full name."""
    for package in (stitchc, zoo, stitchc.passes):
        for name in package.__all__:
            if callable(found := getattr(package, name)):
                yield pytest.param(found, id=f"{package.__name__}.{name}")


ERRORS = {
    name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.StitchError)
}
#: Arguments that mean the same everywhere.
COMMON = {"options", "progress"}


def named(word, text):
    return re.search(rf"\b{re.escape(word)}s?\b", text) is not None


def stated(kind):
    """The fields of a dataclass that its docstring speaks of: options bring their own help."""
    fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
    return [field for field in fields if "option" not in field.metadata and not field.name.startswith("_")]


def unnamed(found, text):
    """Arguments of a function, or fields of a class, that its docstring does not name."""
    if isinstance(found, type):
        return [field.name for field in stated(found) if not named(field.name, text)]
    names = inspect.signature(inspect.unwrap(found)).parameters
    return [name for name in names if name not in COMMON and not named(name, text)]


def shapeless(found, text):
    """Fields that are tensors or arrays whose shape the docstring does not give in brackets."""
    arrays = (
        [f.name for f in stated(found) if re.search("ndarray|Tensor", str(f.type))] if isinstance(found, type) else []
    )
    return [name for name in arrays if not re.search(rf"\b{name}\b[^.]*\[|arrays of one length|A tensor \[", text)]


def untold(found, text):
    """Errors that are raised in the body and not named."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(found))))
    raised = [n.exc for n in ast.walk(tree) if isinstance(n, ast.Raise) and isinstance(n.exc, ast.Call)]
    return sorted(
        {
            e.func.id
            for e in raised
            if isinstance(e.func, ast.Name) and e.func.id in ERRORS and not named(e.func.id, text)
        }
    )


def said(found):
    """The docstrings of a function, or of a class and its public methods."""
    methods = vars(found).items() if isinstance(found, type) else ()
    texts = [getattr(value, "__doc__", None) for name, value in methods if not name.startswith("_")]
    return " ".join([inspect.getdoc(found) or "", *(text for text in texts if isinstance(text, str))])


@pytest.mark.parametrize("found", public())
def test_a_docstring_names_arguments_fields_shapes_and_errors(found):
    text = inspect.getdoc(found)
    assert (unnamed(found, text), shapeless(found, text), untold(found, said(found))) == ([], [], [])


@pytest.mark.parametrize("found", public())
def test_a_number_of_seconds_or_bytes_says_its_unit(found):
    """Where the name of a field does not end with its unit, as `latency_ms` does."""
    text = inspect.getdoc(found)
    for name in [field.name for field in stated(found)] if isinstance(found, type) else []:
        if re.fullmatch(r"latency|duration|.*memory|size_of.*|.*_time", name):
            assert re.search(rf"\b{name}\b[^.]*(byte|millisecond|second)", text), name


def test_everything_public_stands_on_the_page_of_reference():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    shown = re.findall(r"auto(?:class|function):: ([\w.]+)", page)
    for package in (stitchc, zoo, stitchc.passes):
        names = [name for name in package.__all__ if callable(getattr(package, name))]
        assert [name for name in names if name not in shown] == []
    automodule = re.search(r"automodule:: stitchc.passes.data.errors\n   :members: ([\w, \n]+)", page)
    assert {*re.findall(r"\w+", automodule[1].partition("```")[0])} == ERRORS


def test_the_check_finds_arguments_fields_shapes_and_errors():
    import numpy as np

    @dataclasses.dataclass
    class Thing:
        """One: it holds `told`."""

        told: int
        kept: int
        vectors: np.ndarray

    def function(told, kept):
        """It takes what is `told`."""
        raise DataError("no")  # noqa: F821 - never called

    assert unnamed(Thing, Thing.__doc__) == ["kept", "vectors"] and unnamed(function, function.__doc__) == ["kept"]
    assert shapeless(Thing, "vectors: float64") == ["vectors"] and shapeless(Thing, "vectors: float64 [cuts, n]") == []
    assert untold(function, function.__doc__) == ["DataError"] and untold(function, "DataError: never") == []


def test_the_check_finds_what_is_missing():
    body = ast.parse('def told():\n    """Yes."""\ndef untold(): ...\nclass Untold: ...\ndef _own(): ...').body
    assert without_docstring(body) == ["untold", "Untold"]
