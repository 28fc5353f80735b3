"""A trained network stitched to itself with a fitted adapter is as good as it was."""

import pytest

import stitchc
from stitchc.evaluate import accuracy
from stitchc.passes import Cost, Fit, Partition, Pipeline, Plan, Select, Stitch, Trace
from stitchc.passes.data.errors import InputError
from stitchc.zoo import images, load


@pytest.mark.parametrize("adapter", ["linear", "conv3x3?norm=both", "conv3x3?resize=before&bias=no"])
@pytest.mark.parametrize(("name", "cut"), [("digits/resnet", "stage1.0"), ("digits/plain", "features.3")])
def test_within_a_fifth_of_a_point(name, cut, adapter):
    model, shown = load(name), images("digits?limit=256")
    passes = [
        Trace(check=()),
        Partition(),
        Cost(adapters=(adapter,), direction="given"),
        Select(front=cut, back=cut),
        Stitch(),
        Fit(),
    ]
    plan = Pipeline(passes)(Plan((model, model), images=shown))
    test = images("digits?split=test")
    own = accuracy(model.module, model.input, test).top1
    assert abs(accuracy(plan.hybrid.graph, model.input, test).top1 - own) <= 0.002
    assert plan.hybrid.adapters[0].residual < 1e-3


@pytest.mark.parametrize("steps", [False, True])
def test_words_that_mean_nothing_are_refused_before_a_model_is_loaded(steps):
    with pytest.raises(InputError, match="'resise' is no option"):
        stitchc.compile("no/such.pt", "no/other.pt", adapter="conv3x3?resise=before", steps=steps)
    with pytest.raises(InputError, match="'resise' is no option"):
        stitchc.compare("no/such.pt", "no/other.pt", adapter="conv3x3?resise=before")


def test_steps_are_asked_for_by_a_flag_or_in_words():
    models = "digits/resnet", "digits/plain"
    plans = [
        stitchc.compile(*models, adapter=adapter, steps=steps, front="stage1.0", back=back, dry_run=True)
        for adapter, steps, back in (("bottleneck", True, 5), ("bottleneck?steps=yes", False, 5))
    ]
    one, other = (plan.choice[0] for plan in plans)
    assert one.adapter == other.adapter == "bottleneck?steps=yes" and one.price == other.price


def test_recalibrating_says_what_it_gained(tmp_path):
    models = "digits/resnet", "digits/resnet?name=again"
    options = {"adapter": "linear", "heal": "none", "recalibrate": True, "onnx": False, "out": tmp_path / "out"}
    plan = stitchc.compile(*models, front="stage1.0", back="stage1.1", **options)
    assert "Recalibrating" in plan.notes[-1]
    assert "recalibrate = true" in (tmp_path / "out" / "recipe.toml").read_text()
