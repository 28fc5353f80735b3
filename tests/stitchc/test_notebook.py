"""Plans, cuts and candidates in a notebook, and candidates as frames of other libraries."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_plan

from stitchc.passes.data.errors import InputError
from stitchc.passes.data.model import InputSpec, Model
from stitchc.passes.data.plan import Plan


def shown(thing) -> str:
    text = thing._repr_html_()
    assert (
        text.startswith('<div class="stitchc">') and "<script" not in text and text.count("<div") == text.count("</div")
    )
    return text


def test_a_plan_shows_what_it_holds(plan):
    whole = shown(plan)
    for needed in ("The chain", "What is kept", "conv3x3", "Similarity", "data:image/png", "Candidates: 5 of 6"):
        assert needed in whole, needed
    compared = shown(replace(plan, hybrids=(), choice=()))
    assert "The hybrid" not in compared and "Candidates: 5 of 6" in compared
    inspected = shown(Plan(plan.models[:1], cuts=plan.cuts[:1], prices=plan.prices[:1]))
    assert "3 cuts by the rule single-tensor" in inspected and "Candidates" not in inspected
    assert "The models are resnet, plain." in shown(Plan(plan.models))


def test_cuts_and_candidates_show_themselves(plan):
    assert "layer1.0" in shown(plan.cuts[0]) and "1 values are none" in shown(plan.cuts[0])
    assert "model 0, cut 0" in shown(plan.candidates) and "5 of 6 candidates" in shown(plan.candidates)


def test_names_of_others_are_text_in_a_notebook():
    hostile = '<img src="x" onerror="alert(1)">'
    text = shown(Plan((Model(hostile, InputSpec((1, 8, 8), (0.0,), (1.0,))),)))
    assert "<img" not in text and "&lt;img" in text


def test_without_the_product_a_plan_is_its_repr():
    code = """
import sys
from stitchc.passes.data import notebook
notebook._MODULES.clear()
from stitchc.passes.data.plan import Plan
assert Plan(())._repr_html_() is None and "stitchc.report" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("kind", ["pandas", "polars"])
def test_candidates_are_a_frame(kind, plan):
    library = pytest.importorskip(kind)
    frame = plan.frame(kind)
    assert isinstance(frame, library.DataFrame) and len(frame) == len(plan.candidates)
    assert list(frame["front_cut"]) == ["stem", "stem", "layer1.0", "layer1.0", "layer2.0", "layer2.0"]
    assert list(frame["macs"]) == plan.candidates.amounts["macs"].tolist() and "latency_ms" not in frame.columns
    ranked = np.asarray(frame["rank"], dtype=float)
    assert [int(np.flatnonzero(ranked == place)[0]) for place in (1, 2, 3)] == plan.candidates.order[:3].tolist()


def test_what_makes_no_frame_says_why(plan, monkeypatch):
    with pytest.raises(InputError, match="no candidates"):
        Plan(()).frame()
    with pytest.raises(InputError, match="pands"):
        plan.frame("pands")
    monkeypatch.setattr("stitchc.passes.data.frames.find_spec", lambda name: None)
    with pytest.raises(InputError, match="cannot be found"):
        make_plan().frame()
