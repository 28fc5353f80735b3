"""Recipes: the models and options of a run, there and back."""

import pytest

from stitchc import recipe
from stitchc.cli import main
from stitchc.options import CompileOptions
from stitchc.passes.data.errors import InputError, UnsafeCheckpoint
from stitchc.tuning.settings import TrainingOptions


def test_a_recipe_reads_back_as_it_was_written():
    models = ('nets.py:make("x \\ \n y")', "ü/é.pt")
    options = CompileOptions(
        budget=["12M", "size=60%"], front=3, probe_images=100, onnx=False, steps=True, min_share="10%", effort="60s"
    )
    found = recipe.loads(recipe.dumps(models, options))
    assert found.models == models and CompileOptions.of(found.options) == options and found.trainings == ()


def test_a_budget_alone_need_not_be_a_list():
    assert recipe.loads('budget = "60%"').options == {"budget": ("60%",)}
    with pytest.raises(InputError, match=r"line 1 of the recipe: 'budget' is 0\.6"):
        recipe.loads("budget = 0.6")


def test_more_models_are_named_by_further_letters():
    text = recipe.dumps(["x", "y", "z"], CompileOptions())
    assert 'a = "x"\nb = "y"\nc = "z"\n' in text and recipe.loads(text).models == ("x", "y", "z")


def test_no_model_of_many_is_left_out():
    models = tuple(f"digits/{k}" for k in range(60))
    text = recipe.dumps(models, CompileOptions())
    assert 'z = "digits/25"\na1 = "digits/26"\n' in text and recipe.loads(text).models == models
    with pytest.raises(InputError, match="names a model 'c1' and no model before it"):
        recipe.loads(text.replace('b1 = "digits/27"\n', ""))
    with pytest.raises(UnsafeCheckpoint, match="code to run"):
        recipe.check(recipe.loads(text.replace("digits/59", "evil.py:make")), "r.toml")


def test_golden():
    assert (
        recipe.dumps(["digits/resnet", "digits/plain"], CompileOptions(budget={"flops": 12e6}))
        == """\
# A recipe of stitchc. Run it again with
#     stitchc compile --recipe recipe.toml -o DIR
# Options on the command line override what stands here.

schema = 1
a = "digits/resnet"
b = "digits/plain"
budget = ["flops=12000000"]
direction = "both"
adapter = "auto"
heal = "back"
heal_sweeps = 2
heal_target = "auto"
rank = "cascade"
effort = "medium"
similarity = "cka-unbiased"
probe_images = 512
rivals = "auto"
onnx = true
seed = 0
device = "auto"
frontend = "auto"
"""
    )


def test_trainings_are_added_in_order_and_read_back():
    text = recipe.dumps(["x", "y"], CompileOptions())
    trainings = [TrainingOptions.of({"epochs": 2, "augment": "flip,crop"}), TrainingOptions.of({"preset": "traft"})]
    for training in trainings:
        text = recipe.with_training(text, training)
    first, second = recipe.loads(text).trainings
    assert TrainingOptions.of(first) == trainings[0] and first["augment"] == ("flip", "crop")
    assert second["lr"] == 0.002 and "preset" not in second


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "no TOML"),
        ('direktion = "both"', "'direktion'"),
        ("schema = 2", "schema 2"),
        ("probe_images = 3", "the recipe: 'probe_images' is 3"),
        ("tune = 3", "no table"),
        ('[[tune]]\ntrain = "bck"', "'bck' is no value of 'train'"),
        ("[[tune]]\nepoch = 3", "'epoch' is no option"),
        ("trust = true", "'trust' is no option"),
        ('out = "/elsewhere"', "'out' is no option"),
        ('[[tune]]\nout = "/elsewhere"', "'out' is no option"),
    ],
)
def test_what_is_no_recipe_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        recipe.loads(text)


