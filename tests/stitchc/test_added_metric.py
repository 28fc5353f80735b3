"""A metric added from outside is known wherever metrics are, without another line anywhere."""

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace

import pytest

from stitchc.cli import main
from stitchc.passes import Codegen, Cost, Partition, Plan, Stitch, Trace
from stitchc.passes.cost.count import count
from stitchc.passes.cost.fragments import fragment_prices
from stitchc.passes.data import metrics
from stitchc.passes.data.metrics import BYTES, Metric, register
from stitchc.passes.emit.load import load_module
from stitchc.passes.trace.record import record
from stitchc.recipe import read as read_recipe
from stitchc.zoo import load

CUTS = "--front", "stage2.0", "--back", "features.6", "--adapter", "linear", "--probe-images", "64"


@pytest.fixture(autouse=True, scope="module")
def reads():
    yield register(
        Metric(
            "reads", "reads_bytes", BYTES, "20MiB", "weights read", "bytes of weights, one image",
            of_call=lambda call: call.weights_bytes,
        )
    )  # fmt: skip
    metrics._ADDED.clear()


def run(*arguments) -> tuple[int, str, str]:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        status = main([*map(str, arguments), "-q"])
    return status, out.getvalue(), err.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("added") / "out"
    budget = "--budget", "150%", "--metric", "reads"
    status, text, said = run("compile", "digits/resnet", "digits/plain", *budget, *CUTS, "--no-onnx", "-o", out)
    assert status == 0, said
    return out, text


def by_hand(network) -> int:
    """Bytes of all weights of a network whose layers are each called once."""
    buffers = sum(b.nbytes for b in network.buffers())
    return sum(p.nbytes for p in network.parameters()) + buffers


def test_budgets_reports_and_documents_know_it(made):
    out, text = made
    record = json.loads((out / "plan.json").read_text())
    taken, limit = record["cost"]["reads_bytes"], record["budget"]["reads"]
    assert taken == by_hand(load_module(out))
    assert limit == pytest.approx(1.5 * max(model["reads_bytes"] for model in record["models"])) and taken <= limit
    assert all(part["adapter"]["reads_bytes"] > 0 for part in record["chain"] if "adapter" in part)
    assert "budget: " in text and any(line.startswith("weights read") for line in text.splitlines())
    assert "weights read" in (out / "README.md").read_text()


def test_a_recipe_holds_its_budget(made, tmp_path):
    out, _ = made
    assert read_recipe(out / "recipe.toml").options["budget"] == ["reads=150%"]
    again = "--recipe", out / "recipe.toml", "--dry-run", "--json"
    status, document, said = run("compile", *again)
    assert status == 0, said
    assert json.loads(document)["budget"] == json.loads((out / "plan.json").read_text())["budget"]


def test_what_cannot_be_met_is_told_in_its_unit():
    status, _, said = run("compile", "digits/resnet", "digits/plain", "--budget", "reads=2KiB", *CUTS, "--dry-run")
    assert status == 1 and "at most 2.00 KiB" in said and "Raise the budget to reads=" in said
    status, _, said = run("compare", "digits/resnet", "digits/plain", "--budget", "reads=5ms")
    assert status == 2 and "Try 20MiB" in said


def test_costs_tables_and_fronts_know_it():
    status, text, said = run("cost", "digits/plain", "--metric", "reads")
    assert status == 0, said
    assert [line.split()[0] for line in text.splitlines() if "bytes of weights, one image" in line] == ["reads"]
    status, text, said = run("inspect", "digits/plain")
    assert status == 0 and "weights" in text
    pareto = "--pareto", "reads,similarity", "--adapter", "linear", "--rank", "cka", "--probe-images", "64"
    status, document, said = run("compare", "digits/resnet", "digits/plain", *pareto, "--json")
    assert status == 0, said
    front = json.loads(document)["pareto"]["candidates"]
    taken = [candidate["cost"]["reads_bytes"] for candidate in front]
    assert len(front) > 1 and taken == sorted(taken)


HELP = """
from stitchc.passes.data.metrics import BYTES, Metric, register
register(Metric("reads", "reads_bytes", BYTES, "20MiB", "weights read", "bytes", of_call=lambda c: c.weights_bytes))
from stitchc.cli import main
main(["compare", "--help"])
"""


def test_the_help_of_a_program_that_starts_with_it_names_it():
    text = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=False).stdout
    assert "|reads" in text.replace("\n", "").replace(" ", "")


@pytest.fixture(scope="module")
def cut():
    models = tuple(load(f"digits/{name}") for name in ("resnet", "plain"))
    return Partition()(Trace()(Plan(models)))


@pytest.mark.parametrize("adapter", ["linear", "conv3x3-relu", "bottleneck", "fused"])
def test_a_candidate_takes_what_is_written_for_it(cut, adapter, tmp_path):
    plan = Cost(adapters=(adapter,))(cut)
    table, size = plan.candidates, plan.models[0].input.size
    assert len(table) > 10
    for row in (0, len(table) // 2, len(table) - 1):
        Codegen(tmp_path / str(row))(Stitch()(replace(plan, choice=(table[row],))))
        written = load_module(tmp_path / str(row))
        again = fragment_prices(count(record(written, size), size), []).whole
        assert table.price(row)["reads"] == again["reads"] == by_hand(written), row


@pytest.mark.parametrize("adapter", ["linear", "fused"])
def test_a_chain_of_three_takes_what_is_written_for_it(cut, adapter, tmp_path):
    plan = Cost()(cut)
    chain = f"A:..stage2.0 / {adapter} / B:features.3..features.6 / linear / A:stage3.0.."
    whole = Codegen(tmp_path)(Stitch(chain=chain)(plan)).hybrid
    assert whole.price["reads"] == by_hand(load_module(tmp_path))
    assert all("reads" in use.price for use in whole.adapters)  # of what is folded the difference, which may be less
