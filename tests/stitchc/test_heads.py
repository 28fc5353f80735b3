"""Classes that the models do not have: each stands for some that they have, or is learned from a few images."""

import contextlib
import io
import json
from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import stitchc
from stitchc.cli import main
from stitchc.heads.few_labels import linear, nearest
from stitchc.heads.put import with_heads
from stitchc.heads.words import words_of
from stitchc.options import CompileOptions
from stitchc.passes.data.errors import DataError, InputError
from stitchc.passes.data.model import TensorImages
from stitchc.progress import Silent
from stitchc.zoo import images, load

HEAD = "classes=0-4=low,5-7=high,9=high"
FAST = ["--effort", "low", "--probe-images", "64", "--heal-sweeps", "1", "--rivals=none"]


def with_head(model, head, **more):
    return with_heads([model], CompileOptions(head=head, **more), Silent())[0][0]


@dataclass(frozen=True)
class Halves:
    """Digits whose classes are 0 to 4 and 5 to 9, which no network of the zoo tells apart."""

    whole: object
    class_names = ("low", "high")
    name = "digits in two halves"
    noise = False

    @property
    def labels(self):
        return (self.whole.labels >= 5).long()

    def __len__(self):
        return len(self.whole)

    def batches(self, spec, size, start=0, stop=None):
        return self.whole.batches(spec, size, start, stop)

    def relabelled(self, labels):
        return TensorImages(torch.cat(list(self.batches(load("digits/plain").input, 64))), labels)


def test_new_classes_have_the_probabilities_of_the_old_ones_that_they_stand_for():
    model = load("digits/plain")
    images = torch.rand(16, *model.input.size)
    old, made = model.scores(images).softmax(1), with_head(model, HEAD)
    new = made.scores(images).softmax(1)
    assert (made.classes, made.class_names, made.accuracy) == (2, ("low", "high"), None)
    low, high = old[:, :5].sum(1), old[:, [5, 6, 7, 9]].sum(1)
    torch.testing.assert_close(new[:, 0], low / (low + high), rtol=1e-4, atol=1e-6)
    assert with_head(model, "parent") is model


