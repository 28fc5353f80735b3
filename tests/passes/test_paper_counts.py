"""The counts of the papers' stitched networks come out of the passes, to the integer where the papers allow it.

ReStNet's stitched CNNs are in test_restnet.py. MACs are those of convolutions and matrix products.
"""

from itertools import pairwise

import pytest
import torch
from restnet import make

from stitchc.passes import Chain, Cost, Fragment, Partition, Pipeline, Plan, Select, Trace, adapters
from stitchc.passes.cost.chains import price_of
from stitchc.passes.cost.count import total
from stitchc.passes.stitch.join import built, graph_of

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


@pytest.fixture(scope="module")
def papers_pool() -> Plan:
    """The five networks of StitchNet, their weights random."""
    torchvision = pytest.importorskip("torchvision")
    names = ("alexnet", "densenet121", "mobilenet_v3_small", "resnet50", "vgg16")
    models = [getattr(torchvision.models, name)().eval() for name in names]
    passes = [Trace(check=()), Partition(rule="stitchnet"), Cost(adapters=())]
    return Pipeline(passes)(Plan.of(*models, images=torch.zeros(4, *IMAGENET)))


@pytest.mark.slow
def test_stitchnets_pool_has_48_fragments(papers_pool):
    from stitchc.searches.record import pool_record

    pool = pool_record(papers_pool)
    assert [model["fragments"] for model in pool["models"]] == [8, 5, 13, 6, 16]
    assert {name: pool[name] for name in ("fragments", "starting", "middle", "terminating")} == {
        "fragments": 48, "starting": 5, "middle": 38, "terminating": 5,
    }  # fmt: skip


ALEXNET, DENSENET, _, RESNET, VGG = range(5)
STITCHNETS = [  # fragments by their numbers, inclusive; what the paper's files hold
    ([(DENSENET, 0, 3), (RESNET, 5, 5)], 8_040_040),
    ([(RESNET, 0, 3), (VGG, 14, 14), (ALEXNET, 7, 7)], 16_823_400),
    ([(ALEXNET, 0, 1), (ALEXNET, 5, 5), (ALEXNET, 7, 7)], 5_218_216),
]


@pytest.mark.slow
@pytest.mark.parametrize(("pieces", "params"), STITCHNETS)
def test_stitchnets_chains_from_that_pool(papers_pool, pieces, params):
    plan = papers_pool
    last = [len(cuts) for cuts in plan.cuts]
    fragments = [Fragment(m, first - 1 if first else None, end if end < last[m] else None) for m, first, end in pieces]
    chain = Chain(tuple(fragments), ("fused",) * (len(fragments) - 1))
    whole = graph_of(plan, chain, [built(plan, seam) for seam in chain.seams()])
    assert sum(p.numel() for p in whole.parameters()) == price_of(plan, chain)["params"]
    assert stored(whole) == params and whole(torch.zeros(2, *IMAGENET)).shape == (2, 1000)
