"""Recipes: the models and options of a run, there and back."""

import pytest

from stitchc import recipe
from stitchc.options import CompileOptions
from stitchc.passes.data.errors import InputError
from stitchc.tuning.settings import TrainingOptions


def test_a_recipe_reads_back_as_it_was_written():
    models = ('nets.py:make("x \\ \n y")', "ü/é.pt")
    options = CompileOptions(
        budget=["12M", "size=60%"], front=3, probe_images=100, onnx=False, steps=True, min_share="10%", effort="60s"
    )
    found = recipe.loads(recipe.dumps(models, options))
    assert found.models == models and CompileOptions.of(found.options) == options and found.trainings == ()


def test_more_models_are_named_by_further_letters():
    text = recipe.dumps(["x", "y", "z"], CompileOptions())
    assert 'a = "x"\nb = "y"\nc = "z"\n' in text and recipe.loads(text).models == ("x", "y", "z")


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
direction = "slow-to-fast"
adapter = "auto"
heal = "back"
heal_sweeps = 2
heal_target = "back"
rank = "cascade"
effort = "medium"
similarity = "cka-unbiased"
probe_images = 512
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
        ("probe_images = 3", "the recipe: `probe_images` is 3"),
        ("tune = 3", "no table"),
        ('[[tune]]\ntrain = "bck"', "'bck' is no value of `train`"),
        ("[[tune]]\nepoch = 3", "'epoch' is no option"),
        ("trust = true", "'trust' is no option"),
    ],
)
def test_what_is_no_recipe_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        recipe.loads(text)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        recipe.read(tmp_path / "none.toml")


def test_an_object_has_no_words():
    with pytest.raises(InputError, match="object"):
        recipe.dumps([object()], CompileOptions())
