"""ReStNet's stitched networks (arXiv 2506.09066, Tables I, II and IV) come out to the last parameter.

The counts were computed from the paper's printed columns; each row is checked against a network stitched here.
"""

import pytest
import torch
from restnet import make, path

from stitchc.passes import Cost, Partition, Pipeline, Plan, Select, Stitch, Trace

ROWS = [  # table, front and its last unit kept, back and its last unit dropped, adapter, params, trainable, MACs
    ("I", "VGG19", "relu5", "VGG11", "relu3", "conv3x3", 10531402, 590080, 266540032),
    ("I", "VGG19", "relu9", "VGG11", "relu6", "conv3x3", 11121482, 2359808, 304288768),
    ("I", "ResNet34", "layer1.2", "VGG11", "relu2", "conv3x3", 9978058, 73856, 436409344),
    ("I", "ResNet34", "layer3.0", "VGG11", "relu4", "conv3x3", 11643466, 590080, 685970432),
    ("IV", "VGG19", "relu3", "VGG11", "relu2", "conv3x3", 9941066, 147584, 228791296),
    ("IV", "VGG19", "fcrelu1", "VGG11", "fcrelu1", "linear", 20828490, 262656, 398922752),
]


@pytest.mark.parametrize(("table", "front", "kept", "back", "dropped", "adapter", "params", "trainable", "macs"), ROWS)
def test_a_stitched_row(table, front, kept, back, dropped, adapter, params, trainable, macs):
    plan = Pipeline(
        [
            Trace(check=()),
            Partition(),
            Cost(adapters=(adapter,), direction="given"),
            Select(front=path(front, kept), back=path(back, dropped)),
            Stitch(),
        ]
    )(Plan.of(make(front), make(back), images=torch.zeros(4, 3, 32, 32)))
    use = plan.hybrid.adapters[0]
    assert (plan.hybrid.price["params"], use.price["params"], plan.hybrid.price["macs"]) == (params, trainable, macs)
    # What was priced is what was built.
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in plan.hybrid.graph.named_children()}
    assert sum(count.values()) == params and count["adapter"] == trainable


def test_what_each_way_of_tuning_trains_in_table_iv():
    """Adapter; back and adapter; front and adapter; all."""
    front, back = "VGG19", "VGG11"
    plan = Pipeline(
        [
            Trace(check=()),
            Partition(),
            Cost(adapters=("conv3x3",), direction="given"),
            Select(front=path(front, "relu3"), back=path(back, "relu2")),
            Stitch(),
        ]
    )(Plan.of(make(front), make(back), images=torch.zeros(4, 3, 32, 32)))
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in plan.hybrid.graph.named_children()}
    adapter, first, last = count["adapter"], count["front"], count["back"]
    assert [adapter, last + adapter, first + adapter, first + adapter + last] == [147584, 9827978, 260672, 9941066]


def test_resnet18_into_swin_tiny_of_table_ii():
    timm = pytest.importorskip("timm")
    front = timm.create_model("resnet18", num_classes=10).eval()
    back = timm.create_model("swin_tiny_patch4_window7_224", num_classes=10).eval()
    plan = Pipeline(
        [
            Trace(check=()),
            Partition(),
            Cost(adapters=("linear",), direction="given"),
            Select(front="layer2.0", back="layers.1.blocks.1"),
            Stitch(),
        ]
    )(Plan.of(front, back, images=torch.zeros(4, 3, 224, 224)))
    head = sum(p.numel() for p in back.head.parameters())
    assert plan.hybrid.price["params"] == 26743618
    assert plan.hybrid.adapters[0].price["params"] + head == 32458
    assert plan.hybrid.price["macs"] == 3721310720
