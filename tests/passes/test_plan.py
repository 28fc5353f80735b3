"""The plan is data; passes say what they need; arrows run down only."""

import ast
import subprocess
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import stitchc.passes
from stitchc.passes import (
    AdapterUse,
    Candidate,
    Candidates,
    Cut,
    Cuts,
    Fragment,
    InputSpec,
    Model,
    PairSimilarity,
    Pass,
    Pipeline,
    Plan,
    Price,
    Rejected,
    Value,
    Verified,
)
from stitchc.passes.errors import InputError, PipelineError, StitchError

ROOT = Path(__file__).parents[2]


def full_plan() -> Plan:
    cut = Cut(0, "relu", "layer1.0", Value((8, 4, 4), "NCHW", grid=(4, 4)), ("layer1.0",), Price(10, 20, 40), Price(1))
    column = np.array([0, 1], dtype=np.int32)
    candidates = Candidates(
        ("linear",), column, column, column, column, column * 0, column, column, column, column,
        np.array([np.nan, 0.25]), np.array([0.5, np.nan]), np.array([True, False]), column[:1], "cka",
    )  # fmt: skip
    candidate = Candidate((0, 0), (1, 0), "linear", 0.5, Price(10, 20, 40), True)
    return Plan(
        models=(Model("a", InputSpec((3, 8, 8), (0.0,) * 3, (1.0,) * 3), licence="MIT", accuracy=0.5),),
        cuts=(Cuts("single-tensor", (cut,), (Rejected("add", "layer1", "two values cross"),)),),
        similarity=(PairSimilarity(0, 1, "cka", 64, np.array([[0.25, np.nan]])),),
        prices=(Price(11, 22, 44, 5, 0.25),),
        uncounted=({"sort": 2},),
        candidates=candidates,
        budget={"flops": 12e6},
        choice=(candidate,),
        chain=(Fragment(0, None, "relu"), AdapterUse("linear", Price(1, 2, 3), 0.1, 1e-3), Fragment(1, "relu", None)),
        price=Price(1, 2, 3),
        verified=Verified(0.0, 0.0, 1e-6, 1e-6, 1.0, (1, 3)),
        notes=("similarity was taken on noise",),
    )


def test_a_plan_survives_json():
    plan = full_plan()
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.to_json() == plan.to_json()
    assert replace(plan, seed=1) != plan


def test_what_is_not_data_is_no_part_of_a_comparison():
    plan = full_plan()
    assert replace(plan, seconds={"trace": 1.0}, graphs=(object(),)) == plan


def test_a_plain_module_expects_what_the_images_are():
    plan = Plan.of(nn.Flatten(), images=torch.zeros(2, 3, 4, 5))
    assert plan.models[0].input.size == (3, 4, 5) and plan.models[0].name == "Flatten"
    with pytest.raises(InputError, match="does not say what its input must be"):
        Plan.of(nn.Flatten())


@dataclass(frozen=True)
class Say(Pass):
    name: ClassVar[str] = "say"
    adds: ClassVar[tuple[str, ...]] = ("notes",)
    words: str = ""

    def __call__(self, plan: Plan) -> Plan:
        return replace(plan, notes=(*plan.notes, *filter(None, [self.words])))


@dataclass(frozen=True)
class NeedsCuts(Pass):
    name: ClassVar[str] = "needs-cuts"
    requires: ClassVar[tuple[str, ...]] = ("cuts",)

    def __call__(self, plan: Plan) -> Plan:
        return plan


def bare() -> Plan:
    return Plan(full_plan().models)


def test_a_pipeline_is_a_pass_and_tells_its_callback():
    heard = []
    inner = Pipeline([Say(words="two")])
    plan = Pipeline([Say(words="one"), inner], callback=lambda step, p, s: heard.append((step.name, s is None)))(bare())
    assert plan.notes == ("one", "two")
    assert heard == [("say", True), ("say", False), ("pipeline", True), ("pipeline", False)]
    assert set(plan.seconds) == {"say"}


def test_a_pass_in_the_wrong_place_is_named_with_those_before_it():
    with pytest.raises(PipelineError, match=r"'needs-cuts' needs cuts.*ran so far: say"):
        Pipeline([Say(words="one"), NeedsCuts()])(bare())


def test_a_pass_that_breaks_its_promise_is_named():
    with pytest.raises(PipelineError, match="'say' promised notes"):
        Pipeline([Say()])(bare())


def test_every_public_name_of_passes_loads():
    for name in stitchc.passes.__all__:
        assert getattr(stitchc.passes, name).__name__ == name


def test_importing_the_package_loads_no_torch():
    code = "import sys, stitchc.passes.errors; print('torch' in sys.modules, 'timm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_every_error_has_its_own_code_and_stands_in_the_tree():
    def below(kind):
        return [kind, *(k for sub in kind.__subclasses__() for k in below(sub))]

    kinds = below(StitchError)
    assert len({k.code for k in kinds}) == len(kinds)
    drawn = stitchc.passes.errors.__doc__
    assert all(k.__name__ in drawn for k in kinds)


def imports_of(file: Path) -> set[str]:
    """Modules that a file imports, relative ones resolved against its room."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    package = ("stitchc", *parts[:-1]) if parts[0] in ("passes", "zoo") else parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def room_files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def test_passes_know_nothing_of_zoo_and_product():
    for file in room_files("passes"):
        above = {m for m in imports_of(file) if m.startswith("stitchc") and not m.startswith("stitchc.passes")}
        assert not above, f"{file.name} imports {above}"


def test_the_zoo_knows_of_passes_only_errors_and_plain_data():
    plain = {"errors", "model", "values"}
    for file in room_files("zoo"):
        for module in imports_of(file):
            if module.startswith("stitchc.") and not module.startswith("stitchc.zoo"):
                assert module.split(".")[1] == "passes", f"{file.name} imports {module}"
                assert len(module.split(".")) == 2 or module.split(".")[2] in plain, f"{file.name} imports {module}"


def pass_modules() -> dict[str, Path]:
    homes = {stitchc.passes._HOME[n] for n in stitchc.passes.__all__ if _is_pass(getattr(stitchc.passes, n))}
    return {home: ROOT / "passes" / (home.replace(".", "/")) for home in homes}


def _is_pass(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, Pass) and thing not in (Pass, Pipeline)


def test_no_pass_imports_another():
    homes = pass_modules()
    for home, path in homes.items():
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        others = {f"stitchc.passes.{other}" for other in homes if other != home}
        assert not imports_of(file) & others, f"{home} imports {imports_of(file) & others}"


def test_pyproject_lists_every_package():
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    found = set()
    for room, name in (("passes", "stitchc.passes"), ("zoo", "stitchc.zoo"), ("stitchc", "stitchc")):
        for init in (ROOT / room).rglob("__init__.py"):
            found.add(".".join([name, *init.parent.relative_to(ROOT / room).parts]))
    assert listed == found
