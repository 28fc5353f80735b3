"""Whatever text or document is given, a parser reads it or says in one sentence what is wrong with it."""

import math
import string
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stitchc import recipe
from stitchc.options import CompileOptions
from stitchc.passes import adapters
from stitchc.passes.adapters import notation
from stitchc.passes.data import metrics
from stitchc.passes.data.budget import parse_budget, parse_quantity
from stitchc.passes.data.errors import StitchError
from stitchc.passes.data.model import InputSpec, Model
from stitchc.passes.data.plan import Plan
from stitchc.passes.data.values import Cut, Cuts, Price, Value
from stitchc.passes.stitch.stated import _read as read_chain
from stitchc.zoo import foreign, hugging_face, naming, records
from stitchc.zoo.image_words import _options as read_image_options
from stitchc.zoo.trust import data_in_file, words_in_file

settings.register_profile("parsers", derandomize=True, deadline=None, max_examples=100, database=None)
settings.load_profile("parsers")


def few_names() -> tuple[str, ...]:
    """For hints, which look for the nearest of all names: that takes longer than all that is tested here."""
    return ("digits/plain", "torchvision/resnet18", "timm/resnet18")


@pytest.fixture(scope="module", autouse=True)
def quick_hints():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(naming, "_all_names", few_names)
        yield


ANY = st.text(max_size=60)


def of(alphabet: str, *words: str) -> st.SearchStrategy[str]:
    """Texts of words and characters that mean something to a parser, and now and then of any."""
    return st.lists(st.sampled_from([*words, *alphabet]) | st.text(max_size=3), max_size=12).map("".join) | ANY


def refused(error: StitchError) -> None:
    """An error for people: it says something, and is no essay."""
    assert error.message.strip() and len(error.message) < 5000 and error.exit_status == 2


@given(of(string.digits + ".+-e%", "12M", "GiB", "ms", "k", "1e999", "१२"), st.sampled_from(metrics.names()))
def test_quantities(text, metric):
    try:
        limit = parse_quantity(text, metric)
    except StitchError as error:
        return refused(error)
    assert 0 < limit.value < math.inf and limit.metric == metric
    assert limit.relative == text.strip().endswith("%")


@given(st.sampled_from(metrics.names()), st.floats(1, 1e15), st.sampled_from(["", "%"]))
def test_quantities_come_back_as_they_were_meant(metric, number, suffix):
    limit = parse_quantity(f"{number!r}{suffix}", metric)
    assert limit.value == pytest.approx(number / 100 if suffix else number * metrics.get(metric).unit.suffixes[""])


@given(st.lists(of("=%.", "12M", "macs=", "size=", "20MiB", "latency=5ms"), max_size=4), st.none() | ANY)
def test_budgets(words, metric):
    try:
        limits = parse_budget(words, metric)
    except StitchError as error:
        return refused(error)
    assert len(limits) == len(words) and all(name == limit.metric for name, limit in limits.items())


@given(of("/.:?=&,x()\"'\\~", "timm", "digits/", "plain", "torchvision/", ".pt", ".py:", "?input=", "3x8x8", "mean=",
          "std=0", "hf-hub:", "&name="))  # fmt: skip
@example("digits/plain?input=1x8x8&mean=0.1&name=x")
def test_words_of_models(text):
    try:
        words = naming.parse(text)
    except StitchError as error:
        return refused(error)
    assert words.given == text and words.form in (*naming.REGISTRIES, "code", "checkpoint", "exported")
    assert not words.options.std or all(0 < value < 1e6 for value in words.options.std)
    assert not words.options.input or all(1 <= value < 10**8 for value in words.options.input)
    if words.form in naming.REGISTRIES and words.options == naming.Options():
        assert naming.parse(words.bare).bare == words.bare


@given(of("/.:?=&", "digits/plain", "timm/", "hf-hub:owner/name", "../", "/etc", ".pt", ".py:make", "local-dir:/"))
@example("a\0b.pt")
def test_words_that_a_file_says(text):
    """Whatever they are, they stay within the registries and the folder."""
    try:
        words = words_in_file(text, "plan.json", beside=HERE)
    except StitchError as error:
        return refused(error)
    if words.form == "checkpoint":
        assert (HERE / words.body).resolve().is_relative_to(HERE)
    else:
        assert words.form in naming.REGISTRIES and not set("/:?\\") & set(words.body)


@given(of(string.digits + "&=-", "split=", "test", "limit=", "seed=", "labels=prefix", "classes=", "9" * 30))
def test_options_of_images(query):
    try:
        options = read_image_options(f"digits?{query}", query)
    except StitchError as error:
        return refused(error)
    except ValueError:  # what `images` takes for no query at all
        assert not all("=" in pair for pair in query.split("&"))
        return
    assert options.limit is None or 1 <= options.limit < 10**18
    assert 0 <= options.seed < 10**18


