"""A trained network stitched to itself with a fitted adapter is as good as it was."""

import pytest

from stitchc.evaluate import accuracy
from stitchc.passes import Cost, Fit, Partition, Pipeline, Plan, Select, Stitch, Trace
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
    assert abs(accuracy(plan.stitched, model.input, test).top1 - own) <= 0.002
    assert plan.chain[1].residual < 1e-3
