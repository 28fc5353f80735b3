"""The pieces of a training: settings, learning rate, distillation, views."""

import math

import pytest
import torch
from pretend_card import CARD, PretendCard
from torch.nn import functional as F

from stitchc import zoo
from stitchc.passes.data.errors import DataError, InputError, OutputError
from stitchc.passes.data.model import InputSpec, Model, TensorImages
from stitchc.passes.numerics.held_out import held_out
from stitchc.passes.numerics.scale import best_scale
from stitchc.passes.training import distillation, steps
from stitchc.passes.training.worth import LABELS, TEACHERS, Worth, tally, worth
from stitchc.tuning import checkpoint, engine, layout, loop, train, views
from stitchc.tuning.settings import Settings


def test_presets_are_those_of_the_papers():
    cnn, transformer, traft = (
        Settings.of({"preset": name}) for name in ("restnet-cnn", "restnet-transformer", "traft")
    )
    assert (cnn.lr, cnn.batch, cnn.weight_decay, cnn.momentum, cnn.epochs) == (0.01, 256, 0.005, 0.9, 150)
    assert (transformer.lr, transformer.batch, transformer.weight_decay, transformer.epochs) == (
        0.00375,
        128,
        0.05,
        300,
    )
    assert (traft.optimizer, traft.lr, traft.batch, traft.weight_decay, traft.epochs) == ("adamw", 0.002, 512, 0.05, 10)
    given = {"preset": "restnet-cnn", "lr": 0.5}
    assert Settings.of(given | {"epochs": None}) == Settings.of(given)
    assert Settings.of(given).epochs == 150 and Settings.of(given).lr == 0.5
    assert Settings.of({}) == Settings()


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"train": "bck"}, "'bck' is no value of `train`", "'back'"),
        ({"augment": "flip,crup"}, "'crup' is no value of `augment`", "'crop'"),
        ({"epochs": 0}, "`epochs` is 0", "at least 1"),
        ({"lr": 0.0}, "`lr` is 0.0", "above 0"),
        ({"distill_weight": 1.5}, "`distill_weight` is 1.5", "from 0 to 1"),
        ({"batch": 10, "accumulate": 4}, "cannot be accumulated in 4", "multiple"),
        ({"patience": 3, "holdout": 0.0}, "patience needs held-out images", "`holdout=0.1`"),
        ({"learning_rate": 1.0}, "'learning_rate' is no option", ""),
    ],
    ids=str,
)
def test_settings_that_mean_nothing_are_refused_with_a_hint(given, message, hint):
    with pytest.raises(InputError) as refused:
        Settings.of(given)
    assert message in refused.value.message and hint in refused.value.hint


def test_a_preset_that_does_not_exist_is_answered_with_the_nearest():
    with pytest.raises(InputError) as refused:
        Settings.of({"preset": "restnet"})
    assert "'restnet-cnn'" in refused.value.hint


def test_the_learning_rate_rises_then_falls_along_a_cosine():
    rates = [steps.learning_rate(1.0, step, 40, warmup=10) for step in range(40)]
    assert rates[:10] == sorted(rates[:10]) and rates[10] == 1.0 and rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[25] == pytest.approx(0.5) and rates[-1] < 0.01
    assert {steps.learning_rate(1.0, step, 100, schedule="constant") for step in range(100)} == {1.0}


def test_the_distillation_loss_is_hintons():
    generator = torch.Generator().manual_seed(0)
    scores, other = torch.randn(2, 5, 4, generator=generator)
    labels = torch.tensor([0, 1, 2, 3, 0])
    given = {"smoothing": 0.1, "temperature": 3.0}
    hard = F.cross_entropy(scores, labels, label_smoothing=0.1)
    assert torch.equal(distillation.loss(scores, labels, None, weight=0.7, **given), hard)
    taught = (other / 3).softmax(1)
    soft = 9 * (taught * (taught.log() - (scores / 3).log_softmax(1))).sum(1).mean()
    assert distillation.loss(scores, labels, taught, weight=1.0, **given) == pytest.approx(float(soft), rel=1e-5)
    mixed = distillation.loss(scores, labels, taught, weight=0.25, **given)
    assert mixed == pytest.approx(float(0.75 * hard + 0.25 * soft), rel=1e-5)
    same = distillation.loss(scores, labels, (scores / 3).softmax(1), weight=1.0, **given)
    assert same == pytest.approx(0.0, abs=1e-6)
    with pytest.raises(InputError, match="4 classes apart, and the hybrid 7"):
        distillation.loss(torch.zeros(5, 7), labels, taught, weight=0.5, **given)


def test_a_teacher_sees_the_image_through_its_own_transform():
    mine = InputSpec((3, 8, 8), (0.2, 0.3, 0.4), (0.5, 0.6, 0.7))
    theirs = InputSpec((3, 8, 8), (0.5,) * 3, (0.25,) * 3)
    pixels = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))

    def shown(spec: InputSpec) -> torch.Tensor:
        return (pixels - torch.tensor(spec.mean).view(3, 1, 1)) / torch.tensor(spec.std).view(3, 1, 1)

    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 5))
    asked = distillation.Teachers([Model("t", theirs, module=network)], mine, 2.0, torch.device("cpu"))
    want = (network(shown(theirs)) / 2).softmax(1)
    assert torch.allclose(asked(shown(mine)), want, atol=1e-5)


