"""The counts of the papers' stitched networks come out of the passes, to the integer where the papers allow it.

ReStNet's stitched CNNs are in test_restnet.py. MACs are those of convolutions and matrix products.
"""

from itertools import pairwise

import pytest
import torch
from test_restnet import make

from stitchc.passes import Cost, Partition, Pipeline, Plan, Select, Trace, adapters
from stitchc.passes.cost.count import total
from stitchc.passes.graphs.compose import Part, compose
from stitchc.passes.graphs.fold import fold
from stitchc.passes.stitch.join import join
from stitchc.passes.trace.record import record

IMAGENET = (3, 224, 224)


def priced(*models, adapter: str, front: str, back: str, rule: str = "single-tensor") -> Plan:
    """The plan with that one candidate chosen, of models whose weights nobody made."""
    passes = [
        Trace(check=()),
        Partition(rule=rule),
        Cost(adapters=(adapter,), direction="given"),
        Select(front=front, back=back),
    ]
    return Pipeline(passes)(Plan.of(*models, images=torch.zeros(4, *IMAGENET)))


def weightless(make, *args, **options) -> torch.nn.Module:
    with torch.device("meta"):
        return make(*args, **options).eval()


CNNS = [  # ReStNet's Tables I and II: the models themselves. classes, params, MACs
    ("VGG11", 10, 9756426, 153293824),
    ("VGG19", 10, 20565834, 398660608),
    ("ResNet34", 10, 21282122, 1159402496),
    ("VGG11", 100, 9802596, 153339904),
    ("ResNet34", 100, 21328292, 1159448576),
]
FROM_TIMM = [
    ("deit_small_patch16_224", 47, 21683759, 4598516352),
    ("swin_base_patch4_window7_224", 47, 86791399, 15429970944),
    ("deit_tiny_patch16_224", 37, 5531557, 1253498304),
    ("deit_small_patch16_224", 37, 21679909, 4598512512),
    ("resnet18", 10, 11181642, 1813566464),
    ("swin_tiny_patch4_window7_224", 10, 27527044, 4489806336),
]


@pytest.mark.parametrize(("name", "classes", "params", "macs"), CNNS)
def test_the_cnns_of_restnet(name, classes, params, macs):
    price, uncounted = total(weightless(make, name, classes), (3, 32, 32))
    assert (price["params"], price["macs"], uncounted) == (params, macs, {})


@pytest.mark.slow
@pytest.mark.parametrize(("name", "classes", "params", "macs"), FROM_TIMM)
def test_the_other_models_of_restnet(name, classes, params, macs):
    timm = pytest.importorskip("timm")
    price, uncounted = total(weightless(timm.create_model, name, num_classes=classes), IMAGENET)
    assert (price["params"], price["macs"], uncounted) == (params, macs, {})


@pytest.mark.slow
def test_deit_small_into_deit_tiny_of_restnets_table_i():
    """Eight blocks of the one, five of the other. The paper leaves out the position embedding and the class token
    (76,032 parameters) and the final norm (384), which take no multiply-adds; the head is trained too."""
    timm = pytest.importorskip("timm")
    models = [timm.create_model(f"deit_{x}_patch16_224", num_classes=37).eval() for x in ("small", "tiny")]
    plan = priced(*models, adapter="linear", front="blocks.7", back="blocks.6")
    price, adapter = plan.choice[0].price, adapters.get("linear").price(*ends(plan))
    assert price["params"] - 384 == 16872421 and price["params"] - 384 - 76032 == 16796389
    assert price["macs"] == 3609710400
    assert adapter["params"] == 73920 and adapter["params"] + 7141 == 81061


TRAFT = [  # Table 1: from the first block of stage 1 to the rest of ResNet-50's stage 4 or 2, or to Swin-T's stage 4
    ("resnet50", "layer4.0", 1_674_313_728),
    ("resnet50", "layer2.0", 3_575_382_016),
    ("swin_t", "features.6", 1_567_413_248),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "back", "macs"), TRAFT)