@pytest.mark.parametrize(
    ("text", "message", "example"),
    [
        ('a = "x"\n\nheal = "bak"', "line 3 of r.toml: 'bak' is no value of 'heal'", 'heal = "back"'),
        ('# heal = 1\nheals = "all"', "'heals' is no option that line 2 of r.toml can state", 'heal = "back"'),
        ("probe_images = 3.5", "line 1 of r.toml: 'probe_images' is 3.5", "probe_images = 512"),
        ("onnx = 1", "line 1 of r.toml: 'onnx' is 1", "onnx = true"),
        ("min_share = 2", "line 1 of r.toml: 'min_share' is 2", 'min_share = "10%"'),
        ('max_memory = "2GB2"', "line 1 of r.toml: 'max_memory': '2GB2' is no quantity", 'max_memory = "2GiB"'),
        ('effort = "most"', "line 1 of r.toml: 'most' is no effort", 'effort = "medium"'),
        ("polish = true", "line 1 of r.toml: 'polish' is True", 'polish = "60s"'),
        ('seed = 1\nbudget = [\n  "12M",\n  "macs=12X",\n]', "line 2 of r.toml: '12X'", 'budget = ["macs=60%"]'),
        ('metric = "macs"\nbudget = "5ms"', "line 2 of r.toml: '5ms': macs is not counted", 'budget = ["macs=60%"]'),
        ("input_size = [0]", "line 1 of r.toml: 'input_size' is 0", 'input_size = "auto"'),
        ('head = "cats"', "line 1 of r.toml: 'cats' is no head", 'head = "parent"'),
        ("data = [1]", "line 1 of r.toml: 'data' is [1]", 'data = "digits"'),
        ("front = 2026-01-01", "line 1 of r.toml: 'front' is datetime", 'front = "layer2.1"'),
        ("against = [3]", "line 1 of r.toml: 'against' is [3]", 'against = ["digits/plain"]'),
        ("chain = 3", "line 1 of r.toml: 'chain' is 3", 'chain = "A:..stage1.0 / B:features.4.2.."'),
        ('a = "x"\nc = "y"', "line 2 of r.toml names a model 'c' and no model before it", 'b = "digits/resnet"'),
        ("a = 3", "line 1 of r.toml names a model 'a' as 3", 'a = "digits/resnet"'),
        ('seed = 1\nschema = "2"', "line 2 of r.toml states schema '2'", "schema = 1"),
        ('[[tune]]\nlr = 1\n[[tune]]\n"lr" = -1', "line 4 of r.toml: 'lr' is -1", "lr = 0.0003"),
        ('[[tune]]\nteacher = "t"\ndistill = "back"', "line 2 of r.toml: 'teacher' and", 'teacher = ["digits/plain"]'),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line_and_an_example(text, message, example):
    with pytest.raises(InputError) as caught:
        recipe.loads(text, "r.toml")
    assert caught.value.message.startswith(message)
    assert caught.value.hint.endswith(f"For example: {example}")
    if not text.startswith("[[tune]]"):
        recipe.loads(example.replace("b =", "a ="))


def test_a_key_inside_a_text_or_a_list_is_none():
    text = 'chain = """\nseed = 1\n"""\nagainst = [\n  "x", # seed = 2\n]\nseed = -1'
    with pytest.raises(InputError, match=r"line 7 of r: 'seed' is -1"):
        recipe.loads(text, "r")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        recipe.read(tmp_path / "none.toml")


def test_an_object_has_no_words():
    with pytest.raises(InputError, match="object"):
        recipe.dumps([object()], CompileOptions())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, encoding):
    path = tmp_path / "recipe.toml"
    path.write_bytes('a = "ü.pt"\n[[tune]]\nepochs = 3\n'.encode(encoding))
    found = recipe.read(path)
    assert found.models == ("ü.pt",) and found.trainings == ({"epochs": 3},)


def test_what_is_no_text_is_refused(tmp_path):
    (tmp_path / "recipe.toml").write_bytes(b"a = '\xff'")
    with pytest.raises(InputError, match="not a text file"):
        recipe.read(tmp_path / "recipe.toml")


def test_files_are_looked_for_here_and_then_beside_the_recipe(tmp_path, monkeypatch):
    beside, here = tmp_path / "beside", tmp_path / "here"
    for folder in (beside / "images", beside / "digits" / "resnet", here):
        folder.mkdir(parents=True)
    for name in ("a.pt", "nets.py", "both.pt"):
        (beside / name).touch()
    (here / "both.pt").touch()
    monkeypatch.chdir(here)
    options = CompileOptions(data="folder:images?limit=8", evaluate="digits", arch=["both.pt", "B=nets.py:make"])
    text = recipe.dumps(["a.pt?input=3x8x8", 'nets.py:make("x?y")'], options)
    (beside / "recipe.toml").write_text(text)
    found = recipe.read(beside / "recipe.toml")
    assert found.models == (f"{beside}/a.pt?input=3x8x8", f'{beside}/nets.py:make("x?y")')
    assert (found.options["data"], found.options["evaluate"]) == (f"folder:{beside}/images?limit=8", "digits")
    assert next(iter(found.options["arch"])) == "both.pt"


@pytest.mark.parametrize("words", ["digits/resnet", "timm/resnet18", "none.pt", "/none/a.pt", "none.py:make"])
def test_names_of_a_registry_and_files_that_are_nowhere_stay_as_they_are(tmp_path, words):
    (tmp_path / "digits" / "resnet").mkdir(parents=True)
    (tmp_path / "recipe.toml").write_text(recipe.dumps([words], CompileOptions()))
    assert recipe.read(tmp_path / "recipe.toml").models == (words,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('a = "digits/evil.py:make"', "code to run"), ('a = "evil.py:make"', "code to run"),
        ('a = "timm/hf-hub:owner/name"', "a network address"), ('a = "/elsewhere/a.pt"', "a file elsewhere"),
        ('a = "../a.pt"', "a file elsewhere"), ('a = "a.pt2"', "a program"), ('a = "."', "may be a program"),
        ('data = "folder:/"', "the images 'folder:/'"), ('evaluate = "npz:x"', "the images"),
        ('arch = ["B=nets.py:make"]', "code to run"), ('against = ["evil.py:make"]', "code to run"),
        ('[[tune]]\ndata = "folder:/"', "the images"),
    ],
)  # fmt: skip
def test_a_recipe_chooses_no_code_no_address_and_nothing_to_read(text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text(text)
    found = recipe.read(tmp_path / "recipe.toml")
    with pytest.raises(UnsafeCheckpoint, match=message) as caught:
        recipe.check(found, tmp_path / "recipe.toml")
    assert caught.value.message.startswith(f"line {text.count(chr(10)) + 1} of the recipe {tmp_path}")
    assert "--trust" in caught.value.hint
    recipe.check(found, tmp_path / "recipe.toml", trust=True)


def test_a_recipe_may_name_registries_the_digits_and_checkpoints_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b.pt").touch()
    text = 'a = "timm/resnet18"\nb = "b.pt"\ndata = "digits?split=test"\narch = ["B=resnet18", "timm/resnet18"]'
    (tmp_path / "recipe.toml").write_text(text)
    recipe.check(recipe.read(tmp_path / "recipe.toml"), tmp_path / "recipe.toml")


def test_what_the_command_line_says_over_a_recipe_is_the_user_s_own_word(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipe.toml").write_text('a = "digits/resnet"\nb = "digits/plain"\ndata = "folder:/"')
    words = ["compile", "--recipe", "recipe.toml", "--dry-run", "--rank", "cka"]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert "may name the embedded digits only" in told and "Name them yourself: --data folder:/;" in told
    assert main([*words, "--data", "digits?limit=16"]) == 0
