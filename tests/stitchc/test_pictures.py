"""What `--plot` writes of a search and of a sweep, from their documents."""

import contextlib
import io
import json

import pytest

from stitchc.cli import main
from stitchc.report.page.charts import chains_chart
from stitchc.report.pictures import front_picture, search_picture, stages_picture


def chain(words: str, macs: int, score: float | None, accuracy: float | None) -> dict:
    link = {"model": "digits/a", "from": None, "to": None, "from_label": None, "to_label": None}
    cost = {"macs": macs, "params": macs // 10, "flops": 2 * macs, "size_bytes": 4, "memory_bytes": 4}
    return {"chain": [link], "cost": cost, "score": score, "accuracy": accuracy, "words": words}


@pytest.fixture
def searched() -> dict:
    chains = [chain("x", 10, 0.9, 0.95), chain("y", 20, 0.8, None), chain("z", 30, None, None)]
    return {"chains": chains, "chosen": 0}


@pytest.fixture
def swept() -> dict:
    front = [
        {"budget": {"macs": 15}, "chain": 0},
        {"budget": {"macs": 25}, "chain": 1},
        {"budget": {"macs": 5}, "chain": None},
    ]
    models = [{"name": "digits/a", "cost": {"macs": 40, "params": 4}, "accuracy": 0.99}]
    chains = [chain("x", 10, 0.9, 0.95), chain("y", 20, 0.8, 0.97)]
    return {"chains": chains, "chosen": None, "front": front, "models": models}


def places(axes) -> list[list[tuple[float, float]]]:
    return [[tuple(place) for place in points.get_offsets().tolist()] for points in axes.collections]


def test_a_search_is_its_chains_and_the_one_that_was_written(searched):
    (axes,) = search_picture(searched).axes
    assert places(axes) == [[(10, 0.9), (20, 0.8)], [(10, 0.9)]]


def test_a_front_is_its_chains_and_the_models_by_accuracy(swept):
    (axes,) = front_picture(swept).axes
    assert places(axes) == [[(10, 0.95), (20, 0.97)], [(40, 0.99)]] and axes.get_ylabel() == "top-1 accuracy"
    assert [text.get_text() for text in axes.texts] == [["digits", "a"][-1]]


def test_a_front_without_labels_is_drawn_by_score(swept):
    for one in (*swept["chains"], *swept["models"]):
        one["accuracy"] = None
    (axes,) = front_picture(swept).axes
    assert places(axes) == [[(10, 0.9), (20, 0.8)]] and axes.get_ylabel().startswith("score")


def test_a_front_without_chains_is_the_models(swept):
    for point in swept["front"]:
        point["chain"] = None
    (axes,) = front_picture(swept | {"chains": []}).axes
    assert places(axes) == [[(40, 0.99)]]


def test_stages_have_a_panel_for_each_sum():
    from stitchc.examine import cost, stages

    parts = stages(cost("digits/plain"), 2)
    params, macs = stages_picture("plain", parts).axes
    assert [bar.get_width() for bar in macs.patches] == [part.sums["macs"] for part in parts]
    assert [bar.get_width() for bar in params.patches] == [part.sums["params"] for part in parts]


def test_the_chart_of_a_sweep_holds_chains_and_models(swept):
    text = chains_chart(swept).html()
    document = json.loads(text[text.index('id="scatter-points">') + 20 : text.rindex("</script>")])
    assert [(point["kind"], point["macs"]) for point in document["points"]] == [("candidate", 10), ("candidate", 20)]
    assert [(point["kind"], point["macs"]) for point in document["others"]] == [("parent", 40)]
    assert document["reached"] == ["accuracy", "score"]  # first what most are known by


def test_a_dry_run_of_a_search_has_nothing_to_draw(tmp_path):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        assert main(["search", "digits/plain", "--dry-run", "--plot", str(tmp_path / "a.svg")]) == 2
    assert "finds nothing" in said.getvalue()
