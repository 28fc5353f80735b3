"""Labels are outputs of the network or refused: by number, by position, by name; and what is said of each."""

import json

import pytest
import torch
from torch import nn

import stitchc
from stitchc.classes import for_models, match
from stitchc.cli import main
from stitchc.evaluate import accuracy
from stitchc.passes.data.errors import DataError, ModelError
from stitchc.passes.data.model import InputSpec, Model, TensorImages
from stitchc.tuning.labels import meant, measured_on
from stitchc.zoo import images
from stitchc.zoo.class_names import CIFAR10, CIFAR100, natural_order, vocabularies
from stitchc.zoo.image_words import of_one_split

SPEC = InputSpec((3, 2, 2), (0.0,) * 3, (1.0,) * 3)
WNIDS = vocabularies(1000)[0].lists[0]


class Named:
    """One black image of each class, in the order of the classes."""

    noise, notes, name = False, (), "named"

    def __init__(self, names):
        self.class_names = tuple(names)
        self.labels = torch.arange(len(names))

    def __len__(self):
        return len(self.class_names)

    def relabelled(self, labels):
        other = Named(self.class_names)
        other.labels = labels
        return other

    def batches(self, spec, size, start=0, stop=None):
        yield from torch.zeros(len(self), *spec.size).split(size)


def numbered(labels) -> TensorImages:
    return TensorImages(torch.zeros(len(labels), 3, 2, 2), torch.tensor(labels), "numbered")


def constant(scores) -> nn.Module:
    """A network that gives every image the same scores."""

    class Constant(nn.Module):
        def forward(self, x):
            return torch.tensor(scores, dtype=torch.float32).expand(len(x), -1)

    return Constant().eval()


# Numbers


@pytest.mark.parametrize(
    ("labels", "message"), [([0, 10], "a label 10, but the network has 10"), ([0, -1], "a label -1")]
)
def test_numbers_that_are_no_outputs_are_refused(labels, message):
    with pytest.raises(DataError, match=message):
        match(numbered(labels), 10)
    with pytest.raises(DataError, match=message):
        accuracy(constant([0.0] * 10), SPEC, numbered(labels))


def test_labels_that_count_from_one_are_recognised():
    with pytest.raises(DataError) as caught:
        match(numbered([1, 5, 10]), 10)
    assert "from 1: subtract 1" in caught.value.hint


def test_fewer_numbers_than_outputs_are_said():
    assert match(numbered([0, 1]), 2).note == ""
    assert "labels 0 to 1 are taken for numbers of the network's 1,000 outputs" in match(numbered([0, 1]), 1000).note


@pytest.mark.parametrize("labels", [torch.tensor([0.0, 1.0]), torch.tensor([0]), torch.tensor([[0], [1]])])
def test_labels_of_another_kind_or_number_are_refused(labels):
    with pytest.raises(DataError, match="the labels of 'x' are"):
        match(TensorImages(torch.zeros(2, 3, 2, 2), labels, "x"), 10)


def test_scores_that_are_no_numbers_are_no_accuracy():
    for wrong in (float("nan"), float("inf")):
        with pytest.raises(ModelError, match="infinite or undefined"):
            accuracy(constant([wrong, 0.0]), SPEC, numbered([0, 1]))


# Names


def test_as_many_classes_as_outputs_are_positions_and_nothing_is_said():
    found = match(Named("abc"), 3)
    assert found.labels.tolist() == [0, 1, 2] and (found.by, found.note) == ("position", "")


@pytest.mark.parametrize("count", [2, 4])
def test_another_number_of_classes_whose_names_say_nothing_is_refused_with_ways_out(count):
    with pytest.raises(DataError, match=f"has {count} classes .*, and the network has 3 outputs") as caught:
        match(Named("abcd"[:count]), 3)
    assert "classes=FILE" in caught.value.hint and "classes=alphabetical" in caught.value.hint


def test_names_of_a_known_set_are_its_outputs():
    found = match(Named(["cat", "dog"]), 10)
    assert found.labels.tolist() == [3, 5] and "2 classes" in found.note and "CIFAR-10" in found.by
    assert match(Named(CIFAR10), 10).note == ""
    assert match(Named(["Pickup Truck", "maple-tree"]), 100).labels.tolist() == [58, 47]
    assert CIFAR100[58] == "pickup_truck" and list(CIFAR100) == sorted(CIFAR100) and len(set(CIFAR100)) == 100


