"""A family in training: what trains, what each member keeps, going on after a crash."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from family_folders import digits_family, written
from safetensors.torch import load_file

import stitchc
from stitchc.cli import main
from stitchc.passes.data.errors import InputError
from stitchc.passes.training.worth import Worth
from stitchc.progress import Silent
from stitchc.report.family_tune import FamilyTuneReport
from stitchc.report.terminal import render
from stitchc.tuning import family as tuning
from stitchc.tuning.members import FamilyLoop, FamilyTrainee, KeptMembers
from stitchc.tuning.untuned import with_room

DATA = "digits?limit=80"
FAST = {"data": DATA, "evaluate": "digits?split=test&limit=50", "epochs": 2, "batch": 16, "holdout": 0.4}
IMAGES = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("families") / "family"
    written(*digits_family("B:..stage1.0 / linear / A:features.4.2.."), out)
    return out


@pytest.fixture(scope="module")
def tuned(folder, tmp_path_factory):
    return stitchc.tune(folder, **FAST, out=tmp_path_factory.mktemp("tuned") / "out")


def weights(folder):
    return load_file(folder / "model.safetensors")


def scores(folder, name):
    with torch.no_grad():
        return stitchc.load(folder).member(name)(IMAGES)


def test_adapters_alone_train_unless_more_is_asked_for(folder, tuned):
    old, new = weights(folder), weights(tuned.folder)
    assert list(old) == list(new)
    assert {key.split(".")[0] for key in old if not torch.equal(old[key], new[key])} == {
        "adapter_of_middle", "adapter_of_other1",
    }  # fmt: skip
    assert (tuned.folder / "model.py").read_bytes() == (folder / "model.py").read_bytes()
    for name in ("plain", "resnet"):
        assert torch.equal(scores(folder, name), scores(tuned.folder, name))
    own = [tensor for key, tensor in new.items() if key.startswith("adapter")]
    assert tuned.trained_params == sum(tensor.numel() for tensor in own)


def test_the_record_tells_what_became_of_each_member(folder, tuned):
    record = json.loads((tuned.folder / "plan.json").read_text())
    assert record == tuned.record
    (entry,) = record["tuned"]
    assert entry["train"] == "adapter" and entry["options"]["distill"] == "better"
    assert [one["name"] for one in entry["members"]] == [member["name"] for member in record["members"]]
    for one, member in zip(tuned.members, record["members"], strict=True):
        assert member["accuracy"]["top1"] == one.after.top1
        if one.held_out_before is not None:
            assert not one.held_out_before.better(one.held_out)
            assert bool(one.epoch) is not torch.equal(scores(folder, one.name), scores(tuned.folder, one.name))
    assert {one.name for one in tuned.members if one.held_out_before is None} == {"plain", "resnet"}
    assert all(found.argmax_agreement == 1 for found in stitchc.verify(tuned.folder).values())
    one = tuned.folder.parent / "one"
    assert len(stitchc.extract(tuned.folder, "middle", one, onnx=False)["chain"]) == 3
    again = stitchc.tune(one, **FAST | {"epochs": 1}, out=tuned.folder.parent / "two")
    assert again.record["verified"] and again.record["extracted"]["member"] == "middle"
    assert "tune" in (tuned.folder / "recipe.toml").read_text()


def test_training_all_gives_members_statistics_of_their_own(folder, tmp_path):
    made = stitchc.tune(folder, **FAST | {"lr": 1e-3}, train="all", out=tmp_path / "out")
    assert all(not one.held_out_before.better(one.held_out) for one in made.members)
    if any(one.epoch for one in made.members):
        module = stitchc.load(tmp_path / "out")
        steps = module.members["middle"].steps[-1], module.members["resnet"].steps[-1]
        assert steps[0] != steps[1], "what reaches the back of the stitch has other statistics"
        here, there = (module.get_submodule(step).stage3[0] for step in steps)
        assert here.conv1.weight is there.conv1.weight and not torch.equal(
            here.bn1.running_mean, there.bn1.running_mean
        )
    assert stitchc.verify(tmp_path / "out")


def test_what_makes_members_worse_is_not_kept(folder, tmp_path):
    made = stitchc.tune(folder, **FAST | {"lr": 10.0, "epochs": 1, "optimizer": "sgd", "clip": 1.0}, train="all",
                        out=tmp_path / "out")  # fmt: skip
    assert {one.epoch for one in made.members} == {0}
    for name in ("model.py", "model.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (folder / name).read_bytes()
    assert [one.before.top1 for one in made.members] == [one.after.top1 for one in made.members]


def test_a_member_that_others_gain_more_than_it_loses_by_keeps_its_own_weights(folder):
    untuned, new = stitchc.load(folder), stitchc.load(folder)
    good, bad = Worth("labels", 0.9, 0.3), Worth("labels", 0.8, 0.3)
    kept = SimpleNamespace(epoch=2, worth={"plain": bad, "middle": good, "resnet": good}, statistics={"middle": {
        key: value + 1 for key, value in new.member("middle").named_buffers() if key.endswith("running_mean")
    }})  # fmt: skip
    loop = SimpleNamespace(held=[0], best=[kept], before={"plain": good, "middle": bad, "resnet": good}, trainee=None)
    found, unwanted = tuning._networks(loop, untuned, new)
    assert unwanted == {"plain": new}
    assert found["plain"] is untuned and found["other1"] is untuned and found["resnet"] is new
    own = found["middle"].member("middle")
    assert torch.equal(dict(own.named_buffers())["plain_1.features.0.1.running_mean"],
                       dict(new.named_buffers())["plain_1.features.0.1.running_mean"] + 1)  # fmt: skip


def trained(folder):
    """The family with other weights in all of its models."""
    found = stitchc.load(folder)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter += 0.01
    return found


def test_untuned_weights_stand_beside_the_tuned_ones_as_far_as_there_is_room(folder):
    untuned, new = stitchc.load(folder), trained(folder)
    own = {name: sum(t.nbytes for t in untuned.member(name).state_dict().values()) for name in ("plain", "resnet")}
    networks = dict.fromkeys(untuned.members, new) | dict.fromkeys(own, untuned)
    lost = {"plain": (0.02, 0.0), "resnet": (0.01, 0.0)}
    found, asked = with_room(networks, dict.fromkeys(own, new), lost, float("inf"))
    assert found == networks and 0.9 < asked["plain"] / own["plain"] <= 1 and 0.9 < asked["resnet"] / own["resnet"] <= 1
    found, asked = with_room(networks, dict.fromkeys(own, new), lost, asked["plain"])
    assert found["plain"] is untuned, "who loses most is heard first"
    assert found["resnet"] is new and asked["resnet"] > 0 and found["middle"] is new
    found, _ = with_room(networks, dict.fromkeys(own, new), lost, 0.0)
    assert set(found.values()) == {new}


def test_without_room_for_untuned_weights_the_file_does_not_grow_and_the_report_says_who_shares(
    folder, tmp_path, monkeypatch
):
    """Here every member but the smallest is said to have been worth more before."""
    was = FamilyLoop._keep_if_better

    def keep(self):
        found = was(self)
        if self.state.epoch == 1:
            best = Worth("labels", 1.0, 0.0)
            self.before = {name: best for name in self.before} | {self.trainee.members[0]: Worth("labels", 0.0, 9.0)}
        return found

    monkeypatch.setattr(FamilyLoop, "_keep_if_better", keep)
    monkeypatch.setattr(KeptMembers, "mean", property(lambda self: Worth("labels", 0.0, 9.0)))
    said = FAST | {"lr": 1e-3, "epochs": 1, "train": "all"}
    kept = stitchc.tune(folder, **said, out=tmp_path / "kept")
    shared = stitchc.tune(folder, **said, extra=0.0, out=tmp_path / "shared")
    sizes = [(one.folder / "model.safetensors").stat().st_size for one in (kept, shared)]
    assert sizes[0] > sizes[1] + 200_000, "bytes of what the three ran before"
    assert [one.epoch for one in kept.members] == [1, 0, 0, 0] and {one.epoch for one in shared.members} == {1}
    assert all(one.untuned_bytes for one in shared.members[1:]) and shared.members[0].untuned_bytes is None
    assert "stand in the file beside the tuned ones: of " in words(kept)
    assert "These share the tuned weights though they were worth more before" in words(shared)
    (entry,) = json.loads((shared.folder / "plan.json").read_text())["tuned"]
    assert entry["options"]["extra"] == 0.0
    assert [one["untuned_bytes"] for one in entry["members"]] == [one.untuned_bytes for one in shared.members]


def words(made):
    return " ".join(render(FamilyTuneReport(made.record).parts(), width=80).split())


def test_extra_is_of_families_alone(folder, tmp_path):
    stitchc.extract(folder, "middle", tmp_path / "one", onnx=False)
    with pytest.raises(InputError, match="this is no family"):
        stitchc.tune(tmp_path / "one", **FAST, extra=0.1, out=tmp_path / "two")


def test_a_step_deals_its_images_out_to_three_members(folder):
    from stitchc import artifact

    steps = {member["name"]: tuning.steps_of(member) for member in artifact.read(folder)["members"]}
    trainee = FamilyTrainee(stitchc.load(folder), steps, "all")
    assert trainee.members == tuple(steps) and len(trainee.members) == 4
    assert trainee.groups() == [trainee.members], "all share something"
    torch.manual_seed(0)
    seen = set()
    for _ in range(8):
        drawn = trainee._drawn()
        assert drawn[0] == trainee.members[0] and drawn[2] == trainee.members[-1]
        seen.add(drawn[1])
    assert seen == set(trainee.members[1:-1])
    torch.manual_seed(0)
    chosen = trainee._drawn()
    torch.manual_seed(0)
    trainee.network.eval()
    with torch.no_grad():
        found = trainee(IMAGES)
        want = [trainee.every[name](part) for name, part in zip(chosen, IMAGES.chunk(3), strict=True)]
    assert torch.equal(found, torch.cat(want))
    alone = FamilyTrainee(stitchc.load(folder), steps, "adapter")
    assert alone.groups() == [("middle",), ("other1",)]
    assert not any(p.requires_grad for p in alone.network.get_submodule("resnet_1").parameters())


class Stopped(Exception):
    pass


class StopAfter(Silent):
    """Stands for a process that dies: raises after so many updates of the training."""

    def __init__(self, steps: int):
        self.steps = steps

    def update(self, done: int, total: int, said: str = "") -> None:
        if said.startswith("epoch") and done >= self.steps:
            raise Stopped


@pytest.mark.parametrize("train", [pytest.param("adapter", marks=pytest.mark.slow), "all"])
def test_a_training_that_died_goes_on_to_the_same_bits(train, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("stitchc.tuning.loop._SHOWN", 0.0)
    given = {**FAST, "train": train, "checkpoint_seconds": 0.0}
    whole = stitchc.tune(folder, out=tmp_path / "whole", **given)
    with pytest.raises(Stopped):
        stitchc.tune(folder, out=tmp_path / "out", progress=StopAfter(5), **given)
    assert {path.name for path in tmp_path.iterdir()} == {"whole", ".out.tuning"}
    resumed = stitchc.tune(folder, out=tmp_path / "out", **given)
    assert resumed.resumed == 4 and whole.resumed == 0 and resumed.history == whole.history
    for name in ("model.py", "model.safetensors", "recipe.toml", "README.md", "report.html"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "out"}


def test_in_place_from_the_command_line(folder, tmp_path, capsys):
    here = shutil.copytree(folder, tmp_path / "here")
    words = ["tune", str(here), "--data", DATA, "--evaluate", FAST["evaluate"], "--epochs", "1", "--batch", "16", "-q"]
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "Trained the adapters" in said and "kept in here-untuned/" in said and "middle" in said
    assert stitchc.load(here) and stitchc.load(tmp_path / "here-untuned")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"train": "back"}, "share their fragments"),
        ({"distill": "front"}, "begin and end in different models"),
        ({"batch": 16, "accumulate": 2, "holdout": 2.0}, "holdout"),
    ],
)
def test_what_cannot_be_trained_is_refused(given, said, folder, tmp_path):
    with pytest.raises(InputError, match=said):
        stitchc.tune(folder, **{**FAST, **given}, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
