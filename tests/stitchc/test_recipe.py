"""Recipes: the options of a run, there and back."""

import pytest

from stitchc import recipe
from stitchc.passes.data.errors import InputError


def test_a_recipe_reads_back_as_it_was_written():
    options = {
        "a": 'nets.py:make("x \\ \n y")', "b": "ü/é.pt", "budget": ["flops=12000000", "size=60%"], "front": 3,
        "probe_images": 512, "onnx": False, "seed": 0,
    }  # fmt: skip
    assert recipe.loads(recipe.dumps(options)) == options


def test_what_was_not_given_is_left_out_and_order_does_not_matter():
    assert recipe.dumps({"b": "y", "a": "x", "data": None}) == recipe.dumps({"a": "x", "b": "y"})


def test_golden():
    assert (
        recipe.dumps({"a": "digits/resnet", "b": "digits/plain", "budget": ["flops=12000000"], "onnx": True})
        == """\
# A recipe of stitchc. Run it again with
#     stitchc compile --recipe recipe.toml -o DIR
# Options on the command line override what stands here.

schema = 1
a = "digits/resnet"
b = "digits/plain"
budget = ["flops=12000000"]
onnx = true
"""
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [("a = ", "no TOML"), ('direktion = "both"', "'direktion'"), ("schema = 2", "schema 2")],
)
def test_what_is_no_recipe_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        recipe.loads(text)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        recipe.read(tmp_path / "none.toml")


def test_an_object_has_no_words():
    with pytest.raises(InputError, match="object"):
        recipe.dumps({"a": object()})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, encoding):
    path = tmp_path / "recipe.toml"
    path.write_bytes('a = "ü.pt"\n[[tune]]\nepochs = 3\n'.encode(encoding))
    assert recipe.read(path) == {"a": "ü.pt"}
    assert recipe.trainings(path) == [{"epochs": 3}]


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
    stated = {
        "a": "a.pt?input=3x8x8", "b": 'nets.py:make("x?y")', "data": "folder:images?limit=8", "evaluate": "digits",
        "arch": "both.pt",
    }  # fmt: skip
    (beside / "recipe.toml").write_text(recipe.dumps(stated))
    assert recipe.read(beside / "recipe.toml") == {
        "a": f"{beside}/a.pt?input=3x8x8", "b": f'{beside}/nets.py:make("x?y")',
        "data": f"folder:{beside}/images?limit=8", "evaluate": "digits", "arch": "both.pt",
    }  # fmt: skip


@pytest.mark.parametrize("words", ["digits/resnet", "timm/resnet18", "none.pt", "/none/a.pt", "none.py:make"])
def test_names_of_a_registry_and_files_that_are_nowhere_stay_as_they_are(tmp_path, words):
    (tmp_path / "digits" / "resnet").mkdir(parents=True)
    (tmp_path / "recipe.toml").write_text(recipe.dumps({"a": words}))
    assert recipe.read(tmp_path / "recipe.toml") == {"a": words}
