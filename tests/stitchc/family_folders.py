"""A family of two networks of the embedded zoo and a stitch of them, and its folder."""

from __future__ import annotations

from dataclasses import replace

from stitchc import artifact, recipe
from stitchc.evaluate import Accuracy
from stitchc.families.folder import write_family
from stitchc.families.options import FamilyOptions
from stitchc.inputs import probe
from stitchc.passes import Cost, Fit, Partition, Pipeline, Plan, Stitch, Trace
from stitchc.passes.data.family import Family, Member
from stitchc.passes.data.hybrid import Hybrid
from stitchc.zoo import load

CHAIN = "A:..features.1.2 / linear / B:stage2.0.."


def digits_family(*more: str):
    """more: other chains, stitched too, as `other1` and so on."""
    models = tuple(load(f"digits/{name}") for name in ("plain", "resnet"))
    images, _ = probe(models, "digits", 64)
    plan = Pipeline([Trace(), Partition(), Cost(adapters=())])(Plan(models, images=images))
    named = zip(("plain", "resnet"), plan.models, plan.graphs, plan.prices, strict=True)
    members = [
        Member(name, replace(Hybrid.whole(graph, k), price=price), model.name)
        for k, (name, model, graph, price) in enumerate(named)
    ]
    hybrid = Pipeline([Stitch(chain=CHAIN), Fit()])(plan).hybrid
    others = [
        Member(f"other{k}", Pipeline([Stitch(chain=chain), Fit()])(plan).hybrid)
        for k, chain in enumerate(more, start=1)
    ]
    return plan, Family((*members, Member("middle", hybrid), *others))


def written(plan, family, out, **more):
    with artifact.staging(out) as folder:
        return write_family(
            plan, family, folder, report=lambda record: [record["members"][0]["name"]],
            recipe=recipe.dumps(["digits/plain", "digits/resnet"], FamilyOptions(members=3), "family"),
            accuracy={"middle": Accuracy("digits?split=test", 500, 0.9, 1.0)}, **{"onnx": False, **more},
        )  # fmt: skip
