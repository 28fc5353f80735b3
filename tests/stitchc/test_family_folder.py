"""The artifact of a family: whole or not at all, refused when changed, looked at member by member, taken apart."""

import json
import shutil

import pytest
import torch
from family_folders import digits_family, written

import stitchc
from stitchc import artifact, recipe
from stitchc.cli import main
from stitchc.cli.family_extract import command as extract_command
from stitchc.families.folder import write_family
from stitchc.passes import Codegen
from stitchc.passes.data.errors import InputError, OutputError, VerificationError

BUDGET = {"device": None, "limits": {"macs": 3}, "member": "middle", "said": None}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(plan, family, the record, the folder)."""
    out = tmp_path_factory.mktemp("families") / "family"
    plan, family = digits_family()
    more = {"budgets": [BUDGET], "members": {"middle": {"adds_bytes": 7}}}
    return plan, family, written(plan, family, out, more=more), out


@pytest.fixture
def folder(made, tmp_path):
    """A copy that a test may change."""
    shutil.copytree(made[3], tmp_path / "family")
    return tmp_path / "family"


def test_the_record_says_of_each_member_what_the_contract_asks_for(made):
    _, family, record, out = made
    assert artifact.read(out) == record == json.loads((out / "plan.json").read_text())
    assert [member["name"] for member in record["members"]] == [member.name for member in family.members]
    assert all(set(member) >= {"name", "chain", "cost", "accuracy", "verified"} for member in record["members"])
    middle = record["members"][0]
    assert middle["chain"][1]["adapter"]["name"] == "linear" and middle["parent"] is None
    assert middle["accuracy"]["top1"] == 0.9 and middle["adds_bytes"] == 7 and record["budgets"] == [BUDGET]
    assert {member["parent"] for member in record["members"][1:]} == {"digits/plain", "digits/resnet"}
    assert record["size_bytes"] == (out / "model.safetensors").stat().st_size
    assert {path.name for path in out.iterdir()} == {*record["files"], "plan.json"}
    assert "middle" in (out / "README.md").read_text()


def test_the_family_is_loaded_and_switches(made):
    family = stitchc.load(made[3])
    assert family.current.name == "resnet" and not family.training
    assert family.set_budget(macs=family.members["plain"].macs).name == "plain"


def test_nothing_is_left_where_a_member_does_not_agree(made, tmp_path, monkeypatch):
    plan, family, _, _ = made
    from stitchc.passes.emit import family as emission

    def other_weights(state, path):
        return written_weights({name: tensor * 1.01 for name, tensor in state.items()}, path)

    written_weights = emission.write_weights
    monkeypatch.setattr(emission, "write_weights", other_weights)
    with pytest.raises(VerificationError, match="the member middle"):
        written(plan, family, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["model.py", "model.safetensors", "README.md"])
def test_a_changed_file_is_noticed(folder, name):
    with (folder / name).open("ab") as file:
        file.write(b"\n")
    for look in (stitchc.load, stitchc.verify, lambda out: stitchc.extract(out, "middle", out.parent / "x")):
        with pytest.raises(VerificationError, match="SHA-256 differs"):
            look(folder)
    assert not (folder.parent / "x").exists()


def test_a_file_that_nobody_wrote_is_noticed(folder):
    (folder / "onnx").mkdir()
    (folder / "onnx" / "middle.onnx").write_bytes(b"")
    with pytest.raises(VerificationError, match="no file that stitchc wrote"):
        stitchc.load(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["members"][0].update(name="../x"), r"members\[0\].name is no name for a member"),
        (lambda r: r["members"][0].update(name="plain"), "is that of another member"),
        (lambda r: r["members"][0].update(parent="digits/plain"), "is said of a chain"),
        (lambda r: r["members"][0]["chain"][0].update(model="other"), "is none of the models"),
        (lambda r: r["members"][0]["steps"][0].update(module="a.b"), "is no name"),
        (lambda r: r["members"][0].pop("steps"), "steps"),
        (lambda r: r["files"].update({"onnx/../../x.onnx": "0" * 64}), "files"),
        (lambda r: r["files"].update({"onnx/nobody.onnx": "0" * 64}), "an ONNX file of no member"),
        (lambda r: r["input"].update(mean=[0.5, 0.5]), "has 2 numbers for 1 channels"),
    ],
)
def test_a_record_is_read_by_types(folder, change, said):
    record = json.loads((folder / "plan.json").read_text())
    change(record)
    (folder / "plan.json").write_text(json.dumps(record))
    with pytest.raises(OutputError, match=said):
        stitchc.load(folder, trust=True)


def test_a_family_may_be_replaced_and_what_others_put_there_stays(folder, made):
    plan, family, _, _ = made
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(OutputError, match="holds an artifact already"):
        written(plan, family, folder)
    with artifact.staging(folder, force=True) as staged:
        write_family(plan, family, staged, recipe="", report=lambda record: [""], onnx=False)
    assert (folder / "notes.txt").read_text() == "mine" and stitchc.load(folder)


def test_looking_at_a_family_looks_at_each_member(made, capsys):
    _, family, _, out = made
    names = [member.name for member in family.members]
    found = stitchc.verify(out)
    assert list(found) == names and all(one.module_max_abs == 0 for one in found.values())
    for words in (["verify", str(out)], ["cost", str(out)], ["eval", str(out), "--data", "digits?split=test&limit=50"]):
        assert main([*words, "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert [one["name"] for one in document["members"]] == names
        assert main([*words, "-q"]) == 0
        shown = capsys.readouterr().out
        assert all(name in shown for name in names)
    for member, said in zip(family.members, _costs(out, capsys), strict=True):
        assert said["macs"] == member.hybrid.price["macs"] and said["params"] == member.hybrid.price["params"]
    words = ["eval", str(out), "--member", "middle", "--data", "digits?split=test&limit=50", "--json"]
    assert main(words) == 0
    assert [one["model"] for one in json.loads(capsys.readouterr().out)["members"]] == ["middle"]
    assert main(["eval", str(out), "--member", "midle"]) == 2
    assert "Did you mean 'middle'?" in capsys.readouterr().err
    assert main(["eval", "digits/plain", "--member", "middle"]) == 2


def _costs(out, capsys):
    assert main(["cost", str(out), "--json"]) == 0
    return [one["cost"] for one in json.loads(capsys.readouterr().out)["members"]]


def test_verbs_that_want_one_network_say_how_to_get_one(made, capsys):
    assert main(["inspect", str(made[3])]) == 2
    assert "stitchc family extract" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["middle", "plain"])
def test_an_extracted_member_is_the_artifact_that_a_compile_writes(made, tmp_path, name):
    plan, family, record, out = made
    new = stitchc.extract(out, name, tmp_path / "one", onnx=False)
    single = plan.with_hybrid(family[name].hybrid)
    Codegen(tmp_path / "want")(single)
    for file in ("model.py", "model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "want" / file).read_bytes()
    assert artifact.checked(tmp_path / "one") == new
    assert new["cost"] == next(member["cost"] for member in record["members"] if member["name"] == name)
    assert new["cost"]["size_bytes"] == (tmp_path / "one" / "model.safetensors").stat().st_size
    assert stitchc.verify(tmp_path / "one").argmax_agreement == 1
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(stitchc.load(tmp_path / "one")(images), stitchc.load(out).member(name)(images))


def test_extract_from_the_command_line(made, tmp_path, capsys):
    words = [str(made[3]), "middle", "-o", str(tmp_path / "one"), "--no-onnx", "--json"]
    assert extract_command.main(words, standalone_mode=False) == 0
    assert json.loads(capsys.readouterr().out)["extracted"] == {"family": "family", "member": "middle"}


def test_the_recipe_of_an_extracted_member_says_how_it_is_made_and_compile_says_whose_it_is(made, tmp_path, capsys):
    stitchc.extract(made[3], "middle", tmp_path / "one", onnx=False)
    of_family, path = (made[3] / "recipe.toml").read_text(), tmp_path / "one" / "recipe.toml"
    head, _, rest = path.read_text().partition("\n\n")
    assert "stitchc family --recipe recipe.toml" in head and "stitchc family extract FAMILY middle -o DIR" in head
    assert rest == of_family.partition("\n\n")[2] and "tune" not in head
    assert "stitchc tune FAMILY --recipe" in recipe.of_member(f"{of_family}[[tune]]\nepochs = 1\n", "middle")
    assert recipe.of_artifact(path.parent, artifact.read(path.parent)).models == ("digits/plain", "digits/resnet")
    assert main(["compile", "--recipe", str(path)]) == 2
    assert "'members', which is an option of `stitchc family`" in capsys.readouterr().err


def test_what_cannot_be_extracted_is_refused(made, tmp_path):
    with pytest.raises(InputError, match="'midle' is no member of this family"):
        stitchc.extract(made[3], "midle", tmp_path / "one")
    stitchc.extract(made[3], "middle", tmp_path / "one", onnx=False)
    with pytest.raises(InputError, match="is one network and no family"):
        stitchc.extract(tmp_path / "one", "middle", tmp_path / "two")
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@pytest.mark.slow
def test_onnx_files_are_written_listed_verified_and_replaced(made, tmp_path):
    plan, family, _, _ = made
    record = written(plan, family, tmp_path / "out", onnx=True)
    names = {f"onnx/{member.name}.onnx" for member in family.members}
    assert {name for name in record["files"] if "/" in name} == names | {"onnx/model.onnx.data"}
    assert all(member["verified"]["onnx_max_abs"] < 1e-3 for member in record["members"])
    assert all(one.onnx_max_abs < 1e-3 for one in stitchc.verify(tmp_path / "out").values())
    data = tmp_path / "out" / "onnx" / "model.onnx.data"
    assert data.stat().st_size <= 1.02 * record["size_bytes"]
    with artifact.staging(tmp_path / "out", force=True) as staged:
        write_family(plan, family, staged, recipe="", report=lambda record: [""], onnx=False)
    assert not (tmp_path / "out" / "onnx").exists()
