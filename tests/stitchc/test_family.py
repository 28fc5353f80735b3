"""`stitchc.family`: budgets and devices as they are stated, and a family from end to end."""

import json

import numpy as np
import pytest
import torch

import stitchc
from stitchc.families.budgets import budgets_of
from stitchc.families.devices import Device, read_devices
from stitchc.families.options import FamilyOptions
from stitchc.families.record import dominating
from stitchc.family import names_of
from stitchc.passes import Hybrid, Plan, Price
from stitchc.passes.data.budget import Limit
from stitchc.passes.data.errors import Infeasible, InputError, QuantityError
from stitchc.passes.data.line import Line
from stitchc.passes.data.model import InputSpec, Model
from stitchc.passes.family.candidates import Looking, _routes
from stitchc.passes.numerics.converted import Converted
from stitchc.passes.search.space import Space
from stitchc.recipe import dumps, loads

#: Two models, priced by hand.
PRICED = Plan(
    tuple(Model(name, InputSpec((1, 8, 8), (0.5,), (0.5,))) for name in ("small", "large")),
    prices=(Price({"macs": 1000, "params": 10}), Price({"macs": 4000, "params": 40})), uncounted=((), ()),
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Two models, three budgets: one that a stitch serves, one that a model does, one that is below all."""
    out = tmp_path_factory.mktemp("made") / "family"
    devices = out.parent / "devices.toml"
    devices.write_text('[watch]\nparams = "150k"\nmemory = "1MiB"\n[button]\nmacs = "1k"\n')
    found = stitchc.family(
        "digits/convnext", "digits/plain", budget=["45%", "100%"], devices=str(devices), out=out, effort="low",
        probe_images=160, evaluate="digits?split=test&limit=100", onnx=False, rivals="none",
    )  # fmt: skip
    return found, out


def test_each_budget_has_the_member_that_serves_it(made):
    found, _ = made
    members = {member["name"]: member for member in found.record["members"]}
    small, whole, watch, button = found.record["budgets"]
    assert members[small["member"]]["cost"]["macs"] <= small["limits"]["macs"]
    assert whole["member"] in members
    assert watch["device"] == "watch" and members[watch["member"]]["cost"]["params"] <= 150_000
    assert members[watch["member"]]["cost"]["memory_bytes"] <= 2**20
    assert button["member"] is None and "least of all" in button["said"]


def test_the_models_are_members_and_every_member_is_verified(made):
    found, _ = made
    assert {m["parent"] for m in found.record["members"]} >= {"digits/convnext", "digits/plain"}
    assert all(m["verified"]["argmax_agreement"] == 1.0 for m in found.record["members"])


def test_every_weight_stands_once(made):
    found, out = made
    said = found.record["family"]
    size = (out / "model.safetensors").stat().st_size
    assert said["models_bytes"] + said["members_bytes"] == pytest.approx(size, rel=0.03)  # headers
    assert size < 1.15 * sum(model["size_bytes"] for model in found.record["models"])


def test_the_record_says_how_long_each_part_took(made):
    found, _ = made
    assert all(found.record["seconds"][part] > 0 for part in ("trace", "choose", "fit", "heal", "measure"))


def test_plan_json_is_the_record(made):
    found, out = made
    assert json.loads((out / "plan.json").read_text()) == json.loads(json.dumps(found.record))


def test_the_recipe_makes_the_same_options(made):
    _, out = made
    said = loads((out / "recipe.toml").read_text(), record=FamilyOptions)
    assert said.models == ("digits/convnext", "digits/plain")
    again = FamilyOptions.of(said.options)
    assert [[f"{x.metric}={x.value:g}" for x in limits] for limits in again.budget] == [["macs=0.45"], ["macs=1"]]


def test_budgets_are_several_and_each_may_have_several_limits():
    options = FamilyOptions(budget=["20%", "macs=1M,params=5k", {"flops": 4e6}])
    assert [[limit.metric for limit in limits] for limits in options.budget] == [
        ["macs"],
        ["macs", "params"],
        ["flops"],
    ]
    assert FamilyOptions.of({k: v for k, v in [("budget", loads(dumps([], options, "family"), record=FamilyOptions).options["budget"])]}).budget == options.budget  # fmt: skip # noqa: E501


@pytest.mark.parametrize("words", ["12 miles", "macs=1M,macs=2M", "nonesuch=4"])
def test_a_budget_that_means_nothing_is_refused(words):
    with pytest.raises(QuantityError):
        FamilyOptions(budget=[words])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no device"),
        ("[a]\n", "no budget"),
        ('[a]\nmacs = "12 miles"\n', "macs"),
        ("[a]\ncolour = 3\n", "colour"),
        ('[a]\nlatency = "4ms"\n', "no times"),
        ("[a\n", "TOML"),
    ],
)
def test_devices_that_say_nothing_are_refused(tmp_path, text, said):
    (tmp_path / "devices.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        read_devices(tmp_path / "devices.toml")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"metric": "memory"}, "memory does not add up along a chain"),
        ({"metric": "latency"}, "no budget of latency"),
        ({"budget": ["latency=5ms"]}, "no budget of latency"),
    ],
)
def test_metrics_that_no_chain_is_searched_by_are_refused(given, said):
    with pytest.raises(QuantityError, match=said):
        budgets_of(PRICED, FamilyOptions(**given))


def test_a_latency_that_is_no_device_s_is_refused_beside_devices_too():
    watch = Device("watch", (Limit("params", 20.0, False),))
    with pytest.raises(QuantityError, match="but that of a device"):
        budgets_of(PRICED, FamilyOptions(budget=["latency=5ms"], devices="devices.toml"), [watch])


def test_a_budget_of_what_does_not_add_up_is_searched_by_multiply_adds():
    for given in ({"budget": ["memory=64KiB"]}, {"budget": ["64KiB"], "metric": "memory"}):
        wanted = budgets_of(PRICED, FamilyOptions(**given))
        assert wanted.metric == "macs" and wanted.budgets == ({"memory": 65536},)


def test_devices_are_read_before_a_model_is_loaded(tmp_path):
    (tmp_path / "devices.toml").write_text("[watch]\nparms = 3\n")
    with pytest.raises(InputError, match="Did you mean 'params'"):
        stitchc.family("nonesuch/a", "nonesuch/b", devices=str(tmp_path / "devices.toml"))


def test_where_no_chain_meets_a_budget_the_least_of_any_is_said():
    space = Space(
        model=np.array([0, 0, 0, 1, 1, 1]), work=np.array([[0.0], [6], [10], [0], [1], [4]]),
        source=np.array([1, 4]), target=np.array([4, 1]), seam_cost=np.array([[0.5], [0.5]]),
        loss=np.array([0.125, 0.25]), metrics=("params",),
    )  # fmt: skip
    looking = Looking(({"params": 3.0}, {"params": 2.0}), "params", 4, 0.0, 2, "none", 1, None)
    with pytest.raises(Infeasible, match="the least that any takes is 4 params") as raised:
        _routes(space, np.zeros(2), looking)
    assert raised.value.nearest == {"params": 4.0}


def test_a_family_of_one_is_refused():
    with pytest.raises(InputError, match="two models or more"):
        stitchc.family("digits/plain")


def test_names_are_identifiers_and_told_apart():
    spec = InputSpec((1, 8, 8), (0.0,), (1.0,))
    plan = Plan((Model("a/1st net", spec), Model("class", spec)), prices=(Price(macs=100), Price(macs=80)))
    whole = [Hybrid.whole(None, model) for model in range(2)]  # type: ignore[arg-type]
    whole = [type(one)(one.name, one.chain, price) for one, price in zip(whole, plan.prices, strict=True)]
    stitched = Hybrid("x", whole[0].chain, Price(macs=50), adapters=(None,))  # type: ignore[arg-type]
    names = names_of([*whole, stitched, stitched], plan, "macs")
    assert all(name.isidentifier() for name in names) and len(set(names)) == 4
    assert names[2:] == ["macs_50", "macs_50_v2"]


def test_what_dominates_takes_no_more_and_scores_no_less():
    cheap, dear = ("cheap", Price(macs=1), 0.9), ("dear", Price(macs=2), 0.9)
    assert dominating(dear, [cheap, dear], "macs") == ["cheap"]
    assert dominating(cheap, [cheap, dear], "macs") == []


def test_the_line_is_straight_and_ends_at_the_models():
    line = Line([(10, 0.5), (20, 0.7), (15, None)])
    assert line.over(15, 0.65) == pytest.approx(0.05)
    assert line.over(25, 0.9) is None and line.over(15, None) is None


def test_the_page_and_the_notebook_show_the_members(made):
    found, out = made
    page, cell = (out / "report.html").read_text(), found._repr_html_()
    stitched = [m["name"] for m in found.record["members"] if m["parent"] is None]
    assert stitched and "The family" in page and 'data-chart="scatter"' in page
    for name in stitched:
        assert f"<h3>{name}</h3>" in page and f"<h3>{name}</h3>" in cell
    assert page.count('<ol class="chain"') == len(stitched) and "<script" not in cell


def test_the_picture_has_a_place_for_every_member(made):
    from stitchc.report.pictures import family_picture

    found, _ = made
    (axes,) = family_picture(found.record).axes
    drawn = sorted(place[0] for points in axes.collections for place in points.get_offsets().tolist())
    assert drawn == sorted(member["cost"]["macs"] for member in found.record["members"])


def smaller(images: torch.Tensor, side: int) -> torch.Tensor:
    """As a family makes them of its own."""
    mine, its = (InputSpec((1, size, size), (0.5,), (0.5,)) for size in (images.shape[-1], side))
    return Converted(mine, its)(images)


@pytest.mark.slow
def test_a_model_on_smaller_images_is_a_member_that_adds_what_makes_its_images_alone(tmp_path, monkeypatch):
    """Where it serves a budget best: here there are no stitches, and it counts as being over the line."""
    from stitchc.passes.family import study

    monkeypatch.setattr(study, "candidates", lambda *_: [])
    monkeypatch.setattr(study, "under", lambda *_: False)
    out = tmp_path / "family"
    found = stitchc.family(
        "digits/convnext", "digits/plain", budget=["50%"], out=out, effort="low", probe_images=160, heal="none",
        evaluate="digits?split=test&limit=100",
    )  # fmt: skip
    first, *models = found.record["members"]
    assert (
        first["parent"] == "digits/plain@4x4" and first["name"] == "plain_4x4" and first["input"]["size"] == [1, 4, 4]
    )
    assert [one["parent"] for one in models] == ["digits/plain", "digits/convnext"]
    assert first["adds_bytes"] == 4 * (4 * 8) + 8 * 8, "which share each of eight lines has in each of four, and which"
    assert all(rival["model"] != "digits/plain@4x4" for rival in found.record["rivals"])
    assert found.record["budgets"][0]["member"] == first["name"] and first["verified"]["onnx_max_abs"] < 1e-4
    size = sum(model["size_bytes"] for model in found.record["models"] if "@" not in model["name"])
    assert (out / "model.safetensors").stat().st_size < 1.02 * size
    network, alone = stitchc.load(out), stitchc.load(out)
    network.set_member(first["name"])
    images = torch.rand(4, 1, 8, 8)
    small = smaller(images, 4)
    alone.set_member("plain")
    with torch.inference_mode():
        assert torch.allclose(network(images), alone.member("plain")(small), atol=1e-5)
    made = 4 * 8 * 8 + 4 * 8 * 4  # multiply-adds: of four lines from eight that are eight long, and of four columns
    alone_record = stitchc.extract(out, first["name"], tmp_path / "alone")
    assert first["cost"]["macs"] == alone_record["cost"]["macs"] + made == network.members[first["name"]].macs
    assert first["cost"]["flops"] == 2 * first["cost"]["macs"]
    (model,) = (k for k, one in enumerate(found.plan.models) if one.name == "digits/plain@4x4")
    assert alone_record["cost"] == found.plan.prices[model].as_dict(), "who runs it alone hands it the smaller image"
    with torch.inference_mode():
        assert torch.allclose(stitchc.load(tmp_path / "alone")(small), network(images), atol=1e-5)


@pytest.mark.slow
def test_a_stitch_on_smaller_images_is_a_member_with_the_weights_that_it_has_at_full_size(tmp_path, monkeypatch):
    """Chosen where it scores best; here stitches on smaller images are said to."""
    from stitchc.passes.family.judge import Judge

    def score(self, _, chain):
        front = self.plan.models[chain.front.model].name
        stitched = 0.4 * ("@" in front and bool(chain.adapters))
        return np.full(len(self.images), 0.5 + stitched + 0.01 * ("convnext" in front))

    monkeypatch.setattr(Judge, "__call__", score)
    out = tmp_path / "family"
    found = stitchc.family(
        "digits/convnext", "digits/plain", budget=["20%"], out=out, effort="low", probe_images=160,
        evaluate="digits?split=test&limit=100",
    )  # fmt: skip
    first, *models = found.record["members"]
    assert first["parent"] is None and first["input"]["size"][1] < 8 and first["adds_bytes"] > 0
    assert [one["parent"] for one in models] == ["digits/plain", "digits/convnext"]
    assert first["verified"]["argmax_agreement"] == 1.0 and first["verified"]["onnx_max_abs"] < 1e-4
    size = sum(model["size_bytes"] for model in found.record["models"] if "@" not in model["name"])
    assert (out / "model.safetensors").stat().st_size < 1.05 * (size + first["adds_bytes"])
    network = stitchc.load(out)
    network.set_member(first["name"])
    hybrid = found.family[first["name"]].hybrid.network
    images, side = torch.rand(4, 1, 8, 8), first["input"]["size"][1]
    small = smaller(images, side)
    extracted = tmp_path / "alone"
    stitchc.extract(out, first["name"], extracted)
    with torch.inference_mode():
        assert torch.allclose(network(images), hybrid(small), atol=1e-5)
        assert torch.allclose(stitchc.load(extracted)(small), hybrid(small), atol=1e-5)
    page = (out / "report.html").read_text()
    assert f"on {side}" in page
    assert "in one file" in page and "stitchc family --recipe recipe.toml" in page