def clusters(images=24, classes=3, scores=7, noise=0.8):
    """Scores of a network for images of some classes, and the classes."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(images) % classes
    centres = torch.randn(classes, scores, generator=generator)
    return centres[labels] + noise * torch.randn(images, scores, generator=generator), labels


def test_the_nearest_labelled_images_vote():
    features, labels = clusters()
    asked = torch.randn(10, 7, generator=torch.Generator().manual_seed(1))
    found = nearest(nn.Identity(), features, labels, 3, 5).network(asked).softmax(1)
    for image, share in zip(asked, found, strict=True):
        cosine = [float(F.cosine_similarity(image, other, dim=0)) for other in features]
        votes = torch.zeros(3, dtype=torch.float64)
        for at in sorted(range(24), key=lambda k: -cosine[k])[:5]:
            votes[labels[at]] += torch.tensor(cosine[at] / 0.07, dtype=torch.float64).exp()
        torch.testing.assert_close(share.double(), (votes / votes.sum() * 5 + 1 / 3) / 6, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("make", [lambda *given: nearest(*given, 4), linear])
def test_what_is_said_of_images_left_out_is_what_heads_made_without_them_say(make):
    features, labels = clusters(noise=1.6)
    right = 0
    for k in range(24):
        kept = [i for i in range(24) if i != k]
        head = make(nn.Identity(), features[kept], labels[kept], 3).network
        right += int(head(features[k : k + 1]).argmax() == labels[k])
    found = make(nn.Identity(), features, labels, 3)
    assert abs(found.right - right / 24) <= 1.5 / 24  # the penalty of a linear head may be another without an image
    assert 0.4 < found.right < 1


def test_a_linear_head_tells_apart_what_a_line_does_and_knows_how_sure_it_is():
    features, labels = clusters(60, 3, 12)
    made = linear(nn.Identity(), features[:30], labels[:30], 3).network
    said = made(features[30:])
    assert (said.argmax(1) == labels[30:]).double().mean() > 0.85
    likely = [-float(F.cross_entropy(said.detach() * scale, labels[30:])) for scale in (0.2, 1.0, 5.0)]
    assert likely[1] == max(likely)


@pytest.mark.parametrize(
    "head",
    ["knee", "classes=1-3", "classes=1=a", "classes=1-3=a,2=b", "classes=5-2=a,1=b", "knn=0", "knn=many", "linear=3"],
)
def test_what_is_no_head_is_refused(head):
    with pytest.raises(InputError):
        words_of(head)


@pytest.mark.parametrize(
    ("head", "data", "error", "said"),
    [
        ("knn", "digits?limit=4&seed=0", DataError, "no image of"),
        ("knn=40", "digits?limit=30", DataError, "are all of them"),
        ("linear", "random?limit=20", DataError, "no labels"),
        ("parent", "digits", InputError, "made without"),
        (HEAD, "digits", InputError, "made without"),
    ],
)
def test_images_that_no_head_can_be_made_from_are_refused(head, data, error, said, tmp_path):
    with pytest.raises(error, match=said):
        stitchc.compile("digits/plain", "digits/convnext", head=head, head_data=data, out=tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_classes_that_a_model_lacks_are_refused():
    with pytest.raises(InputError, match="names class 11, and "):
        with_head(load("digits/plain"), "classes=0-4=low,5-11=high")


@pytest.mark.slow
def test_a_network_is_compiled_and_exported_with_its_head(tmp_path):
    out = tmp_path / "x"
    words = ["--head", HEAD, "--budget", "60%", "--effort", "low", "--probe-images", "64", "--heal-sweeps", "1"]
    assert main(["compile", "digits/plain", "digits/convnext", *words, "--rivals=none", "-o", str(out)]) == 0
    plan = json.loads((out / "plan.json").read_text())
    assert plan["class_names"] == ["low", "high"] and plan["verified"]["onnx_max_abs"] < 1e-4
    assert stitchc.load(out)(torch.zeros(2, 1, 8, 8)).shape == (2, 2)
    assert f'head = "{HEAD}"' in (out / "recipe.toml").read_text()
    again = tmp_path / "again"
    assert main(["compile", "--recipe", str(out / "recipe.toml"), "-o", str(again)]) == 0
    assert (out / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()


@pytest.mark.parametrize("head", [pytest.param("knn", marks=pytest.mark.slow), "linear"])
def test_a_network_for_new_classes_is_made_from_a_few_labels(head, tmp_path):
    few, out = Halves(images("digits?limit=20")), tmp_path / "x"
    plan = stitchc.compile(
        "digits/plain", "digits/convnext", budget="60%", head=head, head_data=few,
        evaluate=Halves(images("digits?split=test")), effort="low", probe_images=64, heal_sweeps=1, rivals="none",
        out=out,
    )  # fmt: skip
    assert (
        plan.hybrid.verified.onnx_max_abs < 1e-3
        and plan.hybrid.price["size"] == (out / "model.safetensors").stat().st_size
    )
    written = json.loads((out / "plan.json").read_text())
    assert written["class_names"] == ["low", "high"] and written["accuracy"]["top1"] > 0.6
    assert any("20 labelled images" in note for note in written["notes"])
    assert stitchc.load(out)(torch.zeros(3, 1, 8, 8)).shape == (3, 2)


@pytest.mark.slow
def test_a_search_ends_in_a_learned_head_and_its_recipe_makes_the_same_again(tmp_path):
    out, again = tmp_path / "x", tmp_path / "again"
    words = ["--head", "knn=3", "--head-images", "40", "--budget", "macs=1.6M", "--no-onnx", *FAST]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["search", "digits/plain", "digits/convnext", *words, "--json", "-o", str(out)]) == 0
    document = json.loads(said.getvalue())
    assert document["plan"]["accuracy"]["top1"] > 0.8 and document["chains"][0]["cost"] == document["plan"]["cost"]
    recipe = (out / "recipe.toml").read_text()
    assert 'head = "knn=3"' in recipe and "head_images = 40" in recipe
    assert main(["compile", "--recipe", str(out / "recipe.toml"), "-o", str(again)]) == 0
    assert (out / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
