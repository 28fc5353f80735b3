"""Images on a device: shown as they are, kept there where there is room, and of the size that a network is fed."""

from __future__ import annotations

import pytest
import torch

from stitchc.passes import InputSpec, TensorImages
from stitchc.passes.data.shown_on import ShownOn
from stitchc.passes.data.some_images import Part

SPEC = InputSpec((3, 8, 8), (0.0,) * 3, (1.0,) * 3)
BYTES = 10 * 3 * 8 * 8 * 4


class Counted(TensorImages):
    shown = 0

    def batches(self, *args, **kwargs):
        for batch in super().batches(*args, **kwargs):
            type(self).shown += len(batch)
            yield batch


@pytest.fixture
def images():
    Counted.shown = 0
    return Counted(torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize(("room", "shown"), [(BYTES, 10), (BYTES - 1, 30), (0, 30)])
def test_images_that_were_shown_once_stay_where_there_is_room(images, room, shown):
    there = ShownOn(images, torch.device("cpu"), room)
    for size in (4, 3, 10):
        batches = list(there.batches(SPEC, size))
        assert [len(batch) for batch in batches] == [len(batch) for batch in images.tensor.split(size)]
        assert torch.equal(torch.cat(batches), images.tensor)
    assert Counted.shown == shown


def test_a_network_that_writes_to_its_images_changes_none_that_are_shown_later(images):
    there = ShownOn(images, torch.device("cpu"), BYTES)
    for _ in range(2):
        for batch in there.batches(SPEC, 4):
            batch.zero_()
    assert torch.equal(torch.cat(list(there.batches(SPEC, 4))), images.tensor)


def test_what_was_kept_in_inference_mode_is_filled_up_outside_of_it(images):
    there = ShownOn(images, torch.device("cpu"), BYTES)
    with torch.inference_mode():
        assert torch.equal(torch.cat(list(Part(there, 0, 5).batches(SPEC, 4))), images.tensor[:5])
    assert torch.equal(torch.cat(list(Part(there, 3, 10).batches(SPEC, 4))), images.tensor[3:])
    assert torch.equal(torch.cat(list(there.batches(SPEC, 4))), images.tensor)


def test_a_network_of_another_input_size_is_shown_images_of_its_size(images):
    smaller = InputSpec((3, 4, 6), (0.0,) * 3, (1.0,) * 3)
    (shown,) = images.batches(smaller, 10)
    assert shown.shape == (10, 3, 4, 6)
    assert shown.mean().item() == pytest.approx(images.tensor.mean().item(), abs=0.02)
