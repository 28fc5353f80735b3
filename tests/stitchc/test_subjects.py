"""Words to things: which images, which architecture, which device, when nobody or everybody says."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from torch import nn

from stitchc.device import resolve
from stitchc.inputs import archs_for, is_artifact, model_of, probe, probe_words
from stitchc.options import CompileOptions
from stitchc.passes.data.errors import InputError
from stitchc.passes.data.model import InputSpec, Model
from stitchc.passes.data.plan import Plan
from stitchc.progress import Silent
from stitchc.start import opened
from stitchc.zoo import load

SPEC = InputSpec((1, 8, 8), (0.0,), (1.0,))


def models(*data):
    return tuple(Model("m", SPEC, data=words) for words in data)


@pytest.mark.parametrize(
    ("given", "records", "words"),
    [
        ("folder:x", ("digits", "digits"), "folder:x"),
        (None, ("digits", "digits"), "digits"),
        (None, ("digits", "cifar10:x"), "random"),
        (None, ("digits", None), "random"),
        (None, (None, None), "random"),
    ],
)
def test_images_are_given_or_recorded_or_noise(given, records, words):
    assert probe_words(models(*records), given) == words


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("digits", "digits?limit=9"),
        ("digits?split=test", "digits?split=test&limit=9"),
        ("digits?limit=3", "digits?limit=3"),
        (None, "random?limit=9"),
    ],
)
def test_a_limit_is_added_to_words_that_have_none(given, name):
    images, notes = probe(models(None, None), given, 9)
    assert images.name == name
    assert bool(notes) == images.noise


def test_noise_that_was_asked_for_is_noted_too():
    _, (note,) = probe(models("digits", "digits"), "random", 8)
    assert "'random?limit=8' is noise" in note


@pytest.mark.parametrize(
    ("subjects", "arch", "found"),
    [
        (("a.pt", "b.pt"), None, [None, None]),
        (("a.pt", "b.pt"), ("A=x", "B=y"), ["x", "y"]),
        (("a.pt", "b.pt"), ("B=y",), [None, "y"]),
        (("a.pt", "b.pt"), ("x", "y"), ["x", "y"]),
        (("a.pt", "b.pt"), ("x",), ["x", "x"]),
        (("a.pt", "b.pt"), ("B=y", "x"), ["x", "y"]),
        (("digits/resnet", "b.pt?name=b"), "y", [None, "y"]),
        (("b.pt",), ('nets.py:make(a="b=c")',), ['nets.py:make(a="b=c")']),
    ],
)
def test_architectures_are_one_a_model(subjects, arch, found):
    assert archs_for(subjects, arch) == found


@pytest.mark.parametrize(
    ("subjects", "arch", "message"),
    [
        (("digits/resnet", "digits/plain"), ("x",), "1 architectures for 0 checkpoints"),
        (("a.pt", "digits/plain"), ("x", "y"), "2 architectures for 1 checkpoints"),
        (("digits/resnet", "b.pt"), ("A=x",), "'digits/resnet' is no checkpoint"),
        (("a.pt", "b.pt"), ("A=x", "A=y"), "has its architecture already"),
        (("a.pt",), ("B=x",), "there is no model B"),
    ],
)
def test_architectures_that_no_model_takes_are_refused(subjects, arch, message):
    with pytest.raises(InputError, match=message):
        archs_for(subjects, arch)


def test_a_registry_s_name_is_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits" / "plain").mkdir(parents=True)
    (tmp_path / "digits" / "plain" / "plan.json").write_text("{}")
    (tmp_path / "digits" / "plain" / "model.py").write_text("raise SystemExit('this must never run')")
    assert not is_artifact("digits/plain") and is_artifact("./digits/plain") and is_artifact(Path("digits/plain"))
    assert model_of("digits/plain").source == "digits/plain"


def test_a_loaded_model_is_itself():
    model = Model("m", SPEC, module=nn.Identity().eval())
    assert model_of(model) is model and Plan.of(model).models == (model,) and Plan.of(model).models[0] is model


def test_a_device_that_is_not_here_is_refused():
    assert resolve("cpu").type == "cpu"
    assert resolve("auto").type in ("cpu", "cuda")
    with pytest.raises(InputError, match="no device 'quantum'"):
        resolve("quantum")


@pytest.mark.parametrize(
    ("evaluate", "shared"), [("digits?split=train&limit=12", 8), ("digits?split=test", 0), (None, 0)]
)
def test_images_to_measure_on_that_are_fitted_on_too_are_told(evaluate, shared):
    given = CompileOptions(data="digits?limit=8", evaluate=evaluate)
    with opened(("digits/small", "digits/plain"), given, Silent()) as (plan, _, measured, _):
        told = [note for note in plan.notes if "flatters" in note]
        assert told == [note for note in told if note.startswith(f"{shared} of the {len(measured)} images")]
        assert bool(told) == bool(shared)


def test_any_number_of_models_may_have_one_name():
    model = load("digits/small")
    several = [replace(model, module=deepcopy(model.module)) for _ in range(30)]
    with opened(several, CompileOptions(data="digits?limit=8"), Silent()) as (plan, *_):
        assert len({one.name for one in plan.models}) == 30