def test_the_short_names_of_cifar_10_are_its_outputs_though_they_sort_otherwise():
    short = sorted(["plane", "car", *CIFAR10[2:]])
    found = match(Named(short), 10)
    assert [found.labels.tolist()[short.index(name)] for name in ("plane", "car", "truck")] == [0, 1, 9]
    assert "CIFAR-10" in found.note


def test_synsets_are_outputs_of_an_imagenet_network():
    assert WNIDS[0] == "n01440764" and list(WNIDS) == sorted(WNIDS)
    found = match(Named([WNIDS[7], f"{WNIDS[151]}-Chihuahua", f"{WNIDS[900]}_x"]), 1000)
    assert found.labels.tolist() == [7, 151, 900] and "ImageNet" in found.note
    assert match(Named(WNIDS), 1000).note == ""
    assert match(Named(["tench", "Great White Shark", "tiger shark, Galeocerdo"]), 1000).labels.tolist() == [0, 2, 3]
    assert match(Named([WNIDS[0], WNIDS[999]]), 1001).labels.tolist() == [1, 1000], "a background class comes first"
    assert match(Named([WNIDS[0], WNIDS[999]]), 21841).labels.tolist() != [0, 999]
    with pytest.raises(DataError, match="3 classes"):
        match(Named([WNIDS[0], WNIDS[1], "n99999999"]), 1000)


def test_imagenette_is_counted_in_tens_by_a_network_of_ten_and_by_synset_by_one_of_a_thousand():
    ten = [WNIDS[i] for i in (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)]
    assert match(Named(ten), 10).labels.tolist() == list(range(10))
    assert match(Named(ten), 1000).labels.tolist() == [0, 217, 482, 491, 497, 566, 569, 571, 574, 701]


def test_a_networks_own_names_come_first():
    own = ("dog", "cat", "bee")
    found = match(Named(["bee", "cat"]), 3, own)
    assert found.labels.tolist() == [2, 1] and "the names of the network" in found.note
    with pytest.raises(DataError, match=r"1 class \(cow\) of 'named' are none of the network's"):
        match(Named(["bee", "cat", "cow"]), 3, own)
    with pytest.raises(DataError, match=r"3 classes .* are none of the network's \(dog, cat, bee, ...\)") as caught:
        match(Named("xyz"), 3, own)
    assert "classes=alphabetical" in caught.value.hint
    assert "the 3 names that the network gives its 4 outputs are not used" in match(Named("wxyz"), 4, own).note
    categories = tuple(vocabularies(1000)[0].lists[1])
    assert match(Named([WNIDS[5]]), 1000, categories).labels.tolist() == [5], (
        "these names are ImageNet's, which has synsets"
    )


def test_names_that_torchvision_and_timm_order_in_two_ways_are_refused():
    assert natural_order(["c10", "c2", "a"]) == ["a", "c2", "c10"]
    for names, two in (
        (map(str, range(12)), "output 2 is '10' in alphabetical order, and '2' where"),
        ((f"class_{i}" for i in range(12)), "output 2 is 'class_10' .*, and 'class_2' where"),
        ((f"{i + 1}. {name}" for i, name in enumerate(CIFAR10)), "output 1 is '10. truck' .* '2. automobile' where"),
        (("ant", "Bee", "cow"), "output 0 is 'Bee' .*, and 'ant' where"),
    ):
        classes = sorted(names)
        with pytest.raises(DataError, match=two) as caught:
            match(Named(classes), len(classes))
        assert "classes=natural" in caught.value.hint and "classes=alphabetical" in caught.value.hint
    assert match(Named(sorted(f"{i:02}" for i in range(12))), 12).note == ""


def test_classes_in_another_order_than_a_known_set_of_the_same_size_are_refused():
    names = sorted([*vocabularies(1000)[0].lists[1][1:], "something else"])
    for classes in (names, sorted(["plane", "auto", *CIFAR10[2:]])):
        with pytest.raises(DataError, match=r"another place in (ImageNet|CIFAR-10)") as caught:
            match(Named(classes), len(classes))
        assert "classes=alphabetical" in caught.value.hint


def test_training_may_give_the_first_outputs_a_meaning():
    found = match(Named(["x", "y"]), 10, learning=True)
    assert found.labels.tolist() == [0, 1] and "training makes the first 2 of 10 outputs mean" in found.note
    with pytest.raises(DataError, match="3 classes"):
        match(Named("xyz"), 2, learning=True)


# Several models


def named_model(name, outputs, names=None):
    return Model(name, SPEC, classes=outputs, class_names=names, module=constant([0.0] * outputs))


