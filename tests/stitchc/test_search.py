"""`search`: from a pool of models to the artifact of the best chain."""

import contextlib
import csv
import io
import json
from itertools import pairwise

import pytest
import torch

import stitchc
from stitchc.cli import main
from stitchc.passes.data.cut_names import find_cut
from stitchc.passes.data.errors import Infeasible, InputError, QuantityError, StitchError
from stitchc.search import check_ensemble
from stitchc.searches import sweep
from stitchc.searches.options import SearchOptions

POOL = ("digits/convnext", "digits/plain")
FAST = {"effort": "low", "probe_images": 128, "heal_sweeps": 1, "rivals": "none", "onnx": False}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What the command line prints of a search, and its folder."""
    out = tmp_path_factory.mktemp("search") / "chain"
    words = ["--effort", "low", "--probe-images", "128", "--heal-sweeps", "1", "--no-onnx"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["search", *POOL, "--budget", "macs=1.2M", *words, "--json", "-o", str(out)]) == 0
    return json.loads(said.getvalue()), out


def test_the_best_chain_is_written_with_its_rivals_and_is_what_it_says(found):
    document, out = found
    assert document["pool"]["fragments"] == 38 and document["pool"]["starting"] == document["pool"]["terminating"] == 2
    assert document["pool"]["middle"] == 34 and document["chosen"] == 0
    best = document["chains"][0]
    plan = json.loads((out / "plan.json").read_text())
    assert document["plan"] == plan and plan["rivals"] and plan["recommended"] is not None
    assert [link.get("model") for link in best["chain"]] == [link.get("model") for link in plan["chain"]]
    assert best["cost"] == plan["cost"] and best["cost"]["macs"] <= 1.2e6
    assert (out / "model.safetensors").stat().st_size == best["cost"]["size_bytes"]
    network = stitchc.load(out)
    assert sum(p.numel() for p in network.parameters()) == best["cost"]["params"]
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert best["accuracy"] == plan["accuracy"]["top1"] > 0.9
    page = (out / "report.html").read_text()
    assert "The search" in page and "The best chains" in page and 'data-chart="scatter"' in page
    first = page[page.index("The best chains") :].split("</tr>")[1]
    assert f"{100 * best['accuracy']:.1f} %" in first  # as it was written, which the search did not know yet


def test_chains_are_ordered_and_estimates_come_with_how_far_they_hold(found):
    document, _ = found
    healed = [one for one in document["chains"] if one["healed"]]
    assert len(healed) == 2 and document["chains"][:2] == healed and all(one["accuracy"] for one in healed)
    for group in (healed, document["chains"][2:]):
        assert all(a["score"] >= b["score"] for a, b in pairwise(group))
    assert all(one["cost"]["macs"] <= 1.2e6 and 0 <= one["expected"] <= 1 for one in document["chains"])
    assert document["search"]["probed"] >= 24 and document["search"]["seam_losses"]["cases"] >= 24


def test_the_recipe_of_a_chain_compiles_to_the_same_bytes(found, tmp_path):
    _, out = found
    again = tmp_path / "again"
    assert main(["compile", "--recipe", str(out / "recipe.toml"), "-o", str(again)]) == 0
    for name in ("model.py", "model.safetensors", "recipe.toml"):
        assert (out / name).read_bytes() == (again / name).read_bytes()


def test_the_report_tells_of_pool_chains_and_the_network(capsys, tmp_path):
    words = [f"--{name.replace('_', '-')}={value}" for name, value in FAST.items() if name != "onnx"]
    assert main(["search", "digits/plain", "--budget=macs=60%", "--keep=3", *words, "--no-onnx",
                 "-o", str(tmp_path / "x")]) == 0  # fmt: skip
    out = capsys.readouterr().out
    for said in ("26 fragments: 1 starting, 24 middle, 1 terminating", "The best chains", "seams probed",
                 "Verified", "model.safetensors"):  # fmt: skip
        assert said in out
    assert out.count("/ plain") >= 3, "parts of one model are left out"


def test_a_dry_run_tells_of_the_pool_alone(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["search", *POOL, "--rule", "stitchnet", "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pool"] | {"models": 0} == {
        "models": 0, "rule": "stitchnet", "fragments": 12, "starting": 2, "middle": 8, "terminating": 2,
    }  # fmt: skip
    assert document["chains"] == [] and document["chosen"] is None and not list(tmp_path.iterdir())
    assert main(["search", *POOL, "--dry-run"]) == 0
    assert "38 fragments" in capsys.readouterr().out


@pytest.mark.slow
def test_a_sweep_gives_the_best_chain_under_each_budget_and_a_table(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [f"--{name.replace('_', '-')}={FAST[name]}" for name in ("effort", "probe_images", "heal_sweeps")]
    files = ["--csv", "front.csv", "--plot", "front.svg"]
    assert main(["search", *POOL, "--sweep", "macs=20%..90%/3", *files, *words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    limits = [point["budget"]["macs"] for point in document["front"]]
    whole = max(model["cost"]["macs"] for model in document["models"])
    assert limits == pytest.approx([0.2 * whole, 0.55 * whole, 0.9 * whole])
    chosen = [document["chains"][p["chain"]] for p in document["front"] if p["chain"] is not None]
    assert all(one["cost"]["macs"] <= limit for one, limit in zip(chosen, limits[-len(chosen) :], strict=True))
    assert all(one["accuracy"] > 0.5 for one in chosen) and document["chosen"] is None
    with open("front.csv", newline="") as file:
        table = list(csv.DictReader(file))
    smaller = [f"{name}@4x4" for name in POOL]  # beside the models, these on the images that take less
    assert [row["kind"] for row in table] == ["chain"] * len(chosen) + ["model"] * 4
    assert [row["network"] for row in table] == [one["words"] for one in chosen] + [*POOL, *smaller]
    assert all(int(row["macs"]) < whole / 2 and float(row["accuracy"]) < 0.5 for row in table[-2:])
    assert [int(row["macs"]) for row in table[: len(chosen)]] == [one["cost"]["macs"] for one in chosen]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["front.csv", "front.svg"]
    stitchc.compile(*POOL, chain=chosen[-1]["words"], **FAST, out="chain")
    written = json.loads((tmp_path / "chain" / "plan.json").read_text())
    assert written["accuracy"]["top1"] == chosen[-1]["accuracy"], "the front is of networks as a compile writes them"


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("20%..80%/4", [0.2, 0.4, 0.6, 0.8]),
        ("macs=1M..2M/3", [1e6, 1.5e6, 2e6]),
        ("params=0.5M..1.5M/2", [5e5, 15e5]),
        ("10%..80%", [k / 10 for k in range(1, 9)]),
    ],
)
def test_budgets_of_a_sweep(words, values):
    found = sweep.limits(words)
    assert [limit.value for limit in found] == pytest.approx(values)
    assert {limit.metric for limit in found} == {words.partition("=")[0] if "=" in words else "flops"}


@pytest.mark.parametrize("words", ["20%", "90%..20%", "20%..90%/1", "20%..2M", "miles=1..2", "..", "20%..", "5..x"])
def test_what_is_no_sweep_is_refused(words):
    with pytest.raises(QuantityError):
        sweep.limits(words)


@pytest.mark.slow
def test_an_integer_program_holds_rules_that_do_not_add_up():
    given = {**FAST, "method": "milp", "budget": "macs=1.6M"}
    best = stitchc.search(*POOL, **given).chains[0]
    assert len({f.model for f in best.chain.fragments}) == 2
    found = stitchc.search(*POOL, **given, models_at_least=1, switches=0, hold="B:features.1.0..features.4.0")
    (chain,) = [one.chain for one in found.chains]
    assert {f.model for f in chain.fragments} == {1} and len(chain.fragments) > 1
    first, last = (find_cut(found.pool.cuts[1].cuts, name) for name in ("features.1.0", "features.4.0"))
    assert any((f.start is None or f.start <= first) and (f.end is None or f.end >= last) for f in chain.fragments)


@pytest.mark.slow
def test_stitchnet_from_the_command_line(capsys, tmp_path):
    words = ["--method", "stitchnet", "--probe-images", "32", "--heal=none", "--rivals=none", "--no-onnx", "--json"]
    assert main(["search", *POOL, "--budget", "macs=1.6M", *words, "-o", str(tmp_path / "x")]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["pool"]["rule"] == "stitchnet" and document["pool"]["fragments"] == 12
    scores = [one["similarity"] for one in document["chains"]]
    assert scores == sorted(scores, reverse=True) and all(0.5 < score <= 1 for score in scores)
    assert all(link["adapter"]["name"] == "fused" for link in document["chains"][0]["chain"] if "adapter" in link)
    plan = document["plan"]
    assert plan["cost"] == document["chains"][0]["cost"] and plan["verified"]["argmax_agreement"] == 1.0


@pytest.mark.parametrize(
    ("models", "given", "error", "said"),
    [
        ((), {}, InputError, "no models"),
        (POOL, {"rank": "fit"}, InputError, "scores pairs"),
        (POOL, {"budget": "latency=1ms"}, QuantityError, "does not add up"),
        (POOL, {"budget": "memory=1MiB"}, QuantityError, "does not add up"),
        (POOL, {"data": "random"}, InputError, "cannot be with 'random"),
        (POOL, {"budget": "macs=1000"}, Infeasible, "budget"),
        (POOL, {"adapters": "nonesuch"}, StitchError, "no adapter"),
        (("digits/vit",), {"rule": "stitchnet"}, InputError, "can be joined by"),
        (POOL, {"effort": "much"}, StitchError, "much"),
        (POOL, {"sweep": "20%..90%"}, InputError, "no artifact"),
        (POOL, {"method": "stitchnet", "budget": "macs=1000"}, Infeasible, "none is within"),
        (POOL, {"method": "stitchnet", "threshold": 1.0}, Infeasible, "whole model"),
        (POOL, {"method": "stitchnet", "adapters": ("linear", "fused")}, InputError, "one adapter"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(models, given, error, said, tmp_path):
    with pytest.raises(error, match=said):
        stitchc.search(*models, **{**FAST, **given}, out=tmp_path / "x")
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def voting(tmp_path_factory):
    """What the command line prints of a search for an ensemble, and its folder."""
    out = tmp_path_factory.mktemp("search") / "ensemble"
    words = ["--effort", "low", "--probe-images", "128", "--heal-sweeps", "1", "--rivals=none", "--json"]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["search", *POOL, "--ensemble", "2", "--budget", "macs=3.6M", *words, "-o", str(out)]) == 0
    return json.loads(said.getvalue()), out


@pytest.mark.slow
def test_chains_vote_and_take_what_they_take_together(voting):
    document, out = voting
    plan = json.loads((out / "plan.json").read_text())
    members = [document["chains"][k] for k in document["ensemble"]["members"]]
    assert len(members) == len(plan["ensemble"]) == 2 and document["ensemble"]["members"][0] == 0
    assert all(one["cost"]["macs"] <= 1.8e6 for one in members)
    for key in ("macs", "params"):
        assert plan["cost"][key] == sum(one["cost"][key] for one in members)
    assert plan["cost"]["size_bytes"] == (out / "model.safetensors").stat().st_size
    assert plan["accuracy"]["top1"] > 0.9 and plan["verified"]["onnx_max_abs"] < 1e-4
    assert document["ensemble"]["score"] > 0.5 and members[0]["words"] != members[1]["words"]


@pytest.mark.slow
def test_an_ensemble_says_the_mean_of_what_its_chains_say(voting, tmp_path):
    document, out = voting
    data = torch.rand(6, 1, 8, 8)
    said = []
    for k, one in enumerate(document["chains"][k] for k in document["ensemble"]["members"]):
        words = {"probe_images": 128, "heal_sweeps": 1, "rivals": "none", "onnx": False, "effort": "low"}
        stitchc.compile(*POOL, chain=one["words"], **words, out=tmp_path / str(k))
        said.append(stitchc.load(tmp_path / str(k))(data).softmax(1))
    torch.testing.assert_close(stitchc.load(out)(data).exp(), torch.stack(said).mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_the_recipe_of_an_ensemble_compiles_to_the_same_bytes(voting, tmp_path):
    _, out = voting
    again = tmp_path / "again"
    assert main(["compile", "--recipe", str(out / "recipe.toml"), "-o", str(again)]) == 0
    for name in ("model.py", "model.safetensors", "recipe.toml"):
        assert (out / name).read_bytes() == (again / name).read_bytes()
    assert "The chains vote" in (out / "report.html").read_text() and "chains vote" in (out / "README.md").read_text()
    with pytest.raises(InputError, match="an ensemble of chains"):
        stitchc.tune(out, data="digits", train="adapter", epochs=1)


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"ensemble": 2, "method": "milp"}, InputError, "milp finds one chain"),
        ({"ensemble": 2, "sweep": "20%..90%"}, InputError, "no artifact"),
        ({"ensemble": 9, "budget": "macs=0.1M"}, Infeasible, "budget"),
    ],
)
def test_ensembles_that_cannot_be_are_refused(given, error, said, tmp_path):
    with pytest.raises(error, match=said):
        stitchc.search(*POOL, **{**FAST, **given}, out=tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_fewer_chains_than_are_to_vote_are_refused():
    with pytest.raises(Infeasible, match="3 were asked for"):
        check_ensemble(SearchOptions(ensemble=3), [None, None])
    check_ensemble(SearchOptions(ensemble=2), [None, None])


@pytest.mark.slow
def test_what_is_kept_of_other_searches_changes_nothing(tmp_path, monkeypatch):
    """Neither what is chosen nor a byte of it."""

    def made(cache, budget):
        monkeypatch.setenv("STITCHC_CACHE_DIR", str(tmp_path / cache))
        found = stitchc.search(*POOL, **FAST, budget=budget, out=tmp_path / f"{cache}-{budget}", force=True)
        return [one.chain for one in found.found.tried], (tmp_path / f"{cache}-{budget}/model.safetensors").read_bytes()

    alone = made("one", "40%")
    made("two", "90%")
    assert list((tmp_path / "two").rglob("*")), "something is kept"
    assert made("two", "40%") == alone
    assert made("two", "40%") == alone
