"""No file that comes from somebody chooses code to run, a network address, or what is read; `--trust` lifts that."""

import io
import json
import pickle
import sys
import types
import zipfile

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stitchc import zoo
from stitchc.passes.data.errors import BadCheckpoint, StitchError, UnsafeCheckpoint
from stitchc.zoo.trust import data_in_file, words_in_file


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A file that comes into being when code of a file runs; and files that would write it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "evil.py").write_text("open('canary', 'w')\ndef make():\n    raise SystemExit(0)\n")
    (tmp_path / "evil.py").write_text("open('canary', 'w')\n")
    return tmp_path / "canary"


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize(
    "arch",
    [
        "digits/evil.py:make", "timm/../digits/evil.py:make", "torchvision/evil.py:make", "evil.py:make", "./evil.py:x",
        "timm/hf-hub:owner/name", "timm/hf_hub:owner/name", "timm/local-dir:/", "./program.pt2", "/etc/passwd.pt",
        "digits/plain/../../x", "timm/resnet18/x",
    ],
)  # fmt: skip
def test_a_checkpoint_names_a_registry_s_architecture_and_nothing_else(tmp_path, canary, suffix, arch):
    state = zoo.load("digits/plain").module.state_dict()
    path = tmp_path / f"a{suffix}"
    if suffix == ".pt":
        torch.save({"arch": arch, "state_dict": state}, path)
    else:
        save_file(state, path, {"arch": arch})
    with pytest.raises(StitchError) as caught:
        zoo.load(str(path))
    assert isinstance(caught.value, UnsafeCheckpoint) and "--arch" in caught.value.hint
    assert not canary.exists()


def test_a_trusted_file_may_name_the_code_that_lies_beside_it(tmp_path):
    (tmp_path / "nets.py").write_text("from torch import nn\ndef make():\n    return nn.Linear(3, 2)\n")
    zoo.pack(f"{tmp_path}/nets.py:make", tmp_path / "a.pt")
    with pytest.raises(UnsafeCheckpoint, match="may not choose code to run"):
        zoo.load(str(tmp_path / "a.pt"))
    assert zoo.load(str(tmp_path / "a.pt"), trust=True).module.weight.shape == (2, 3)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("digits/plain", True), ("timm/resnet18.a1_in1k?num_classes=3", True),
        ("torchvision/resnet50@IMAGENET1K_V2", True), ("a.pt", True), ("a.safetensors?name=b", True),
        ("../a.pt", False), ("/tmp/a.pt", False), ("sub/a.pt", False), ("a.pt2", False), ("nets.py:make", False),
    ],
)  # fmt: skip
def test_words_in_a_file_are_those_of_registries_and_of_weights_beside_it(tmp_path, text, allowed):
    if allowed:
        words = words_in_file(text, "plan.json", beside=tmp_path)
        assert words.form != "checkpoint" or words.body.startswith(str(tmp_path))
    else:
        with pytest.raises(UnsafeCheckpoint, match=r"plan\.json names the model"):
            words_in_file(text, "plan.json", beside=tmp_path)
        assert words_in_file(text, "plan.json", beside=tmp_path, trust=True)


def test_a_file_may_name_the_embedded_digits_as_its_images():
    assert data_in_file("digits?split=test") == "digits?split=test"
    assert data_in_file("folder:/") is None and data_in_file("digits/../x") is None
    assert data_in_file("folder:/", trust=True) == "folder:/"


@pytest.mark.parametrize("data", ["folder:/", "npz:/etc/x", "digits/../x", "digits?split=test"])
def test_a_checkpoint_names_no_images_but_the_digits(data, tmp_path):
    content = torch.load(zoo.pack("digits/plain", tmp_path / "a.pt"), weights_only=True)
    content["record"]["data"] = data
    torch.save(content, tmp_path / "a.pt")
    assert zoo.load(str(tmp_path / "a.pt")).data == (data if data == "digits?split=test" else None)
    assert zoo.load(str(tmp_path / "a.pt"), trust=True).data == data


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """An exported program with sizes that are arithmetic, so that it has expressions and conditions."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

        def forward(self, x):
            x = self.conv(x)
            n, c, h, w = x.shape
            return self.head(x.reshape(n, c, h * w).mean(2))

    free = {0: torch.export.Dim("batch", max=64), 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    path = tmp_path_factory.mktemp("program") / "a.pt2"
    torch.export.save(torch.export.export(Net().eval(), (torch.randn(2, 3, 8, 8),), dynamic_shapes=(free,)), path)
    return path


def rewritten(path, to, change):
    """A copy of an archive with `change` made to its members."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(to, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return to


def in_json(name, change):
    def make(members):
        key = next(one for one in members if one.endswith(name))
        document = json.loads(members[key])
        change(document)
        members[key] = json.dumps(document).encode()

    return make


def first(document, key):
    """The first object in a document that has a key."""
    if isinstance(document, dict) and key in document:
        return document
    inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return next((found for one in inner if (found := first(one, key)) is not None), None)


CODE = "__import__('pathlib').Path('canary').touch()"


class Payload:
    def __reduce__(self):
        return exec, (f"{CODE}",)


def pickled_weight(members):
    config = next(one for one in members if one.endswith("weights_config.json"))
    document = json.loads(members[config])
    entry = next(iter(document["config"].values()))
    entry["use_pickle"] = True
    members[config] = json.dumps(document).encode()
    buffer = io.BytesIO()
    torch.save(Payload(), buffer)
    members[next(one for one in members if one.endswith(entry["path_name"]))] = buffer.getvalue()


