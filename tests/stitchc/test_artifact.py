"""Artifacts: whole or not at all, equal for equal plans, refused when changed."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import stitchc
from stitchc import artifact, recipe
from stitchc.documents import plan_document
from stitchc.passes.data.errors import OutputError, StitchError, VerificationError
from stitchc.passes.data.values import Price
from stitchc.report.stitch import CompileReport


def make(plan, options, fill, out: Path, force: bool = False) -> dict:
    with artifact.staging(out, force) as folder:
        fill(folder)
        record = plan_document(plan)
        report = CompileReport.of(plan, record).parts()
        text = recipe.dumps(["digits/resnet", "digits/plain"], options)
        return artifact.write(folder, record, recipe=text, report=report, seconds=plan.seconds)


def test_an_artifact_is_complete_and_says_so(plan, options, fill, tmp_path):
    record = make(plan, options, fill, tmp_path / "out")
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir()} == {
        "model.py", "model.safetensors", "plan.json", "recipe.toml", "report.html", "README.md",
    }  # fmt: skip
    assert artifact.read(out) == json.loads((out / "plan.json").read_text()) == record
    assert set(record["files"]) == {p.name for p in out.iterdir()} - {"plan.json"}
    artifact.check_hashes(out, record)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert len({p.stat().st_mode for p in out.iterdir()}) == 1  # none for its user's eyes only


def test_an_adapter_that_makes_the_network_smaller_reads_back(plan, options, fill, tmp_path):
    """As `fused` does, where it folds into a convolution that has fewer inputs afterwards."""
    (hybrid,) = plan.hybrids
    folded = replace(hybrid.adapters[0], name="fused", price=Price(params=-320, macs=-20_480, size=-1280))
    smaller = replace(plan, hybrids=(replace(hybrid, adapters=(folded,)),))
    make(smaller, options, fill, tmp_path / "out")
    assert artifact.read(tmp_path / "out")["chain"][1]["adapter"]["params"] == -320


def test_a_plan_that_nothing_could_read_again_is_not_written(plan, options, fill, tmp_path):
    with pytest.raises(VerificationError, match="could not be read again: similarity is"):
        make(replace(plan, choice=(replace(plan.choice[0], similarity=1e300),)), options, fill, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_plan_json_keeps_the_contract(plan, options, fill, tmp_path):
    record = make(plan, options, fill, tmp_path / "out")
    assert record["schema"] == 1
    assert set(record["models"][0]) >= {"name", "source", "sha256", "licence", "params", "macs", "accuracy"}
    assert record["budget"] == {"flops": 10_000_000}
    assert record["candidates"] == {"total": 6, "feasible": 5}
    front, adapter, back = record["chain"]
    assert (front["model"], front["from"], front["to"]) == ("resnet", None, "stem")
    assert (adapter["adapter"]["name"], adapter["adapter"]["params"], adapter["adapter"]["macs"]) == (
        "conv3x3",
        4640,
        295_936,
    )
    assert (back["model"], back["from"], back["to"]) == ("plain", "features_3", None)
    assert record["similarity"] == pytest.approx(0.912) and record["rank"] == "cka"
    assert set(record["cost"]) == {"params", "macs", "flops", "size_bytes", "memory_bytes", "latency_ms"}
    assert record["trainable_params"] == 4640 and record["accuracy"] is None
    assert record["verified"]["batches"] == [1, 3] and record["verified"]["argmax_agreement"] == 1.0
    assert record["seconds"] == {"trace": 0.71, "fit": 1.2}
    assert record["versions"]["stitchc"] == stitchc.__version__


def test_the_same_plan_gives_the_same_bytes_elsewhere_and_later(plan, options, fill, tmp_path):
    first, second = tmp_path / "one", tmp_path / "deeper" / "two"
    make(plan, options, fill, first)
    make(plan, options, fill, second)
    for path in first.iterdir():
        mine, other = path.read_text(), (second / path.name).read_text()
        if path.name == "plan.json":
            mine, other = (re.sub(r'"date": "[^"]*"', "", text) for text in (mine, other))
        assert mine == other, path.name
    assert all(str(tmp_path) not in path.read_text() for path in first.iterdir())


def test_a_failure_leaves_nothing_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), artifact.staging(tmp_path / "a" / "b" / "out") as folder:
        (folder / "model.py").write_text("half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_somebody_else_is_refused_even_with_force(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("years")
    for force in (False, True):
        with (
            pytest.raises(OutputError, match="holds no artifact of stitchc"),
            artifact.staging(tmp_path / "out", force),
        ):
            pytest.fail("must not begin")
    assert (tmp_path / "out" / "thesis.tex").read_text() == "years"


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match="is a file"), artifact.staging(tmp_path / "out", True):
        pytest.fail("must not begin")


def test_an_empty_folder_is_taken(plan, options, fill, tmp_path):
    (tmp_path / "out").mkdir()
    make(plan, options, fill, tmp_path / "out")
    assert (tmp_path / "out" / "plan.json").is_file() and len(list(tmp_path.iterdir())) == 1


def test_force_replaces_ours_and_keeps_the_rest(plan, options, fill, tmp_path):
    out = tmp_path / "out"
    make(plan, options, fill, out)
    (out / "notes.txt").write_text("mine")
    (out / "model.py").write_text("changed")
    with pytest.raises(OutputError, match="`force=True`"):
        make(plan, options, fill, out)
    assert (out / "model.py").read_text() == "changed"
    make(plan, options, fill, out, force=True)
    assert (out / "notes.txt").read_text() == "mine"
    assert "Stitched" in (out / "model.py").read_text()
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failed_replacement_keeps_the_old_artifact(plan, options, fill, tmp_path):
    out = tmp_path / "out"
    make(plan, options, fill, out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    with pytest.raises(ZeroDivisionError), artifact.staging(out, True):
        raise ZeroDivisionError
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_a_new_file_never_overwrites_one_of_the_user(plan, options, fill, tmp_path):
    out = tmp_path / "out"
    make(plan, options, fill, out)
    (out / "model.onnx").write_text("mine")
    with (
        pytest.raises(OutputError, match=r"model\.onnx that stitchc did not write"),
        artifact.staging(out, True) as folder,
    ):
        (folder / "model.onnx").write_text("ours")
    assert (out / "model.onnx").read_text() == "mine" and len(list(tmp_path.iterdir())) == 1


def test_a_link_to_a_folder_stays_a_link(plan, options, fill, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    make(plan, options, fill, tmp_path / "link")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real" / "plan.json").is_file()


def test_reading_what_is_no_artifact(tmp_path):
    with pytest.raises(OutputError, match="no artifact"):
        artifact.read(tmp_path)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(OutputError, match="cannot be read"):
        artifact.read(tmp_path)
    (tmp_path / "plan.json").write_text('{"name": "a web app"}')
    with pytest.raises(OutputError, match="not a plan of stitchc"):
        artifact.read(tmp_path)


def test_verify_notices_what_was_changed(plan, options, fill, tmp_path):
    make(plan, options, fill, tmp_path / "out")
    found = stitchc.verify(tmp_path / "out")
    assert (found.module_max_abs, found.onnx_max_abs, found.argmax_agreement, found.batches) == (0.0, None, 1.0, (1, 3))
    weights = tmp_path / "out" / "model.safetensors"
    weights.write_bytes(b"Weights")
    with pytest.raises(VerificationError, match="is not the file that stitchc wrote"):
        stitchc.verify(tmp_path / "out")
    weights.unlink()
    with pytest.raises(VerificationError, match="is missing"):
        stitchc.verify(tmp_path / "out")


def test_loading_gives_the_network_and_leaves_no_trace(plan, options, fill, tmp_path):
    make(plan, options, fill, tmp_path / "out")
    network = stitchc.load(tmp_path / "out")
    assert not network.training and network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert not (tmp_path / "out" / "__pycache__").exists()
    model = artifact.as_model(tmp_path / "out")
    assert model.input == plan.models[0].input and model.name == "out"


READERS = {
    "eval": lambda out, **trust: stitchc.evaluate(out, "digits?limit=4", **trust),
    "cost": stitchc.cost,
    "inspect": stitchc.inspect,
    "compare": lambda out, **trust: stitchc.compare(out, "digits/plain", **trust),
    "compile": lambda out, **trust: stitchc.compile(out, "digits/plain", **trust),
    "load": stitchc.load,
    "tune": lambda out, **trust: stitchc.tune(out, "digits", **trust),
    "verify": lambda out, **trust: stitchc.verify(out),
}


def rewritten(out: Path, change) -> None:
    record = json.loads((out / "plan.json").read_text())
    change(record)
    (out / "plan.json").write_text(json.dumps(record))


@pytest.mark.parametrize("reader", READERS)
def test_no_code_of_a_changed_artifact_runs(reader, plan, options, fill, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out, canary = tmp_path / "out", tmp_path / "canary"
    make(plan, options, fill, out)
    whole = (out / "plan.json").read_text()
    (out / "model.py").write_text(f"open({str(canary)!r}, 'w')\n" + (out / "model.py").read_text())
    changes = [
        lambda record: None, lambda record: record.update(files={}), lambda record: record["files"].pop("model.py"),
        lambda record: record["files"].update({"model.py": None}), lambda record: record.pop("files"),
        lambda record: record["files"].update({"thesis.docx": "0" * 64}),
    ]  # fmt: skip
    for change in changes:
        (out / "plan.json").write_text(whole)
        rewritten(out, change)
        with pytest.raises((VerificationError, OutputError)):
            READERS[reader](out)
        assert not canary.exists()
    (out / "plan.json").write_text(whole)
    if reader != "verify":  # whose question it is whether something was changed
        try:
            READERS[reader](out, trust=True)
        except StitchError as error:
            assert not isinstance(error, VerificationError)
        assert canary.exists()


def test_bytecode_beside_model_py_never_runs(plan, options, fill, tmp_path):
    import importlib.util
    import marshal

    make(plan, options, fill, tmp_path / "out")
    cached = Path(importlib.util.cache_from_source(str(tmp_path / "out" / "model.py")))
    cached.parent.mkdir()
    code = marshal.dumps(compile(f"open({str(tmp_path / 'canary')!r}, 'w')\nload = None", "model.py", "exec"))
    unchecked = (1).to_bytes(4, "little") + bytes(8)
    cached.write_bytes(importlib.util.MAGIC_NUMBER + unchecked + code)
    assert stitchc.load(tmp_path / "out")(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
    assert not (tmp_path / "canary").exists()


def test_a_file_that_plan_json_does_not_list_is_no_part_of_it(plan, options, fill, tmp_path):
    make(plan, options, fill, tmp_path / "out")
    (tmp_path / "out" / "model.onnx").write_bytes(b"x")
    with pytest.raises(VerificationError, match="does not list it"):
        stitchc.verify(tmp_path / "out")


@pytest.mark.parametrize("name", ["thesis.docx", "../thesis.docx"])
def test_a_plan_that_lists_a_file_of_the_user_does_not_delete_it(name, plan, options, fill, tmp_path):
    out = tmp_path / "out"
    make(plan, options, fill, out)
    (out / name).write_text("years")
    rewritten(out, lambda record: record["files"].update({name: "0" * 64}))
    with pytest.raises(OutputError):
        make(plan, options, fill, out, force=True)
    assert (out / name).read_text() == "years"


def test_a_folder_with_the_name_of_one_of_our_files_is_kept(plan, options, fill, tmp_path):
    out = tmp_path / "out"
    make(plan, options, fill, out)
    for name in ("model.py", "__pycache__"):
        (out / name).unlink(missing_ok=True)
        (out / name).mkdir()
        (out / name / "thesis.docx").write_text("years")
    with pytest.raises(OutputError, match=r"a model\.py that stitchc did not write"):
        make(plan, options, fill, out, force=True)
    assert all((out / name / "thesis.docx").read_text() == "years" for name in ("model.py", "__pycache__"))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda r: r["input"].update(size=[1, 8]), "input.size has 2 items"),
        (lambda r: r["input"].update(size=[1.0, 8, 8]), r"input.size\[0\] is 1.0, not a whole number"),
        (lambda r: r["input"].update(std=[0]), r"input.std\[0\] is 0, not above 0"),
        (lambda r: r["models"][0].update(source=["x"]), r"models\[0\].source is a list"),
        (lambda r: r["models"][0].update(name="other"), r"chain\[0\].model is none of the models"),
        (lambda r: r["chain"].pop(), "chain ends in an adapter"),
        (lambda r: r.update(seed=-1), "seed is -1"),
        (lambda r: r.update(schema=2), "schema is 2"),
        (lambda r: r["files"].update({"model.py": "x"}), "files.model.py is no SHA-256"),
        (lambda r: r.update(notes="x" * 10), "notes is 'xxxxxxxxxx', not a list"),
    ],
)
def test_a_plan_is_read_with_types(change, place, plan, options, fill, tmp_path):
    make(plan, options, fill, tmp_path / "out")
    rewritten(tmp_path / "out", change)
    with pytest.raises(OutputError, match=place):
        artifact.read(tmp_path / "out")


def test_images_that_a_plan_names_are_not_read_unless_it_is_trusted(plan, options, fill, tmp_path):
    make(plan, options, fill, tmp_path / "out")
    for data, taken in (("folder:/", None), ("digits?split=test", "digits?split=test")):
        measured = {"data": data, "images": 4, "top1": 0.5, "top5": 1.0}
        rewritten(tmp_path / "out", lambda record, measured=measured: record.update(accuracy=measured))
        assert artifact.as_model(tmp_path / "out").data == taken
        assert artifact.as_model(tmp_path / "out", trust=True).data == data
