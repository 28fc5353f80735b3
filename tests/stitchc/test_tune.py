"""Training an artifact: what trains and what does not, going on after a crash, what is written."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_hybrid import CLASSES, SIDE, network

import stitchc
from stitchc import recipe
from stitchc.passes.data.errors import DataError, Diverged, InputError, OutputError, UnsafeCheckpoint
from stitchc.passes.data.model import InputSpec, Model, TensorImages
from stitchc.progress import Silent
from stitchc.tuning.loop import Loop
from stitchc.tuning.origins import Origins, better
from stitchc.tuning.settings import TuneOptions

COUNT = 48


@pytest.fixture(scope="module")
def parents() -> tuple[Model, Model]:
    torch.manual_seed(0)
    spec = InputSpec((1, SIDE, SIDE), (0.0,), (1.0,))
    return tuple(Model(name, spec, module=network(width).eval()) for name, width in (("wide", 6), ("thin", 4)))


@pytest.fixture(scope="module")
def images() -> TensorImages:
    """Three classes: rows that alternate, columns that do, and neither."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(COUNT) % CLASSES
    pixels = torch.randn(COUNT, 1, SIDE, SIDE, generator=generator)
    pixels[labels == 0, :, ::2] += 2.0
    pixels[labels == 1, :, :, ::2] += 2.0
    return TensorImages(pixels, labels, name="stripes")