def opaque_constant(members):
    config = next(one for one in members if one.endswith("constants_config.json"))
    folder = config.rpartition("/")[0]
    entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    members[config] = json.dumps({"config": {"x": entry}}).encode()
    members[f"{folder}/opaque_obj_0"] = pickle.dumps(Payload())


def sample_input(members):
    buffer = io.BytesIO()
    torch.save(Payload(), buffer)
    members[next(one for one in members if one.endswith("sample_inputs/model.pt"))] = buffer.getvalue()


def renamed(name):
    """A parameter by another name wherever it is named; torch writes names into code."""

    def make(members):
        for key in [one for one in members if one.endswith(".json")]:
            members[key] = members[key].replace(b'"conv.weight"', json.dumps(name).encode())

    return make


def set_first(key, value):
    return lambda document: first(document, key).update({key: value})


HOSTILE = {
    "pickled weights": pickled_weight,
    "an opaque constant": opaque_constant,
    "a pickled sample input": sample_input,
    "an expression": in_json("models/model.json", set_first("expr_str", CODE)),
    "a hidden expression": in_json("models/model.json", set_first("expr_str", "Symbol.__class__.__mro__")),
    "a huge power": in_json("models/model.json", set_first("expr_str", "Pow(Integer(10), Integer(1000000000))")),
    "a condition": in_json("models/model.json", set_first("guards_code", [CODE])),
    "a condition that ends its text": in_json("models/model.json", set_first("guards_code", ["L['\"+x()+\"'] == 1"])),
    "a function below torch": in_json("models/model.json", set_first("target", "torch.os.system")),
    "a function of operator": in_json("models/model.json", set_first("target", "_operator.call")),
    "an operator that reads files": in_json("models/model.json", set_first("target", "torch.ops.aten.from_file.out")),
    "a module that is imported": in_json("models/model.json", set_first("in_spec", json.dumps(
        [1, {"type": "builtins.dict", "context": '{"__enum__": true, "fqn": "evil:X"}', "children_spec": []}]
    ))),
    "native code": lambda members: members.update({"a/data/aotinductor/model/x.so": b"\x7fELF"}),
    "a parameter whose name is code": renamed('conv.x"), open("canary", "w"), ("'),
    "the format before": lambda members: members.update({"serialized_exported_program.json": b"{}", "version": b"8"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_program_that_is_more_than_data_is_refused_before_torch_reads_it(program, tmp_path, canary, kind):
    path = rewritten(program, tmp_path / "a.pt2", HOSTILE[kind])
    with pytest.raises(UnsafeCheckpoint) as caught:
        zoo.load(str(path))
    assert "--trust" in caught.value.hint and not canary.exists()


def test_a_program_that_is_data_is_read_as_torch_reads_it(program):
    x = torch.randn(3, 3, 9, 7)
    right = torch.export.load(program).module()(x)
    assert torch.equal(zoo.load(str(program)).module(x), right)
    assert torch.equal(zoo.load(str(program), trust=True).module(x), right)
    assert zoo.load(f"{program}?input=3x9x7").input.size == (3, 9, 7)
    with pytest.raises(StitchError, match="takes images of 3x8x8 and no others"):
        zoo.load(f"{program}?input=1x9x7")


def test_a_damaged_program_is_one_clear_message(program, tmp_path):
    content = bytearray(program.read_bytes())
    place = content.index(b"data/weights/weight_0") + 100
    content[place] ^= 1
    (tmp_path / "a.pt2").write_bytes(content)
    with pytest.raises(BadCheckpoint, match=r"a\.pt2"):
        zoo.load(str(tmp_path / "a.pt2"))


def test_two_members_of_one_name_are_refused(program, tmp_path):
    path = rewritten(program, tmp_path / "a.pt2", lambda members: None)
    with pytest.warns(UserWarning), zipfile.ZipFile(path, "a") as archive:
        archive.writestr(archive.namelist()[0], b"another")
    with pytest.raises(BadCheckpoint, match="two members of one name"):
        zoo.load(str(path))


def test_an_archive_that_unpacks_to_more_than_memory_is_refused_at_once(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/data/0", bytes(50_000_000))
    with pytest.raises(BadCheckpoint, match="would take 50,0"):
        zoo.load(str(tmp_path / "a.pt"), arch="digits/plain")


def test_devices_and_pipes_are_not_read(tmp_path):
    import os

    os.mkfifo(tmp_path / "a.pt")
    for path in (tmp_path / "a.pt", "/dev/zero"):
        with pytest.raises(StitchError, match="not a file"):
            zoo.load(str(path), arch="digits/plain")


@pytest.mark.parametrize("saved", ["script", "__main__"])
def test_a_trusted_pickle_whose_script_is_not_here_says_what_to_name(tmp_path, monkeypatch, saved):
    script = types.ModuleType(saved)
    monkeypatch.setitem(sys.modules, saved, script)
    script.Net = type("Net", (nn.Linear,), {"__module__": saved})
    torch.save(script.Net(2, 3), tmp_path / "a.pt")
    monkeypatch.undo()
    with pytest.raises(BadCheckpoint, match="pickled with code that is not found here") as caught:
        zoo.load(str(tmp_path / "a.pt"), trust=True)
    assert "--arch FILE.py:CLASS" in caught.value.hint
