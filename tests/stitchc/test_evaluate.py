"""Accuracy: counted by hand on a network whose answers are known."""

import pytest
import torch
from torch import nn

import stitchc
from stitchc.evaluate import Accuracy, accuracy
from stitchc.passes.data.errors import DataError
from stitchc.passes.data.model import InputSpec, Model, TensorImages

SPEC = InputSpec((8, 1, 1), (0.0,) * 8, (1.0,) * 8)


def images(labels) -> TensorImages:
    """Image i scores class c with row[c]: class 7 is best, then 6, ..."""
    return TensorImages(torch.arange(8.0).repeat(len(labels), 1).reshape(-1, 8, 1, 1), torch.tensor(labels), "hand")


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_top1_and_top5_by_hand_at_any_batch(batch):
    found = accuracy(nn.Flatten(), SPEC, images([7, 3, 2, 7]), batch=batch)
    assert found == Accuracy("hand", 4, 0.5, 0.75, {"images": 8, "outputs": 8, "by": "number"})


def test_fewer_than_five_classes():
    spec = InputSpec((3, 1, 1), (0.0,) * 3, (1.0,) * 3)
    shown = TensorImages(torch.eye(3).reshape(3, 3, 1, 1), torch.tensor([0, 0, 0]))
    found = accuracy(nn.Flatten(), spec, shown)
    assert (found.top1, found.top5) == (pytest.approx(1 / 3), 1.0)


def test_images_without_labels_and_labels_without_outputs_are_refused():
    with pytest.raises(DataError, match="no labels"):
        accuracy(nn.Flatten(), SPEC, TensorImages(torch.zeros(1, 8, 1, 1)))
    with pytest.raises(DataError, match="label 8, but the network has 8 outputs"):
        accuracy(nn.Flatten(), SPEC, images([8]))


def test_a_model_without_data_asks_for_it():
    with pytest.raises(DataError, match="no images are named to measure flat on"):
        stitchc.evaluate(Model("flat", SPEC, module=nn.Flatten()))


def test_progress_is_told():
    told = []

    class Watcher:
        def begin(self, name):
            told.append(name)

        def end(self):
            told.append("end")

        def update(self, done, total):
            told.append((done, total))

        def __call__(self, step, plan, seconds):
            pass

    stitchc.evaluate(Model("flat", SPEC, module=nn.Flatten()), images([7, 7, 7]), batch=2, progress=Watcher())
    assert told == ["loading flat", "end", "measuring flat", (2, 3), (3, 3), "end"]