@given(of("?:/.", "digits", "folder:/", "npz:", "split=test", "&limit=8"))
def test_images_that_a_file_names(text):
    assert data_in_file(text) in (None, text)
    if data_in_file(text) is not None:
        assert text.split("?")[0] == "digits"


@given(st.sampled_from(adapters.names()), of("?&=", "bias=", "no", "rank=16", "ridge=1e-3", "resize=before", "norm="))
def test_adapters(name, options):
    try:
        kind = adapters.get(f"{name}{options}")
    except StitchError as error:
        return refused(error)
    assert adapters.get(kind.notation) == kind
    assert notation.split(kind.notation)[0] == kind.name


@given(of("/ :.", "A:", "B:..", "net:", "stem", "add", " / ", "..", "0", "99", "linear", "a:b"))
@example("A:..stem / B:add..")
@example("A..:B")
@example("a:b:..0 / linear / A:1..")
def test_chains(text):
    try:
        fragments, joined = read_chain(PLAN, text)
    except StitchError as error:
        return refused(error)
    assert len(joined) == len(fragments) - 1
    for fragment in fragments:
        assert 0 <= fragment.model < 2
        assert all(cut is None or 0 <= cut < 2 for cut in (fragment.start, fragment.end))
    words = [
        f"{'AB'[f.model]}:{'' if f.start is None else f.start}..{'' if f.end is None else f.end}" for f in fragments
    ]
    again = [word for pair in zip(words, [*joined, ""], strict=True) for word in pair if word]
    assert read_chain(PLAN, " / ".join(again)) == (fragments, joined)


KEYS = st.sampled_from([
    "name", "size", "mean", "std", "crop", "notes", "classes", "class_names", "licence", "data", "accuracy",
    "input_size",
    "img_size", "model", "num_classes", "in_chans", "interpolation", "architecture", "pretrained_cfg",
    "num_features", "crop_size", "image_mean", "image_std", "shortest_edge", "height", "width", "id2label", "resample",
    "rescale_factor", "do_rescale", "include_top", "val_crop_size", "model_kwargs", "crop_pct", "label_names",
])  # fmt: skip
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | ANY, inner, max_size=4),
    max_leaves=12,
)


READERS = [
    records.own, records.of_training, records.of_timm, hugging_face.of_preprocessor,
    lambda content, where: hugging_face.of_config(content, where)[1],
]  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_records(reader):
    @given(st.dictionaries(KEYS, DOCUMENTS, max_size=6) | DOCUMENTS)
    def of_any_document(content):
        try:
            record = reader(content, "a.pt")
        except StitchError as error:
            return refused(error)
        assert record.size is None or all(value >= 1 for value in record.size)
        assert record.crop is None or 0 < record.crop <= 1
        assert record.std is None or all(0 < value < math.inf for value in record.std)

    of_any_document()


@given(of("\"'[]{}=,.#\n", "a = ", "[[tune]]\n", "budget = ", '"12M"', "schema = 1\n", "epochs = 3\n", "1e999", "true",
          "data = ", "seed = "))  # fmt: skip
def test_recipes(text):
    try:
        found = recipe.loads(text)
    except StitchError as error:
        return refused(error)
    options = CompileOptions.of(found.options)
    assert CompileOptions.of(recipe.loads(recipe.dumps(found.models, options)).options) == options


@given(st.lists(ANY, min_size=1, max_size=3), ANY, st.integers(0, 10**9), st.floats(0, 1))
def test_recipes_hold_every_text(models, data, seed, share):
    options = CompileOptions(data=data, seed=seed, min_share=share)
    found = recipe.loads(recipe.dumps(models, options))
    assert found.models == tuple(models) and CompileOptions.of(found.options) == options


@given(of('"[]{}:,', '"a"', "NaN", "1e999", "null", "-1", "\\ud800") | st.binary(max_size=40))
def test_json(text):
    try:
        foreign.json_of(text)
    except foreign.Fault as fault:
        assert fault.reason and len(str(fault)) < 1000


HERE = Path("/nowhere")


def cuts(*names: str) -> Cuts:
    value, price = Value((4, 8, 8), "NCHW", grid=(8, 8)), Price(params=1, macs=1)
    return Cuts("single-tensor", tuple(Cut(i, n, n, value, (n,), price, price) for i, n in enumerate(names)), ())


SPEC = InputSpec((1, 8, 8), (0.0,), (1.0,))
PLAN = Plan((Model("net", SPEC), Model("a:b", SPEC)), cuts=(cuts("stem", "add"), cuts("stem", "add")))