def shown(made: views.Views, epoch: int, *indices: int) -> torch.Tensor:
    ((pixels, _, _),) = made.batches(epoch, [torch.tensor(indices)], torch.device("cpu"))
    return pixels


@pytest.mark.parametrize("augment", [("crop", "flip"), ("erase",), ("flip", "trivialaugment")], ids="-".join)
def test_views_depend_on_seed_epoch_and_position_alone(augment):
    images = zoo.images("digits?limit=20")
    spec = InputSpec((3, 32, 32), (0.0,) * 3, (1.0,) * 3)
    made = views.Views(images, spec, torch.arange(20), augment, seed=0)
    everything = shown(made, 0, *range(20))
    assert torch.equal(shown(made, 0, 3, 7), everything[[3, 7]])
    assert not torch.equal(shown(made, 1, *range(20)), everything)
    assert not torch.equal(shown(views.Views(images, spec, torch.arange(20), augment, 1), 0, *range(20)), everything)
    assert not torch.equal(made.order(0), made.order(1)) and torch.equal(made.order(1), made.order(1))
    part = views.Views(images, spec, torch.tensor([9, 4]), augment, seed=0)
    assert torch.equal(shown(part, 0, 1, 0), everything[[4, 9]])


def test_crops_are_windows_of_the_padded_image_and_each_offset_occurs():
    images = TensorImages(torch.arange(1.0, 1 + 64 * 16).view(1, 1, 64, 16).repeat(300, 2, 1, 1), torch.arange(300))
    spec = InputSpec((2, 64, 16), (0.0,) * 2, (1.0,) * 2)
    made = shown(views.Views(images, spec, torch.arange(300), ("crop",), 0), 0, *range(300))
    padded = F.pad(images.tensor[0], (2, 2, 8, 8))
    windows = padded.unfold(1, 64, 1).unfold(2, 16, 1).permute(1, 2, 0, 3, 4)  # [17, 5, channels, height, width]
    same = (made[:, None, None] == windows[None]).flatten(3).all(3)
    assert (same.flatten(1).sum(1) == 1).all()
    assert same.any(0).any(1).all() and same.any(0).any(0).all()


def test_about_half_of_the_images_lose_a_rectangle_to_erasing():
    images = TensorImages(torch.ones(400, 2, 16, 24), torch.arange(400))
    spec = InputSpec((2, 16, 24), (0.0,) * 2, (1.0,) * 2)
    gone = shown(views.Views(images, spec, torch.arange(400), ("erase",), 0), 0, *range(400))[:, 0] == 0
    area = gone.sum((1, 2))
    sides = gone.any(2).sum(1), gone.any(1).sum(1)
    assert torch.equal(area, sides[0] * sides[1])
    assert 150 < (area > 0).sum() < 250
    share = area[area > 0] / (16 * 24)
    assert share.min() < 0.06 and 0.27 < share.max() < 0.40 and (sides[0] < 16).all() and (sides[1] < 24).all()


def test_flips_that_are_kept_are_those_that_are_drawn():
    images = TensorImages(torch.rand(40, 1, 4, 4), torch.arange(40))
    spec = InputSpec((1, 4, 4), (0.0,), (1.0,))
    made = views.Views(images, spec, torch.arange(40), ("flip",), seed=0)
    flipped = made.flipped(2, torch.arange(40))
    assert 5 < flipped.sum() < 35
    for image, mirrored, seen in zip(images.tensor, flipped, shown(made, 2, *range(40)), strict=True):
        assert torch.equal(seen, image.flip(-1) if mirrored else image)


@pytest.mark.parametrize("classes", [4, 5, 10])
@pytest.mark.parametrize("share", [None, 0.2, 0.3])
def test_held_out_images_are_balanced_and_never_trained_on(classes, share):
    images = TensorImages(torch.zeros(100, 1, 2, 2), torch.arange(100) % classes)
    training, held = views.split(images, share)
    assert sorted([*training.tolist(), *held.tolist()]) == list(range(100))
    counts = torch.bincount(images.labels[held])
    assert len(held) == 100 * (share or 0.2) and counts.max() - counts.min() <= 1


def test_without_labels_the_images_held_out_are_those_that_healing_holds_out():
    for count in (7, 100, 5000, 20_000):
        images = TensorImages(torch.zeros(count, 1, 1, 1), torch.arange(count) % 5)
        _, held = views.split(images, None, by_class=False)
        assert 0 < len(held) <= 1000 and set(held.tolist()) <= set(held_out(0, count).nonzero().flatten().tolist())
    assert len(views.split(images, 0.0)[1]) == 0
    few = TensorImages(torch.zeros(3, 1, 1, 1))
    assert len(views.split(few, None)[1]) == 0
    with pytest.raises(DataError, match="3 images are too few to hold out 10%"):
        views.split(few, 0.1)


