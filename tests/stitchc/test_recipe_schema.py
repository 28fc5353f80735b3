"""The JSON schema of recipes admits what is read as a recipe, and refuses what is not."""

import json
import tomllib

import jsonschema
import pytest

from stitchc import recipe
from stitchc.cli import main
from stitchc.families.options import FamilyOptions
from stitchc.options import CompileOptions
from stitchc.passes.data.errors import InputError
from stitchc.passes.data.options import NEVER, option_of, options_of
from stitchc.recipes.schema import example, schema
from stitchc.tuning.settings import TrainingOptions

SCHEMA = schema()
jsonschema.Draft7Validator.check_schema(SCHEMA)
VALID = jsonschema.Draft7Validator(SCHEMA)


def stated(record):
    return {name: of for name, of in options_of(record).items() if option_of(of).recipe != NEVER}


def test_every_option_of_a_recipe_is_described():
    for record, of_verb in zip((CompileOptions, FamilyOptions), SCHEMA["anyOf"], strict=True):
        known = of_verb["properties"]
        assert stated(record).keys() | {"schema", "tune"} == known.keys()
        assert stated(TrainingOptions).keys() == known["tune"]["items"]["properties"].keys()
        assert all(len(of["description"]) > 10 for of in known.values())


@pytest.mark.parametrize(
    ("record", "name"), [(record, name) for record in (CompileOptions, FamilyOptions) for name in stated(record)]
)
def test_an_example_is_a_recipe(record, name):
    text = f"{name} = {recipe.toml(example(stated(record)[name]))}"
    assert recipe.loads(text, record=record).options.keys() == {name}
    assert VALID.is_valid(tomllib.loads(text)), text


def test_the_options_of_two_verbs_do_not_go_together():
    text = 'members = 3\nchain = "A:..x / B:y.."'
    for record in (CompileOptions, FamilyOptions):
        with pytest.raises(InputError, match="which is an option of"):
            recipe.loads(text, record=record)
    assert not VALID.is_valid(tomllib.loads(text))


@pytest.mark.parametrize("name", stated(TrainingOptions))
def test_an_example_is_a_training(name):
    text = f"[[tune]]\n{name} = {recipe.toml(example(stated(TrainingOptions)[name]))}"
    assert recipe.loads(text).trainings[0].keys() == {name}
    assert VALID.is_valid(tomllib.loads(text)), text


def test_what_is_written_is_valid():
    text = recipe.dumps(
        ["x", "y"], CompileOptions(budget={"macs": "60%"}, input_size=[160, 192], effort=60, polish="3min")
    )
    text = recipe.with_training(text, TrainingOptions(augment="flip", holdout="10%", teacher=["z"]))
    VALID.validate(tomllib.loads(text))
    VALID.validate(
        tomllib.loads(recipe.dumps(["x", "y"], FamilyOptions(budget=["20%", "macs=35%,params=1M"]), "family"))
    )


@pytest.mark.parametrize(
    "text",
    [
        "heels = 1", 'heal = "bak"', "probe_images = 3", "onnx = 1", "min_share = 2", 'effort = "most"', "budget = 1",
        "input_size = [0]", "a = 3", "chain = 3", "[[tune]]\nlr = -1", "[[tune]]\nepoch = 1", "schema = 2",
        "against = [3]", "trust = true", "min_share = true",
    ],
)  # fmt: skip
def test_what_is_refused_is_not_valid(text):
    with pytest.raises(InputError):
        recipe.loads(text)
    assert not VALID.is_valid(tomllib.loads(text))


def test_the_command_prints_it(capsys):
    assert main(["recipe", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == SCHEMA