@pytest.fixture(scope="module")
def hybrid(parents, images, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("hybrid") / "hybrid"
    stitchc.compile(*parents, front="0", back="0", adapter="linear", data=images, onnx=False, out=out)
    return out


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def changed(before: Path, after: Path) -> set[str]:
    old, new = weights(before), weights(after)
    assert list(old) == list(new)
    return {key for key in old if not torch.equal(old[key], new[key])}


class Stopped(Exception):
    pass


class StopAfter(Silent):
    """Stands for a process that dies: raises after so many updates of the training."""

    def __init__(self, steps: int):
        self.steps = steps

    def update(self, done: int, total: int, said: str = "") -> None:
        if said.startswith("epoch") and done >= self.steps:
            raise Stopped


@pytest.fixture
def talkative(monkeypatch):
    """Progress is told after every step."""
    monkeypatch.setattr("stitchc.tuning.loop._SHOWN", 0.0)


@pytest.mark.parametrize(
    ("train", "parts"),
    [("adapter", {"adapter"}), ("back", {"adapter", "back"}), ("front", {"front", "adapter"}),
     ("all", {"front", "adapter", "back"})],
)  # fmt: skip
def test_a_mode_trains_what_it_says_and_nothing_else(train, parts, hybrid, images, tmp_path):
    made = stitchc.tune(hybrid, images, train=train, epochs=2, batch=16, out=tmp_path / "out")
    new = changed(hybrid, tmp_path / "out")
    assert {key.split(".")[0] for key in new} == parts
    trained = {key: value for key, value in weights(hybrid).items() if key.split(".")[0] in parts}
    assert new == {key for key in trained}  # every weight, and the statistics of every BatchNorm
    learned = stitchc.load(hybrid).named_parameters()
    assert made.trained_params == sum(p.numel() for name, p in learned if name.split(".")[0] in parts)
    assert made.record["tuned"][0]["trained_params"] == made.trained_params


def test_the_artifact_is_written_anew_and_holds(hybrid, images, tmp_path):
    made = stitchc.tune(hybrid, images, train="all", epochs=8, batch=16, lr=0.02, evaluate=images, out=tmp_path / "out")
    record = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert record == made.record
    (entry,) = record["tuned"]
    assert entry["accuracy"]["before"] == made.before.top1 < made.after.top1 == record["accuracy"]["top1"]
    assert [item["epoch"] for item in entry["history"]] == list(range(1, 9))
    assert entry["history"][-1]["loss"] < entry["history"][0]["loss"]
    assert stitchc.verify(tmp_path / "out").argmax_agreement == 1.0
    assert stitchc.evaluate(tmp_path / "out", images).top1 == made.after.top1
    assert (tmp_path / "out" / "model.py").read_text() == (hybrid / "model.py").read_text()
    text = (tmp_path / "out" / "README.md").read_text()
    assert "Trained the whole" in text and "stitchc tune DIR --recipe recipe.toml" in text
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Trained: " in page and "stitchc tune DIR --recipe recipe.toml" in page and record["hybrid"] is None
    assert [path.name for path in tmp_path.iterdir()] == ["out"]  # no checkpoint, no scratch


def test_without_o_the_tuned_one_takes_the_place_and_the_untuned_one_is_kept(hybrid, images, tmp_path, copied):
    here = copied(hybrid, tmp_path / "here")
    (here / "notes.txt").write_text("mine")
    made = stitchc.tune(here, images, epochs=1, batch=16)
    assert made.folder == here and made.kept.name == "here-untuned"
    assert not changed(hybrid, made.kept) and changed(made.kept, here)
    assert (here / "notes.txt").read_text() == "mine"
    again = stitchc.tune(here, images, epochs=1, batch=16)
    assert again.kept.name == "here-untuned-2" and len(again.record["tuned"]) == 2


@pytest.fixture
def copied():
    import shutil

    return lambda source, target: Path(shutil.copytree(source, target))


def test_an_artifact_in_the_way_is_only_replaced_by_force(hybrid, images, tmp_path, copied):
    there = copied(hybrid, tmp_path / "there")
    with pytest.raises(OutputError, match="holds an artifact already"):
        stitchc.tune(hybrid, images, epochs=1, out=there)
    stitchc.tune(hybrid, images, epochs=1, batch=16, out=there, force=True)
    assert changed(hybrid, there) and [path.name for path in tmp_path.iterdir()] == ["there"]


ALL = {"train": "all", "augment": "crop,flip", "accumulate": 2, "optimizer": "sgd"}


@pytest.mark.parametrize(
    ("options", "steps"),
    [({"train": "adapter"}, 1), (ALL, 1), (ALL, 4), ({"train": "back", "augment": "flip", "holdout": 0.25}, 4)],
    ids=["adapter 1", "all 1", "all 4", "back 4"],
)
def test_a_training_that_died_goes_on_to_the_same_bits(options, steps, hybrid, images, tmp_path, talkative):
    given = {"epochs": 4, "batch": 16, "checkpoint_seconds": 0.0, **options}
    whole = stitchc.tune(hybrid, images, out=tmp_path / "whole", **given)
    with pytest.raises(Stopped):
        stitchc.tune(hybrid, images, out=tmp_path / "out", progress=StopAfter(steps + 1), **given)
    assert {path.name for path in tmp_path.iterdir()} == {"whole", ".out.tuning"}
    resumed = stitchc.tune(hybrid, images, out=tmp_path / "out", **given)
    assert resumed.resumed == steps and whole.resumed == 0
    assert resumed.history == whole.history
    for name in ("model.safetensors", "recipe.toml", "README.md", "report.html"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "out"}


def test_a_training_that_died_between_the_last_step_of_an_epoch_and_its_end_goes_on(
    hybrid, images, tmp_path, monkeypatch
):
    given = {"epochs": 2, "batch": 16, "checkpoint_seconds": 0.0}
    whole = stitchc.tune(hybrid, images, out=tmp_path / "whole", **given)

    def dies(_):
        raise Stopped

    with monkeypatch.context() as patch, pytest.raises(Stopped):
        patch.setattr(Loop, "_finish_epoch", dies)
        stitchc.tune(hybrid, images, out=tmp_path / "out", **given)
    resumed = stitchc.tune(hybrid, images, out=tmp_path / "out", **given)
    assert resumed.resumed and resumed.history == whole.history


def test_an_unfinished_training_is_not_mixed_with_another(hybrid, images, tmp_path, talkative):
    given = {"epochs": 3, "batch": 16, "checkpoint_seconds": 0.0, "out": tmp_path / "out"}
    with pytest.raises(Stopped):
        stitchc.tune(hybrid, images, progress=StopAfter(2), **given)
    with pytest.raises(InputError, match=r"lr was 0.0003, now 0.5") as refused:
        stitchc.tune(hybrid, images, lr=0.5, **given)
    assert "`restart=True`" in refused.value.hint
    made = stitchc.tune(hybrid, images, lr=0.5, restart=True, **given)
    assert made.resumed == 0 and made.settings.lr == 0.5


def test_kept_features_change_nothing_but_the_time(hybrid, images, tmp_path):
    for name, cache in (("kept", True), ("computed", False)):
        stitchc.tune(hybrid, images, augment="flip", epochs=3, batch=16, cache=cache, out=tmp_path / name)
    kept, computed = weights(tmp_path / "kept"), weights(tmp_path / "computed")
    assert all(torch.allclose(kept[key], computed[key], atol=1e-5) for key in kept)


def test_features_beyond_the_memory_allowed_go_to_a_file(hybrid, images, tmp_path):
    for name, limit in (("memory", "1GiB"), ("file", 0)):
        stitchc.tune(hybrid, images, epochs=2, batch=16, max_memory=limit, out=tmp_path / name)
    assert not changed(tmp_path / "memory", tmp_path / "file")
    assert {path.name for path in tmp_path.iterdir()} == {"memory", "file"}


def test_accumulated_steps_are_those_of_the_whole_batch(hybrid, images, tmp_path):
    for parts in (1, 2):
        stitchc.tune(hybrid, images, epochs=2, batch=16, accumulate=parts, out=tmp_path / str(parts))
    one, two = weights(tmp_path / "1"), weights(tmp_path / "2")
    assert all(torch.allclose(one[key], two[key], atol=1e-5) for key in one)


def test_patience_ends_a_training_and_the_best_epoch_stays(hybrid, images, tmp_path):
    made = stitchc.tune(
        hybrid, images, train="all", epochs=50, batch=12, lr=0.3, patience=2, holdout=0.25, out=tmp_path / "out"
    )
    held = [item["holdout"] for item in made.history]
    assert len(held) < 50
    assert made.held_out.images == 12 and len(held) == made.held_out.epoch + 2
    first = stitchc.tune(
        hybrid, images, train="all", epochs=50, batch=12, lr=0.3, patience=2, holdout=0.25, out=tmp_path / "again"
    )
    assert first.history == made.history


def test_a_training_that_makes_it_worse_keeps_the_untuned_weights_and_says_so(hybrid, images, tmp_path):
    good = {"train": "all", "lr": 0.02, "epochs": 8, "batch": 16, "evaluate": images}
    stitchc.tune(hybrid, images, out=tmp_path / "good", **good)
    bad = {"train": "all", "optimizer": "sgd", "lr": 5.0, "warmup": 0.0, "epochs": 2, "batch": 16, "evaluate": images}
    made = stitchc.tune(tmp_path / "good", images, out=tmp_path / "kept", **bad)
    assert not changed(tmp_path / "good", tmp_path / "kept")
    entry = made.record["tuned"][1]["held_out"]
    assert entry["epoch"] == 0 and entry["right"] == entry["right_before"] and entry["by"] == "labels"
    assert "the untuned weights, since no epoch was better" in (tmp_path / "kept" / "README.md").read_text()
    last = stitchc.tune(tmp_path / "good", images, out=tmp_path / "last", holdout=0.0, **bad)
    assert changed(tmp_path / "good", tmp_path / "last") and last.held_out is None


def test_a_teacher_is_learned_from_without_labels(parents, hybrid, images, tmp_path):
    unlabelled = TensorImages(images.tensor, name="unlabelled")
    with pytest.raises(DataError, match="no labels"):
        stitchc.tune(hybrid, unlabelled, out=tmp_path / "out")
    made = stitchc.tune(
        hybrid, unlabelled, train="all", distill="front", parents=parents, epochs=8, batch=16, lr=0.01,
        out=tmp_path / "out",
    )  # fmt: skip
    assert made.settings.distill_weight == 1.0
    losses = [item["loss"] for item in made.history]
    assert losses[-1] < losses[0]
    entry = made.record["tuned"][0]["held_out"]
    assert entry["by"] == "teachers" and entry["images"] == COUNT // 5 and entry["nats"] < entry["nats_before"]
    assert made.after is None and made.record["accuracy"] is None


def test_a_parent_at_another_size_is_the_parent_shown_images_of_that_size(parents, tmp_path):
    other = parents[1].at((1, 6, 6))
    models = [{"name": model.name, "input": {"size": list(model.input.size)}} for model in (*parents, other)]
    record = {"models": models, "chain": [{"model": "wide"}, {"model": other.name}]}

    def origins(*given: Model) -> Origins:
        return Origins(record, given, tmp_path, TuneOptions(), Silent())

    (teacher,) = origins(*parents).teachers("back")
    assert teacher.input.size == (1, 6, 6) and teacher.module is parents[1].module and teacher.name == other.name
    with pytest.raises(InputError, match="was made from 2 models, and 3 were given"):
        origins(*parents, other)


def test_a_parent_that_cannot_be_found_is_named(hybrid, images, tmp_path):
    with pytest.raises(InputError, match="does not say where its parent wide came from"):
        stitchc.tune(hybrid, images, distill="front", out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_plain_model_is_trained_to_an_artifact_of_its_own(parents, images, tmp_path):
    big, small = parents
    unlabelled = TensorImages(images.tensor, name="unlabelled")
    given = {"teacher": [big], "epochs": 8, "batch": 16, "lr": 0.02, "out": tmp_path / "out"}
    made = stitchc.tune(small, unlabelled, evaluate=images, **given)
    assert [link["model"] for link in made.record["chain"]] == ["thin"] and made.settings.train == "all"
    assert made.held_out.best.by == "teachers" and made.held_out.best.better(made.held_out.start)
    nats = [item["holdout_nats"] for item in made.history]
    error = (COUNT // 5) ** -0.5
    alike = [1 + place for place, value in enumerate(nats) if value <= (1 + error) * min(nats[: place + 1])]
    assert made.held_out.epoch == alike[-1]
    before = stitchc.load(tmp_path / "out").state_dict()
    assert set(before) == {key for key in small.module.state_dict()}
    x = images.tensor[:4]
    assert not torch.allclose(stitchc.load(tmp_path / "out")(x), small.module(x))
    assert stitchc.evaluate(tmp_path / "out", images).top1 == made.after.top1
    assert stitchc.verify(tmp_path / "out").argmax_agreement == 1.0
    more = {"epochs": 1, "batch": 16, "evaluate": images, "parents": [small]}
    again = stitchc.tune(tmp_path / "out", images, out=tmp_path / "again", **more)
    assert len(again.record["tuned"]) == 2 and again.settings.train == "all"
    assert {path.name for path in tmp_path.iterdir()} == {"out", "again"}


def test_a_plain_model_that_died_in_training_goes_on_to_the_same_bits(parents, images, tmp_path, talkative):
    given = {"epochs": 3, "batch": 16, "checkpoint_seconds": 0.0, "augment": "flip"}
    stitchc.tune(parents[1], images, out=tmp_path / "whole", **given)
    with pytest.raises(Stopped):
        stitchc.tune(parents[1], images, out=tmp_path / "out", progress=StopAfter(3), **given)
    resumed = stitchc.tune(parents[1], images, out=tmp_path / "out", **given)
    assert resumed.resumed == 2 and not changed(tmp_path / "whole", tmp_path / "out")


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({}, "thin is no artifact", "`out`"),
        ({"out": "x", "distill": "better"}, "was made from no other networks", "`teacher`"),
        ({"out": "x", "train": "back"}, "one network without an adapter", "`train`"),
        ({"out": "x", "teacher": ["a"], "distill": "both"}, "both say whom to learn from", "one of them"),
    ],
)
def test_what_a_plain_model_cannot_be_asked_is_refused(given, message, hint, parents, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as refused:
        stitchc.tune(parents[1], images, **given)
    assert hint in refused.value.hint and list(tmp_path.iterdir()) == []


def test_a_teacher_whose_outputs_mean_other_classes_is_refused(parents, hybrid, images, tmp_path):
    big, small = (replace(model, class_names=names) for model, names in zip(parents, ("abc", "acb"), strict=True))
    with pytest.raises(InputError, match="mean other classes"):
        stitchc.tune(small, TensorImages(images.tensor), teacher=[big], out=tmp_path / "out")


def test_the_better_parent_is_the_more_accurate_or_else_the_larger():
    models = [{"accuracy": 0.7, "accuracy_on": "x", "macs": 9}, {"accuracy": 0.8, "accuracy_on": "x", "macs": 3}]
    assert better(models, [0, 1]) == 1
    models[0]["accuracy_on"] = "its own record"
    assert better(models, [0, 1]) == 0
    assert better(models, [1]) == 1


def test_a_training_that_diverges_says_so_and_leaves_nothing(hybrid, images, tmp_path):
    with pytest.raises(Diverged, match="became") as refused:
        stitchc.tune(hybrid, images, train="all", optimizer="sgd", lr=1e12, epochs=5, batch=16, out=tmp_path / "out")
    assert "`lr`" in refused.value.hint
    assert list(tmp_path.iterdir()) == []


def test_labels_beyond_the_classes_are_refused(hybrid, images, tmp_path):
    wrong = TensorImages(images.tensor, images.labels + 5, name="wrong")
    with pytest.raises(DataError, match="label 7, but the network has 3 outputs"):
        stitchc.tune(hybrid, wrong, out=tmp_path / "out")


def test_a_recipe_trains_again_to_the_same_bytes(hybrid, images, tmp_path, copied, monkeypatch):
    first = stitchc.tune(hybrid, images, preset="traft", augment="flip", epochs=2, batch=16, out=tmp_path / "first")
    found = recipe.read(first.folder / "recipe.toml")
    said = dict(found.trainings[0])
    assert said["optimizer"] == "adamw" and said["lr"] == 0.002 and said["data"] == "stripes"
    assert found.options == recipe.read(hybrid / "recipe.toml").options
    said.pop("data")
    stitchc.tune(hybrid, images, out=tmp_path / "second", **said)
    assert not changed(tmp_path / "first", tmp_path / "second")


def test_a_changed_artifact_is_not_trained(hybrid, images, tmp_path, copied):
    here = copied(hybrid, tmp_path / "here")
    with (here / "model.py").open("a") as file:
        file.write("# mine\n")
    with pytest.raises(stitchc.errors.VerificationError, match="not the file that stitchc wrote"):
        stitchc.tune(here, images)


@pytest.mark.parametrize(
    "source", ["evil.py:make", "digits/evil.py:make", "timm/hf-hub:owner/name", "/elsewhere/a.pt", "../a.pt", "a.pt2"]
)
def test_a_plan_names_no_parent_that_only_the_user_may_name(source, hybrid, images, tmp_path, copied, monkeypatch):
    monkeypatch.chdir(tmp_path)
    here = copied(hybrid, tmp_path / "here")
    for folder in (tmp_path, tmp_path / "digits", here):
        folder.mkdir(exist_ok=True)
        (folder / "evil.py").write_text("open('canary', 'w')\ndef make():\n    raise SystemExit(0)\n")
    plan = json.loads((here / "plan.json").read_text())
    plan["models"][0]["source"] = source
    (here / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(UnsafeCheckpoint):
        stitchc.tune(here, images, distill="both", epochs=1, out=tmp_path / "out")
    assert not (tmp_path / "canary").exists() and not (tmp_path / "out").exists()


def test_pictures_by_position_are_those_of_the_batches():
    from stitchc import zoo

    spec = InputSpec((1, 8, 8), (0.3,), (0.2,))
    digits = zoo.images("digits?limit=20")
    (whole,) = digits.batches(spec, 20)
    from stitchc.tuning.views import normalised

    picked = normalised(zoo.images("digits?limit=20").pixels([7, 3, 7], spec), spec)
    assert torch.equal(picked, whole[[7, 3, 7]])
    assert np.allclose(picked[0], picked[2])