def test_worth_is_by_labels_or_by_what_the_teachers_say():
    scores = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0], [0.0, 0.5]])
    labels = torch.tensor([0, 1, 1, 0])
    parts = [tally(scores[:1], labels[:1], None), tally(scores[1:], labels[1:], None)]
    found = worth(LABELS, parts)
    assert found.right == 0.5 and found.nats == pytest.approx(float(F.cross_entropy(scores, labels)), rel=1e-6)
    same = worth(TEACHERS, [tally(scores, None, scores.softmax(1))])
    assert same.right == 1.0 and same.nats == pytest.approx(0.0, abs=1e-4)
    told = 2 * torch.randn(200, 5)
    own, taught = told + torch.randn(200, 5), told.softmax(1)
    factor = best_scale(own.double(), taught.double().log())
    least = F.kl_div((factor * own).log_softmax(1), taught, reduction="batchmean")
    for sure in (0.2, 1.0, 3.0):  # how sure a network is of itself counts for nothing
        parts = [tally(sure * own[part], None, taught[part]) for part in (slice(50), slice(50, None))]
        assert worth(TEACHERS, parts).nats == pytest.approx(float(least), rel=2e-3)
    assert Worth(LABELS, 0.6, 2.0).better(Worth(LABELS, 0.5, 1.0)) and Worth(LABELS, 0.5, 0.9).better(found)
    broken = worth(TEACHERS, [tally(torch.full((2, 2), torch.nan), None, scores[:2].softmax(1))])
    assert broken.right == 0 and broken.nats == math.inf and same.better(broken)
    assert Worth(TEACHERS, 0.5, 0.1).better(Worth(TEACHERS, 0.6, 0.2)) and not found.better(found)


def test_a_checkpoint_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    kept = checkpoint.Checkpoint(tmp_path / "out", {"lr": 0.1})
    assert kept.read() is None
    kept.write({"weights": torch.ones(2)})

    def dies(*_):
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", dies)
    with pytest.raises(OutputError, match="no space"):
        kept.write({"weights": torch.zeros(2)})
    assert torch.equal(kept.read()["weights"], torch.ones(2))
    kept.path.write_bytes(b"half")
    with pytest.raises(InputError, match="cannot be read"):
        kept.read()
    kept.drop()
    assert list(tmp_path.iterdir()) == []


class Flattened(torch.nn.Module):
    """Two convolutions, whose values are then flattened by a function."""

    def __init__(self, flatten):
        super().__init__()
        self.convs = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Conv2d(4, 4, 3, groups=2))
        self.flatten = flatten

    def forward(self, x):
        return self.flatten(self.convs(x))


def test_channels_last_is_for_networks_that_take_it_and_changes_no_value():
    images = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    network = Flattened(lambda x: x.flatten(1)).eval()
    assert layout.takes_channels_last(network, images)
    assert not layout.takes_channels_last(Flattened(lambda x: x.view(len(x), -1)), images)
    before, scores = {k: v.clone() for k, v in network.state_dict().items()}, network(images)
    layout.lay_out(network, torch.channels_last)
    assert network.convs[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(network(layout.laid_out(images, torch.channels_last)), scores, atol=1e-6)
    layout.lay_out(network, torch.contiguous_format)
    assert network.convs[0].weight.is_contiguous()
    assert all(torch.equal(values, before[name]) for name, values in network.state_dict().items())
    assert layout.fastest(network, images) == torch.contiguous_format  # they lie on no card


def test_warmup_is_part_of_the_whole():
    assert math.isclose(steps.learning_rate(1.0, 0, 20, warmup=5), 1 / 6)


def test_label_free_learns_no_labels_and_from_the_better_parent_or_from_whom_it_is_told():
    preset = Settings.of({"preset": "label-free"})
    assert not preset.learns_labels and preset.distill == "better" and preset.train == "all"
    told = Settings.of({"preset": "label-free", "teacher": ["digits/resnet"]})
    assert told.distill is None and told.teacher == ("digits/resnet",) and not told.learns_labels


@pytest.mark.filterwarnings("ignore:.*pin_memory:UserWarning")
def test_on_a_card_images_are_altered_there_and_what_is_trained_comes_back(tmp_path, monkeypatch):
    layouts = []
    monkeypatch.setattr(engine, "resolve", lambda _: CARD)
    monkeypatch.setattr(loop, "fastest", lambda *given: layouts.append(layout.fastest(*given)) or layouts[-1])
    images = TensorImages(torch.rand(40, 3, 32, 32), torch.arange(40) % 10)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, 2), torch.nn.Flatten(), torch.nn.Linear(900, 10))
    model = Model("small", InputSpec((3, 32, 32), (0.5,) * 3, (0.5,) * 3), module=network)
    with PretendCard() as card:
        train(model, images, tmp_path / "a.pt", epochs=1, batch=8, augment=("crop", "flip", "erase"), device="cuda")
    assert {"torch.Tensor.gather", "torch.where", "torch.Tensor.masked_fill"} <= card.computed
    assert layouts == [torch.channels_last]
    kept = torch.load(tmp_path / "a.pt", weights_only=True)
    assert all(kept[name].is_contiguous() and torch.equal(kept[name], network.state_dict()[name]) for name in kept)
