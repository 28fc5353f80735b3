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
