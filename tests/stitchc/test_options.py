"""Every option through every door: as a Python keyword, in a recipe, as a flag."""

import inspect
import sys
from dataclasses import dataclass

import pytest
import torch

import stitchc
from stitchc import recipe
from stitchc.cli import main
from stitchc.compile_passes import analysis, emission, looking, synthesis
from stitchc.families.options import FamilyOptions
from stitchc.option_kinds import Pictures, Sides, Subjects
from stitchc.options import CompareOptions, CompileOptions, CostOptions, InspectOptions
from stitchc.passes.data.errors import StitchError
from stitchc.passes.data.model import TensorImages
from stitchc.passes.data.option_kinds import Bytes, Choice, Choices, Count, Effort, Number, Share, Switch, Work
from stitchc.passes.data.options import NEVER, default_of, option_of, options_of
from stitchc.progress import Silent
from stitchc.searches.options import SearchOptions
from stitchc.tuning.settings import TrainingOptions, TuneOptions
from stitchc.wording import flag_of

RECORDS = {
    "compile": CompileOptions, "compare": CompareOptions, "tune": TuneOptions, "inspect": InspectOptions,
    "cost": CostOptions, "search": SearchOptions, "family": FamilyOptions,
}  # fmt: skip
PAIR = "digits/resnet", "digits/plain"
MODELS = {
    "compile": PAIR, "compare": PAIR, "search": PAIR, "family": PAIR, "tune": PAIR[:1],
    "inspect": PAIR[:1], "cost": PAIR[:1],
}  # fmt: skip
#: What cannot be changed alone.
BESIDE = {
    "backend": {"metric": "latency"},
    "momentum": {"optimizer": "sgd"},
    "distill_weight": {"distill": "back"},
    "temperature": {"distill": "back"},
    "holdout": {"patience": 3},
    "patience": {"holdout": 0.25},
    "accumulate": {"batch": 30},
}


class Reached(Exception):
    """What a verb was called with, before it did anything."""


@pytest.fixture
def stopped(monkeypatch):
    """Every verb raises the record of options that it was handed."""

    def stop(*given):
        raise Reached(next(x for x in given if isinstance(x, tuple(RECORDS.values()))))

    @dataclass
    class Place:
        rank: int = 0

    places = [
        ("stitchc.compile", "_check"), ("stitchc.start", "begin"), ("stitchc.examine", "_examined"),
        ("stitchc.tuning.run", "plain"), ("stitchc.search", "_check"), ("stitchc.family", "_check"),
    ]  # fmt: skip
    for module, _ in places:  # all first: one that is imported between would keep another's stop
        __import__(module)
    for module, name in places:
        monkeypatch.setattr(sys.modules[module], name, stop)
    monkeypatch.setattr(sys.modules["stitchc.tuning.run"], "engine", lambda device, precision: Place())


def every(*verbs: str) -> list:
    return [pytest.param(verb, name, id=f"{verb} {name}") for verb in verbs for name in options_of(RECORDS[verb])]


def another(name: str, of):
    """A value that the option can take and that is not its default."""
    kind, default = option_of(of).kind, default_of(of)
    if name == "budget":
        return "params=1M"
    if name == "metric":
        return "latency"  # any other is in the budget once that is read
    if name == "device":
        return "cpu"  # of the others, a machine may have none
    if name == "adapter":
        return "linear"
    if name == "sweep":
        return "macs=10%..50%"
    if name == "head":
        return "classes=0-4=low,5=high"
    if name == "arch":
        return ("A=x", "y")
    if isinstance(kind, Choices):
        return kind.known[:2]
    if isinstance(kind, Choice):
        return next(word for word in reversed(kind.known) if word != default)
    if isinstance(kind, Switch):
        return not default
    if isinstance(kind, Share):
        return 0.125
    if isinstance(kind, Count):
        return int(min(max(kind.least, 0) + 2 + (default == max(kind.least, 0) + 2), kind.most))
    if isinstance(kind, Number):
        return 0.5
    if isinstance(kind, Bytes):
        return 3 << 20
    if isinstance(kind, Sides):
        return (48, 64)
    if isinstance(kind, Work):
        return "90s"
    if isinstance(kind, Pictures | Subjects):
        return "digits" if isinstance(kind, Pictures) else "digits/small"
    return "low" if isinstance(kind, Effort) else "some-words"


