"""The embedded zoo: its data, its networks, and what their checkpoints reach."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from stitchc import zoo
from stitchc.zoo import digits
from stitchc.zoo.digits import NAMES, data, train
from stitchc.zoo.digits.nets import NETS
from stitchc.zoo.from_digits import record

FOLDER = Path(digits.__file__).parent


def flops(name: str) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        NETS[name](10).eval()(torch.zeros(1, *data.SIZE))
    return counter.get_total_flops()


def test_the_names_are_known_without_importing_torch():
    assert sorted(NETS) == list(NAMES) == sorted(train.RECIPES)


def test_the_split_is_fixed_and_class_balanced():
    (train_images, _), (test_images, test_labels) = data.load_split("train"), data.load_split("test")
    assert train_images.shape == (1297, 8, 8) and test_images.shape == (500, 8, 8)
    assert np.bincount(test_labels).tolist() == [50] * 10
    assert train_images.dtype == np.uint8 and train_images.max() == 255
    assert len(data.load_split("all")[0]) == 1797
    pixels = train_images / 255
    assert (pixels.mean(), pixels.std()) == pytest.approx((*data.MEAN, *data.STD), abs=2e-3)


def test_the_images_are_scikit_learns():
    original = pytest.importorskip("sklearn.datasets").load_digits()
    images, labels = data.load_split("all")
    assert np.array_equal(np.rint(images / (255 / 16)), original.images)
    assert np.array_equal(labels, original.target)


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_reaches_exactly_the_accuracy_written_beside_it(name):
    model = zoo.load(f"digits/{name}")
    images = zoo.images("digits?split=test")
    with torch.no_grad():
        guesses = torch.cat([model.module(batch).argmax(1) for batch in images.batches(model.input, 100)])
    correct = int((guesses == images.labels).sum())
    assert correct / 500 == pytest.approx(record(name)["accuracy"], abs=1e-9)
    assert model.accuracy == record(name)["accuracy"] >= (0.95 if name == "small" else 0.98)


def test_the_files_are_small():
    assert (FOLDER / "digits.npz").stat().st_size < 100_000
    assert all((FOLDER / f"{name}.safetensors").stat().st_size <= 1_000_000 for name in NAMES)
    assert (
        "CC" in (FOLDER / "ATTRIBUTION.md").read_text() or "Creative Commons" in (FOLDER / "ATTRIBUTION.md").read_text()
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_record_says_how_it_was_trained(name):
    written = json.loads((FOLDER / f"{name}.json").read_text())
    assert written["arch"] == f"digits/{name}"
    assert written["params"] == sum(p.numel() for p in NETS[name](10).parameters())
    assert written["recipe"] == vars(train.RECIPES[name]), "the checkpoint is that of the script as it stands"
    assert written["versions"]["torch"] and written["date"]


def test_costs_are_those_the_pairs_were_made_for():
    assert 20e6 <= flops("resnet") <= 40e6
    assert 2e6 <= flops("plain") <= 6e6
    assert flops("small") < flops("plain") / 20


def test_the_small_network_is_worse_than_the_large_one_by_more_than_chance():
    large, small = record("resnet")["accuracy"], record("small")["accuracy"]
    assert 0.95 <= small <= 0.97 and large - small > 0.025  # 500 images tell 1.7 points apart


@pytest.mark.slow
def test_training_is_the_same_each_time_and_learns():
    recipe = train.Recipe(epochs=2, lr=3e-3)
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        net = NETS["plain"](10)
        train.fit(net, recipe)
        results.append(net)
    assert all(torch.equal(a, b) for a, b in zip(results[0].parameters(), results[1].parameters(), strict=True))
    assert train.accuracy(results[0]) > 0.8 and not results[0].training


def test_augmentation_without_any_range_changes_nothing():
    images, _ = train.tensors("test")
    still = train.Recipe(epochs=1, lr=0.1, degrees=0, shift=0, scale=0)
    assert torch.allclose(train.augment(images[:8], still, torch.Generator()), images[:8], atol=1e-5)