def test_images_are_compared_on_with_labels_that_are_outputs_or_with_none():
    images, notes = for_models(Named(["cat", "dog"]), [named_model("a", 10), named_model("b", 10)])
    assert images.labels.tolist() == [3, 5] and len(notes) == 1
    images, notes = for_models(Named(["cat", "dog"]), [named_model("a", 10), named_model("b", 7)])
    assert images.labels.tolist() == [3, 5] and "not used for b" in notes[1]
    images, notes = for_models(Named(["x", "y"]), [named_model("a", 10), named_model("b", 7)])
    assert images.labels is None and len(notes) == 2


# Verbs


@pytest.fixture
def digits(tmp_path):
    """Some of the digits as class folders called by words."""
    from PIL import Image

    from stitchc.zoo.digits.data import load_split

    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    pixels, labels = load_split("test")
    for number, (image, label) in enumerate(zip(pixels[:200], labels[:200], strict=True)):
        folder = tmp_path / "digits" / words[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")
    (tmp_path / "order.txt").write_text("\n".join(words))
    return tmp_path


def run(capsys, *words) -> tuple[int, dict]:
    status = main([*map(str, words), "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_eval_says_in_text_and_json_how_classes_were_matched(digits, capsys):
    data = f"folder:{digits}/digits"
    status, right = run(capsys, "eval", "digits/plain", "--data", f"{data}?classes={digits}/order.txt")
    assert status == 0 and right["top1"] > 0.9 and right["classes"] == {"images": 10, "outputs": 10, "by": "number"}
    status, refused = run(capsys, "eval", "digits/plain", "--data", data)
    assert status == 2 and "are none of the network's (0, 1, 2, ...)" in refused["error"]["message"]
    status, wrong = run(capsys, "eval", "digits/plain", "--data", f"{data}?classes=alphabetical")
    assert status == 0 and wrong["top1"] < 0.5, "as the user says"
    for image in (digits / "digits" / "nine").iterdir():
        image.unlink()
    (digits / "digits" / "nine").rmdir()
    status, refused = run(capsys, "eval", "digits/plain", "--data", data)
    assert status == 2 and "9 classes" in refused["error"]["message"]


def test_compile_refuses_images_of_other_classes_before_the_work(digits, capsys):
    data = f"folder:{digits}/digits"
    (digits / "digits" / "ten").mkdir()
    begun = []

    class Watcher(stitchc.progress.Silent):
        def __call__(self, step, plan, seconds):
            begun.append(step)

    with pytest.raises(DataError, match="11 classes"):
        stitchc.compile("digits/resnet", "digits/plain", data="digits", evaluate=data, progress=Watcher())
    assert not begun


def test_training_names_outputs_and_what_is_measured_after_it_is_matched_by_those_names():
    trained, model, said = meant(Named(["ant", "bee"]), named_model("a", 4))
    assert model.class_names == ("ant", "bee", "", "") and trained.labels.tolist() == [0, 1]
    assert "first 2 of 4 outputs" in said[0]
    assert match(Named(["bee"]), 4, model.class_names).labels.tolist() == [1]
    mapped, same, _ = meant(Named(["cat", "dog"]), named_model("a", 10))
    assert mapped.labels.tolist() == [3, 5] and same.class_names is None, "CIFAR-10's outputs keep their meaning"


def test_images_that_a_tuned_artifact_can_no_longer_be_measured_on_are_named_unless_the_user_asked_for_them(digits):
    record = {"accuracy": {"data": f"folder:{digits}/digits?limit=20"}}
    model = named_model("a", 12, ("zero", *"abcdefghijk"))
    images, said = measured_on(None, record, Named(["zero"]), model)
    assert images is None and "nothing is measured on" in said[0]
    with pytest.raises(DataError):
        measured_on(f"folder:{digits}/digits", record, Named(["zero"]), model)


@pytest.mark.parametrize(("evaluate", "told"), [("digits?split=train&limit=5", 1), ("digits?split=test", 0)])
def test_a_training_measured_on_its_own_images_says_so(evaluate, told):
    trained = images("digits?split=train&limit=8")
    _, said = measured_on(evaluate, {}, trained, named_model("a", 10))
    assert len([note for note in said if "flatters" in note]) == told


def test_names_of_one_split_are_told_from_others(digits):
    folder = f"folder:{digits}/digits"
    assert of_one_split(folder, f"folder:{digits}/../{digits.name}/digits?limit=3&seed=1")
    assert not of_one_split(folder, f"{folder}?split=train") and not of_one_split("digits", "images")
    assert not of_one_split("random", "random")
