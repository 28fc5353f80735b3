"""The map of the house: which room may import from which. Every import counts, wherever in a file it stands."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"passes": "stitchc.passes", "zoo": "stitchc.zoo", "stitchc": "stitchc"}

#: The floors of `passes/`, from the ground up; what is named nowhere is a pass and stands on top.
FLOORS = {"data": 0, "graphs": 1, "numerics": 1, "pipeline": 1, "adapters": 2, "training": 2}
PASS_FLOOR = 3

#: Modules of one pass that others use by name: what is shared is written once.
SHARED = {
    "cost.adapter_prices": {"search"},  # seams of a pool are priced like candidates
    "cost.chains": {
        "family",
        "search",
        "shorten",
        "stitch",
        "vote",
    },  # a chain that is no row of the table has its price
    "cost.many": {"search"},
    "cost.table": {"search"},
    "emit.conversion": {"family"},  # members are compared at what they take with what makes their images
    "emit.prepare": {"cost"},  # what is priced is the program that is written
    "emit.program": {"cost"},
    "emit.regroup": {"cost"},
    "emit.weights": {"cost"},
    "emit.load": {"latency", "verify"},
    "fit.closed_form": {"family", "rank", "search"},  # candidates are really fitted and healed before they are ranked
    "fit.limits": {"rank", "search"},
    "fit.normal_equations": {"family", "search"},
    "heal.blockwise": {"family", "rank", "search"},
    "heal.probe": {"family", "rank", "search"},
    "latency.backends": {"rivals"},  # what is instead of a hybrid is timed, and scored, like one
    "latency.clock": {"rivals"},
    "rank.effort": {"search"},  # seams of a pool are probed, and chains scored, like candidates
    "rank.preselection": {"search"},
    "rank.scores": {"family", "rivals", "search"},
    "rank.stitched": {"search"},
    "search.chains": {"family"},  # members are chosen among the chains of a search
    "search.dominance": {"family"},
    "search.exact": {"family"},
    "search.lazy": {"family"},
    "search.losses": {"family"},
    "search.probe": {"family"},
    "search.problem": {"family"},
    "search.space": {"family"},
    "rivals.sizes": {"family"},  # and stand beside the models on smaller images
    "represent": {"compare"},  # `Similarity` is both in sequence
    "represent.vector_cache": {"search"},  # losses of seams are kept, like vectors, by what they depend on
    "shorten": {"rivals"},  # a hybrid of one model is compared to what it is before it is healed
    "stitch.join": {"family", "fit", "latency", "rank", "rivals", "search"},
    "stitch.stated": {"search", "select"},  # a chain that is stated by hand is held to the budget
    "trace.record": {"cost", "emit", "stitch", "vote"},  # adapters and pieces of a family are traced like any module
    "vote": {"rivals"},  # an ensemble is made once more from half of the images
}


def modules() -> Iterator[tuple[str, Path]]:
    for room, package in PACKAGES.items():
        for file in (ROOT / room).rglob("*.py"):
            parts = file.relative_to(ROOT / room).with_suffix("").parts
            yield ".".join([package, *(parts[:-1] if parts[-1] == "__init__" else parts)]), file


def import_graph() -> nx.DiGraph:
    """An edge for each import of one of our modules by another; those for the type checker alone are left out."""
    files = dict(modules())
    graph = nx.DiGraph()
    graph.add_nodes_from(files)
    for name, file in files.items():
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        for module in _imported(ast.parse(file.read_text()), package):
            target = module if module in files else module.rpartition(".")[0]
            if target in files and target != name:
                graph.add_edge(name, target)
    return graph


def _imported(tree: ast.AST, package: str) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: package.count(".") + 2 - node.level] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)
        yield from _imported(node, package)


@pytest.fixture(scope="module")
def imports() -> nx.DiGraph:
    return import_graph()


def test_no_circle_of_imports(imports):
    assert [sorted(c) for c in nx.strongly_connected_components(imports) if len(c) > 1] == []


def test_passes_know_nothing_of_zoo_and_product(imports):
    for importer, imported in imports.edges:
        if importer.startswith("stitchc.passes"):
            assert imported.startswith("stitchc.passes"), f"{importer} imports {imported}"


def test_the_zoo_knows_of_passes_only_the_data(imports):
    for importer, imported in imports.edges:
        if importer.startswith("stitchc.zoo"):
            assert imported.startswith(("stitchc.zoo", "stitchc.passes.data")), f"{importer} imports {imported}"


def test_arrows_in_passes_run_down_only(imports):
    wrong = [edge for edge in imports.edges if all(_in_passes(m) for m in edge) and not _allowed(*edge)]
    assert wrong == []


def _in_passes(module: str) -> bool:
    return module.startswith("stitchc.passes.")


def _allowed(importer: str, imported: str) -> bool:
    a, b = (module.removeprefix("stitchc.passes.") for module in (importer, imported))
    above, below = (FLOORS.get(module.split(".")[0], PASS_FLOOR) for module in (a, b))
    if a.split(".")[0] == b.split(".")[0] or above > below:
        return True
    return any(
        (b == shared or b.startswith(f"{shared}.")) and a.split(".")[0] in users for shared, users in SHARED.items()
    )


def test_every_shared_module_is_used_as_it_is_said(imports):
    used = {edge for edge in imports.edges if all(_in_passes(module) for module in edge)}
    for shared, users in SHARED.items():
        for user in users:
            assert any(
                a.startswith(f"stitchc.passes.{user}") and b.startswith(f"stitchc.passes.{shared}") for a, b in used
            ), f"{user} does not use {shared} any more"


def test_pyproject_lists_every_package():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = {name for name, file in modules() if file.name == "__init__.py"}
    assert listed == found