def test_traft_and_cheneys_bottleneck_chains(name, back, macs):
    """1.6743e9, 3.5754e9 and 1.5674e9: a bottleneck adapter each time the size is halved and the channels doubled."""
    torchvision = pytest.importorskip("torchvision")
    front = torchvision.models.resnet50().eval()
    behind = front if name == "resnet50" else getattr(torchvision.models, name)().eval()
    plan = priced(front, behind, adapter="bottleneck?steps=yes", front="layer1.0", back=back)
    assert plan.choice[0].price["macs"] == macs
    between = adapters.get("bottleneck?steps=yes").between(*ends(plan))
    assert [(value.channels, value.grid[0]) for value in between[:-1]] == [(256, 56), (512, 28), (1024, 14)][
        : len(between) - 1
    ] or name == "swin_t"


def ends(plan: Plan):
    (front, i), (back, j) = plan.choice[0].front, plan.choice[0].back
    return plan.cuts[front][i].value, plan.cuts[back][j].value


def stored(module: torch.nn.Module) -> int:
    """The numbers that StitchNet's files hold: parameters, and a norm's statistics too; but a BatchNorm right behind a
    convolution is folded into it and leaves a bias."""
    layers = dict(module.named_modules())
    called = [node for node in module.graph.nodes if node.op == "call_module"]
    count = sum(p.numel() for p in module.parameters())
    count += sum(2 * layer.num_features for layer in layers.values() if isinstance(layer, torch.nn.BatchNorm2d))
    for before, norm in pairwise(called):
        first, second = layers[before.target], layers[norm.target]
        if isinstance(first, torch.nn.Conv2d) and isinstance(second, torch.nn.BatchNorm2d) and norm.args[0] is before:
            count -= 4 * second.num_features - (second.num_features if first.bias is None else 0)
    return count


@pytest.mark.slow
def test_stitchnets_fragments_of_densenet_and_resnet():
    """densenet121[0-3]+resnet50[5]: all but the last fragment of the one, the last of the other, 8,040,040."""
    torchvision = pytest.importorskip("torchvision")
    models = [getattr(torchvision.models, name)().eval() for name in ("densenet121", "resnet50")]
    plan = priced(*models, adapter="fused", front="flatten", back="flatten", rule="stitchnet")
    assert [len(cuts) + 1 for cuts in plan.cuts] == [5, 6]
    candidate = plan.choice[0]
    whole = join(plan, candidate, [adapters.get("fused")(*ends(plan))])
    assert sum(p.numel() for p in whole.graph.parameters()) == candidate.price["params"] == whole.price["params"]
    assert stored(whole.graph) == 8040040


@pytest.mark.slow
def test_stitchnets_fragments_of_alexnet():
    """alexnet[0,1,5,7]: three runs of fragments, two projections folded, 5,218,216 parameters."""
    torchvision = pytest.importorskip("torchvision")
    plan = Pipeline([Trace(check=()), Partition(rule="stitchnet"), Cost(adapters=("fused",))])(
        Plan.of(torchvision.models.alexnet().eval(), images=torch.zeros(4, *IMAGENET))
    )
    graph, cuts = plan.graphs[0], plan.cuts[0].cuts
    assert len(cuts) + 1 == 8
    parts, folded, entered = [], 0, None
    for leaves, enters in ((1, 4), (5, 6), (None, None)):
        begin = fold(graph, entered[0], entered[1].matrix) if entered else graph
        end = cuts[leaves].node if leaves else None
        parts.append(Part(f"part{len(parts)}", "Part", begin, start=entered[0] if entered else None, end=end))
        if enters:
            kind, front, back = adapters.get("fused"), cuts[leaves].value, cuts[enters].value
            adapter = kind(front, back)
            parts.append(Part(f"adapter{len(parts)}", "Adapter", record(adapter, front.shape)))
            folded += kind.price(front, back)["params"]
            entered = cuts[enters].node, adapter
    whole = compose(parts)
    assert whole(torch.zeros(2, *IMAGENET)).shape == (2, 1000)
    assert sum(p.numel() for p in whole.parameters()) == 5218216
    kept = cuts[1].before + cuts[6].after
    between = cuts[5].before["params"] - cuts[4].before["params"]
    assert folded + kept["params"] + between == 5218216
