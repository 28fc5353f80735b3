"""The plan is data; passes say what they need."""

import subprocess
import sys
from dataclasses import dataclass, fields, replace
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
    Chain,
    Cut,
    Cuts,
    Hybrid,
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
from stitchc.passes.data.errors import InputError, PipelineError, StitchError
from stitchc.passes.data.plan import FLOW


def full_plan() -> Plan:
    value, price = Value((8, 4, 4), "NCHW", grid=(4, 4)), Price(params=10, macs=20, size=40)
    cut = Cut(0, "relu", "layer1.0", value, ("layer1.0",), price, Price(params=1))
    column = np.array([0, 1], dtype=np.int32)
    candidates = Candidates(
        ("linear",), column, column, column, column, column * 0,
        {"macs": column, "latency": np.array([np.nan, 0.25])}, np.array([0.5, np.nan]), np.array([True, False]),
        column[:1], "cka",
    )  # fmt: skip
    candidate = Candidate(Chain.pair((0, 0), (1, 0), "linear"), 0.5, price, True)
    verified = Verified(0.0, 0.0, 1e-6, 1e-6, 1.0, (1, 3))
    use = AdapterUse("linear", Price(params=1, macs=2), 0.1, 1e-3)
    hybrid = Hybrid("hybrid", candidate.chain, Price(params=1, macs=2, size=3), (use,), verified=verified)
    return Plan(
        models=(Model("a", InputSpec((3, 8, 8), (0.0,) * 3, (1.0,) * 3), licence="MIT", accuracy=0.5),),
        cuts=(Cuts("single-tensor", (cut,), (Rejected("add", "layer1", "two values cross"),)),),
        similarity=(PairSimilarity(0, 1, "cka", 64, np.array([[0.25, np.nan]])),),
        prices=(Price(params=11, macs=22, size=44, memory=5, latency=0.25),),
        uncounted=({"sort": 2},),
        candidates=candidates,
        budget={"flops": 12e6},
        choice=(candidate,),
        hybrids=(hybrid,),
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
    words: str = ""

    def run(self, plan: Plan) -> Plan:
        return replace(plan, notes=(*plan.notes, *filter(None, [self.words])))


@dataclass(frozen=True)
class NeedsCuts(Pass):
    name: ClassVar[str] = "needs-cuts"
    requires: ClassVar[tuple[str, ...]] = ("cuts",)

    def run(self, plan: Plan) -> Plan:
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
    with pytest.raises(PipelineError, match="'renews' promised choice"):
        Pipeline([Renews()])(bare())


def test_a_nested_pipeline_is_checked_before_anything_runs():
    heard = []
    steps = [Say(words="one"), Pipeline([Pipeline([NeedsCuts()])])]
    with pytest.raises(PipelineError, match=r"'needs-cuts' needs cuts.*ran so far: say"):
        Pipeline(steps, callback=lambda *_: heard.append(1))(bare())
    assert not heard


@dataclass(frozen=True)
class Meddles(Pass):
    name: ClassVar[str] = "meddles"

    def run(self, plan: Plan) -> Plan:
        return replace(plan, seed=plan.seed + 1)


@dataclass(frozen=True)
class Renews(Pass):
    """Promises a choice, and leaves the old one to stand for it."""

    name: ClassVar[str] = "renews"
    ensures: ClassVar[tuple[str, ...]] = ("choice",)
    drops: ClassVar[tuple[str, ...]] = ("hybrids",)
    choice: tuple = ()

    def run(self, plan: Plan) -> Plan:
        assert not plan.choice and not plan.hybrids
        return replace(plan, choice=self.choice)


def test_a_pass_changes_only_what_it_says():
    with pytest.raises(PipelineError, match="'meddles' changed seed"):
        Meddles()(bare())


def test_what_a_pass_makes_untrue_is_dropped_and_an_old_value_fulfils_no_promise():
    plan = full_plan()
    again = Renews(choice=plan.choice)(plan)
    assert again.choice == plan.choice and again.hybrids == () and plan.hybrids
    with pytest.raises(PipelineError, match="'renews' promised choice"):
        Renews()(plan)


@dataclass(frozen=True)
class Fails(Pass):
    name: ClassVar[str] = "fails"
    error: Exception

    def run(self, plan: Plan) -> Plan:
        raise self.error


@pytest.mark.parametrize("error", [ValueError("no luck"), InputError("no luck", "Try again.")])
def test_what_goes_wrong_is_told_with_the_passs_name(error):
    with pytest.raises(type(error), match="no luck") as caught:
        Pipeline([Say(words="one"), Pipeline([Fails(error=error)])])(bare())
    assert caught.value.__notes__ == ["This happened in the pass 'fails'."] and caught.value.failed_pass == "fails"


def test_every_field_that_passes_fill_has_its_place_in_the_flow():
    names = {f.name for f in fields(Plan)}
    given = {"models", "seed", "images", "notes", "seconds"}
    assert names - given == set(FLOW)
    for name in stitchc.passes.__all__:
        kind = getattr(stitchc.passes, name)
        if isinstance(kind, type) and issubclass(kind, Pass):
            assert {*kind.requires, *kind.ensures, *kind.drops, *kind.changes} <= names


def test_every_public_name_of_passes_loads():
    for name in stitchc.passes.__all__:
        assert getattr(stitchc.passes, name).__name__ == name


def test_importing_the_package_loads_no_torch():
    code = "import sys, stitchc.passes.data.errors; print('torch' in sys.modules, 'timm' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_every_error_has_its_own_code_and_stands_in_the_tree():
    def below(kind):
        return [kind, *(k for sub in kind.__subclasses__() for k in below(sub))]

    kinds = below(StitchError)
    assert len({k.code for k in kinds}) == len(kinds)
    drawn = stitchc.passes.data.errors.__doc__
    assert all(k.__name__ in drawn for k in kinds)
