"""Other input sizes, of fronts and of both networks: tried beside the models' own, chosen where they are better, gone
where they are not."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import stitchc
from stitchc import recipe
from stitchc.compile import SIMILAR_AT_OWN_SIZE
from stitchc.input_sizes import tries_smaller, with_sizes, with_smaller, without_unused
from stitchc.options import CompileOptions
from stitchc.passes import Cost, InputSpec, Model, Partition, Pipeline, Plan, Select, Similarity, Trace
from stitchc.passes.data.errors import Infeasible, InputError
from stitchc.passes.data.line import Line
from stitchc.passes.data.model import first_of
from stitchc.report.parent_table import as_given
from stitchc.report.rivals import networks
from stitchc.zoo import images, load

PAIR = "digits/resnet", "digits/plain"
LOOK = [Trace(), Partition()]
GIVEN = {"data": "digits", "probe_images": 64, "effort": "low", "heal": "none", "onnx": False, "rivals": "none"}


@pytest.fixture(scope="module")
def plan() -> Plan:
    given = Pipeline(LOOK)(Plan(tuple(map(load, PAIR)), images=images("digits?limit=64")))
    sized = with_sizes(given, [6], LOOK)
    passes = [Cost(adapters=("linear",)), Similarity(), Select(budget={"macs": "60%"}, min_share=0.0)]
    return Pipeline(passes)(sized)


def pairs_of(plan: Plan) -> set[tuple[int, int]]:
    table = plan.candidates
    return set(zip(table.front_model.tolist(), table.back_model.tolist(), strict=True))


def test_a_model_at_another_size_gives_fronts_and_both_are_stitched_at_it(plan):
    assert [model.name for model in plan.models] == [*PAIR, "digits/resnet@6x6", "digits/plain@6x6"]
    assert first_of(plan.models) == [0, 1, 0, 1]
    assert pairs_of(plan) == {(0, 1), (1, 0), (2, 1), (3, 0), (2, 3), (3, 2)}
    unmixed = Cost(adapters=("linear",), mixed_sizes=False)(plan)
    assert pairs_of(unmixed) == {(0, 1), (1, 0), (2, 3), (3, 2)}


def test_sizes_that_differ_much_are_not_stitched_to_each_other(plan):
    given = Pipeline(LOOK)(Plan(plan.models[:2], images=plan.images))
    sized = Cost(adapters=("linear",), mixed_sizes=False)(with_sizes(given, [4, 6], LOOK))
    assert [model.input.size[1] for model in sized.models] == [8, 8, 4, 6, 4, 6]
    assert pairs_of(sized) == {(0, 1), (1, 0), (2, 4), (4, 2), (3, 5), (5, 3)}


def test_the_front_costs_what_it_does_at_its_size(plan):
    alone = Pipeline([*LOOK, Cost(adapters=())])(Plan((plan.models[2],), images=plan.images))
    assert plan.prices[2] == alone.prices[0] and plan.prices[2]["macs"] < plan.prices[0]["macs"]
    assert plan.prices[2]["params"] == plan.prices[0]["params"]


def test_what_was_not_chosen_is_gone_and_the_rest_is_as_it_was(plan):
    used = {fragment.model for fragment in plan.choice[0].chain.fragments}
    left = without_unused(plan, 2)
    assert len(left.models) == len(left.graphs) == len(left.prices) == 2 + len(used - {0, 1})
    assert left.choice[0].price == plan.choice[0].price
    seams = [(left.models[a].name, i) for (a, i) in (left.choice[0].front, left.choice[0].back)]
    assert seams == [(plan.models[a].name, i) for (a, i) in (plan.choice[0].front, plan.choice[0].back)]
    assert left.candidates[int(left.candidates.order[0])].price == plan.candidates[int(plan.candidates.order[0])].price
    names = {model.name for model in left.models}
    table = plan.candidates
    joined = zip(table.front_model, table.back_model, strict=True)
    kept = [{plan.models[a].name, plan.models[b].name} <= names for a, b in joined]
    rows = np.flatnonzero(kept)
    assert len(left.candidates) == len(rows)
    assert np.array_equal(left.candidates.metric("macs"), plan.candidates.metric("macs")[rows])


def test_a_stitch_whose_front_sees_smaller_images_is_written_and_runs(tmp_path):
    out = tmp_path / "out"
    given = GIVEN | {"front": "stage2.0", "back": "features.6", "adapter": "linear", "budget": "30%", "metric": "macs"}
    found = stitchc.compile(*PAIR, **given, input_size=[4], out=out)
    record = json.loads((out / "plan.json").read_text())
    front = found.models[found.hybrid.chain.front.model]
    assert front.name.endswith("@4x4") and record["input"]["size"] == [1, 4, 4]
    assert found.hybrid.price["macs"] <= 0.3 * found.prices[0]["macs"]
    assert not any("No fragment" in note for note in found.notes)
    assert stitchc.evaluate(out, "digits?split=test").top1 == record["accuracy"]["top1"]
    assert recipe.read(out / "recipe.toml").options["input_size"] == (4,)
    again = stitchc.compile(*PAIR, **given, input_size="4")
    assert again.hybrid == found.hybrid


def test_auto_takes_multiples_of_the_stride_below(plan):
    sized = with_sizes(Pipeline(LOOK)(Plan(plan.models[:1], images=plan.images)), "auto", LOOK)
    sides = [model.input.size[1] for model in sized.models]
    assert sides[0] == 8 and 1 <= len(sides) - 1 <= 2 and sides == sorted(sides, reverse=True)


class Small(torch.nn.Module):
    """Of any size of image, with a stride of 2."""

    def __init__(self, width: int):
        super().__init__()
        self.stem = torch.nn.Conv2d(3, width, 3, stride=2, padding=1)
        self.more = torch.nn.Sequential(*(torch.nn.Conv2d(width, width, 3, padding=1) for _ in range(3)))
        self.head = torch.nn.Linear(width, 5)

    def forward(self, x):
        return self.head(self.more(self.stem(x).relu()).relu().mean((2, 3)))


@pytest.fixture(scope="module")
def small_pair(tmp_path_factory):
    """Two networks for 20 pixels, and photographs for any size."""
    folder = tmp_path_factory.mktemp("photos")
    pixels = torch.randint(0, 256, (32, 20, 20, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    np.savez(folder / "photos.npz", images=pixels.numpy(), labels=np.arange(32) % 5)
    torch.manual_seed(0)
    spec = InputSpec((3, 20, 20), (0.5,) * 3, (0.25,) * 3)
    models = [Model(name, spec, module=Small(width).eval()) for name, width in (("wide", 8), ("slim", 6))]
    return models, f"npz:{folder / 'photos.npz'}"


def least_of(pair) -> float:
    """The multiply-adds of the cheapest stitch of two networks at their own size."""
    models, data = pair
    with pytest.raises(Infeasible) as least:
        stitchc.compile(*models, budget={"macs": 1}, input_size="own", data=data)
    return least.value.nearest["macs"]


def test_where_it_saves_the_budget_both_are_stitched_on_somewhat_smaller_images(small_pair):
    """Within a budget that no stitch of their own size meets."""
    models, data = small_pair
    given = {"data": data, "heal": "none", "onnx": False, "rivals": "none"}
    budget = {"macs": least_of(small_pair) - 1}
    found = stitchc.compile(*models, budget=budget, **given)
    assert {found.models[one.model].input.size for one in found.hybrid.chain.fragments} == {(3, 18, 18)}
    assert found.hybrid.price["macs"] <= budget["macs"]
    assert SIMILAR_AT_OWN_SIZE in found.notes and [(pair.a, pair.b) for pair in found.similarity] == [(0, 1)]
    with pytest.raises(Infeasible):
        stitchc.compile(*models, budget=budget, input_size="own", **given)
    with pytest.raises(Infeasible):  # weights are as many on every image
        stitchc.compile(*models, budget={**budget, "params": 1}, **given)


def test_a_report_compares_to_the_models_as_they_were_given(small_pair, tmp_path):
    models, data = small_pair
    given = {"budget": {"macs": least_of(small_pair) - 1}, "data": data, "heal": "none", "onnx": False}
    between = replace(models[0], name="between", module=Small(7).eval())
    found = stitchc.compile(*models, **given, evaluate=data, against=[between], out=tmp_path / "out")
    record = json.loads((tmp_path / "out" / "plan.json").read_text())
    at_18 = {model.name for model in found.models if model.input.size[1] == 18}
    assert at_18 and at_18 <= {model["name"] for model in record["models"]}
    assert not at_18 & {row["name"] for row in networks(record)}
    assert [model["name"] for model in as_given(record["models"])] == ["wide", "slim"]
    line = Line([(model["macs"], model["accuracy"]) for model in record["models"][:2]])
    (rival,) = (rival for rival in record["rivals"] if rival["kind"] == "against")
    assert rival["over_line"] is not None
    assert rival["over_line"] == pytest.approx(line.over(rival["cost"]["macs"], rival["accuracy"]))


def test_where_it_saves_nothing_or_cuts_are_chosen_sizes_stay(small_pair):
    models, data = small_pair
    given = Pipeline(LOOK)(Plan(tuple(models), images=images(data)))

    def tried(**options) -> bool:
        return tries_smaller(CompileOptions.of(options), given)

    assert tried(budget={"macs": "60%"}) and tried(budget={"memory": "60%", "params": "60%"})
    assert not tried(budget={"params": "60%"}) and not tried(budget={"size": "60%"}) and not tried()
    assert not tried(budget={"macs": "60%"}, front="stem") and not tried(budget={"macs": "60%"}, rank="cka")
    assert len(with_smaller(given, LOOK).models) == 4
    tiny = Pipeline(LOOK)(Plan((models[0], models[1].at((3, 8, 8))), images=images(data)))
    assert with_smaller(tiny, LOOK) is tiny  # of 8 pixels and a stride of 2 there is none


def test_what_cannot_be_is_refused_before_the_work():
    with pytest.raises(InputError, match="one model was given"):
        stitchc.compile("no/a.pt", input_size=[4])
    with pytest.raises(InputError, match="the chain is stated"):
        stitchc.compile("no/a.pt", "no/b.pt", input_size=[4], chain="A:..x / B:y..")
    with pytest.raises(InputError, match="whole number"):
        stitchc.compile("no/a.pt", "no/b.pt", input_size="4,x")
    with pytest.raises(InputError, match="no model runs at other input sizes"):
        stitchc.compile("digits/vit", "digits/vit", **GIVEN, input_size=[6])