def wrong(name: str, of):
    """Values that the option cannot take; none where it takes any words."""
    kind = option_of(of).kind
    if name == "budget":
        return ["12 miles"]
    if name == "sweep":
        return ["20%", "12 miles..13"]
    if name == "head":
        return ["knee", "classes=1-3", "classes=1=a", "classes=1-3=a,2=b"]
    if isinstance(kind, Choice | Effort | Sides | Work):
        return ["nonesuch"]
    if isinstance(kind, Number):
        return ["many", *([kind.least - 1] if kind.least > -float("inf") else []),
                *([kind.most + 1] if kind.most < float("inf") else [])]  # fmt: skip
    return ["much"] if isinstance(kind, Bytes | Switch) else []


def reached(verb: str, **given):
    with pytest.raises(Reached) as found:
        getattr(stitchc, verb)(*MODELS[verb], **given)
    return found.value.args[0]


def as_arguments(given) -> list[str]:
    words = []
    for name, value in given.items():
        if name == "arch":
            words += [word for each in value for word in (flag_of(name), each)]
        elif isinstance(value, bool):
            words.append(flag_of(name if value else f"no_{name}"))
        else:
            words += [flag_of(name), ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return words


def reached_by_flags(verb: str, arguments, monkeypatch):
    """The record that the public function behind the verb makes of the flags."""
    seen = {}
    function = getattr(stitchc, verb)

    def call(*models, progress=None, **given):
        try:
            function(*models, **given)
        except Reached as found:
            seen["options"] = found.args[0]
        raise SystemExit(0)

    monkeypatch.setitem(vars(stitchc), verb, call)
    main([verb, *MODELS[verb], *arguments])
    return seen["options"]


@pytest.mark.parametrize(("verb", "name"), every(*RECORDS))
def test_a_keyword_reaches_its_field(verb, name, stopped):
    of = options_of(RECORDS[verb])[name]
    value = another(name, of)
    found = reached(verb, **{name: value}, **BESIDE.get(name, {}))
    expected = RECORDS[verb].of({name: value, **BESIDE.get(name, {})})
    assert found == expected and getattr(found, name) != getattr(RECORDS[verb](), name)


@pytest.mark.parametrize(("verb", "name"), every(*RECORDS))
def test_a_flag_reaches_the_same_field(verb, name, stopped, monkeypatch):
    given = {name: another(name, options_of(RECORDS[verb])[name]), **BESIDE.get(name, {})}
    found = reached_by_flags(verb, as_arguments(given), monkeypatch)
    expected = RECORDS[verb].of(given)
    assert str(getattr(found, name)) == str(getattr(expected, name))


@pytest.mark.parametrize("name", [name for name, of in options_of(CompileOptions).items()])
def test_a_recipe_states_it_and_gives_it_back(name, stopped, monkeypatch, tmp_path):
    of = options_of(CompileOptions)[name]
    options = CompileOptions.of({name: another(name, of), **BESIDE.get(name, {})})
    path = tmp_path / "recipe.toml"
    path.write_text(recipe.dumps(PAIR, options))
    found = recipe.read(path).options
    if option_of(of).recipe == NEVER:
        assert name not in found
        return
    assert CompileOptions.of(found) == options
    if name != "device":
        monkeypatch.setitem(MODELS, "compile", ())
        flags = ["--recipe", str(path), "--force", "--trust"]
        assert reached_by_flags("compile", flags, monkeypatch).budget == options.budget


@pytest.mark.parametrize("name", [n for n, of in options_of(TrainingOptions).items() if option_of(of).recipe != NEVER])
def test_a_recipe_states_a_training_and_gives_it_back(name):
    of = options_of(TrainingOptions)[name]
    options = TrainingOptions.of({name: another(name, of), **BESIDE.get(name, {})})
    (found,) = recipe.loads(recipe.with_training(recipe.dumps(["a", "b"], CompileOptions()), options)).trainings
    assert TrainingOptions.of(found) == options and found[name] == getattr(options, name)


@pytest.mark.parametrize(("verb", "name"), every("compile", "compare", "search", "family", "tune"))
def test_what_an_option_cannot_be_is_refused_at_every_door(verb, name, stopped, capfd):
    of = options_of(RECORDS[verb])[name]
    for value in wrong(name, of):
        with pytest.raises(StitchError):
            getattr(stitchc, verb)(*MODELS[verb], **{name: value})
        if not isinstance(option_of(of).kind, Switch):  # flags of which say nothing but that they are there
            assert main([verb, *MODELS[verb], f"{flag_of(name)}={value}"]) == 2
            out, err = capfd.readouterr()
            assert out == "" and err.startswith("error: ") and "internal" not in err
        if verb == "compile" and option_of(of).recipe != NEVER:
            with pytest.raises(StitchError):
                CompileOptions.of(recipe.loads(f"{name} = {recipe.toml(value)}").options)
        if verb == "tune" and name in options_of(TrainingOptions) and option_of(of).recipe != NEVER:
            with pytest.raises(StitchError):
                recipe.loads(f"[[tune]]\n{name} = {recipe.toml(value)}")


def test_a_metric_is_that_of_the_budgets_that_name_none():
    options = CompileOptions(budget=["12M", "size=1MiB"], metric="macs")
    assert [limit.metric for limit in options.budget] == ["macs", "size"]
    assert recipe.loads(recipe.dumps([], options)).options["budget"] == ["macs=12000000", "size=1048576"]


def test_a_dry_run_chooses_as_a_compile_does():
    images = TensorImages(torch.randn(32, 1, 8, 8))
    for given in ({}, {"heal": "all", "heal_sweeps": 1, "max_memory": "1GiB"}, {"rank": "cka"}, {"front": "x"}):
        dry, wet = (analysis(CompileOptions.of(given | {"dry_run": dry}), images, Silent()) for dry in (True, False))
        assert dry == wet
        rank = next((p for p in dry if p.name == "rank"), None)
        assert rank is None or rank.heal == given.get("heal", "back")


def test_an_unknown_keyword_is_named_with_the_nearest():
    with pytest.raises(TypeError, match=r"no keyword 'direktion'. Did you mean 'direction'"):
        stitchc.compile("a", "b", direktion="both")


@pytest.mark.parametrize("verb", RECORDS)
def test_the_signature_shows_every_option_with_its_default(verb):
    signature = inspect.signature(getattr(stitchc, verb))
    for name, of in options_of(RECORDS[verb]).items():
        assert signature.parameters[name].default == default_of(of)
        assert f"    {name}: " in getattr(stitchc, verb).__doc__


def all_passes(options, images, folder):
    silent = Silent()
    return [
        *looking(options),
        *analysis(options, images, silent),
        *synthesis(options, silent),
        *emission(options, folder),
    ]


def test_every_option_of_a_pass_reaches_the_pass(tmp_path):
    images = TensorImages(torch.randn(32, 1, 8, 8))
    for name, of in options_of(CompileOptions).items():
        given = {name: another(name, of)} | ({"metric": "latency"} if name == "backend" else {})
        options = CompileOptions.of(given)
        passes = all_passes(options, images, tmp_path)
        holders = [p for p in passes if name in options_of(type(p))]
        assert all(getattr(p, name) == getattr(options, name) for p in holders), name
        assert holders or name in TO_THE_PRODUCT, name


#: Options of a compile that no pass has by this name: what becomes of them is seen in the tests below and in
#: test_compile.py.
TO_THE_PRODUCT = {
    "budget", "metric", "data", "evaluate", "adapter", "steps", "recalibrate", "similarity", "probe_images", "onnx",
    "seed", "device", "arch", "out", "trust", "force", "dry_run", "rivals", "against", "best",
    "input_size", "head", "head_data", "head_images",
}  # fmt: skip


def test_options_that_passes_know_by_other_names_reach_them(tmp_path):
    images = TensorImages(torch.randn(32, 1, 8, 8))

    def passes(**given):
        options = CompileOptions.of(given)
        return {p.name: p for p in all_passes(options, images, tmp_path)}

    assert passes(adapter="linear", steps=True)["cost"].adapters == ("linear?steps=yes",)
    assert passes(similarity="cka")["similarity"].metric == "cka"
    assert passes(budget="12M")["select"].budget == CompileOptions(budget={"flops": 12e6}).budget
    assert "latency" in passes(metric="latency") and "latency" not in passes()
    assert "recalibrate" in passes(recalibrate=True) and "recalibrate" not in passes()
    assert "onnx" in passes() and "onnx" not in passes(onnx=False)
    assert "rank" in passes() and "rank" not in passes(rank="cka")
    given = passes(front="x", back=3)
    assert "similarity" not in given and given["cost"].direction == "given"
    assert passes(max_memory="1GiB")["rank"].max_memory == 1 << 30
