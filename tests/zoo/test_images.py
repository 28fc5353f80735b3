"""Images by name: which ones, in which order, with which labels; and what is refused."""

import io
import pickle
import tarfile

import numpy as np
import pytest
import torch
from tiny_pictures import PLAIN, content, values

from stitchc import zoo
from stitchc.passes.data.errors import DataError
from stitchc.passes.data.model import InputSpec
from stitchc.zoo import folders, image_sets, tars
from stitchc.zoo.sampling import order

#: Path -> grey value; ten of a class, its values from ten times its index on.
CLASSES = {f"{name}/{i}.png": 10 * index + i for index, name in enumerate(["bee", "cat", "dog"]) for i in range(10)}
SPLITS = {
    f"{split}/{name}": value + add for split, add in (("test", 100), ("train", 0)) for name, value in CLASSES.items()
}


def layout(files: dict[str, int], where):
    """`files` as a folder, a tar and a compressed tar: the words that name each."""
    folder = where / "folder"
    for name, value in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content(value))
    (folder / "README.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"no picture")
    for suffix in ("", ".xz", ".gz"):
        with tarfile.open(where / f"a.tar{suffix}", f"w:{suffix[1:]}") as tar:
            tar.add(folder, arcname=".")
    return [f"folder:{folder}", *(f"tar:{where}/a.tar{suffix}" for suffix in ("", ".xz", ".gz"))]


def test_folders_and_tars_of_the_same_files_are_the_same_images(tmp_path):
    for words in layout(CLASSES, tmp_path):
        images = zoo.images(f"{words}?limit=9")
        assert images.labels.tolist() == [value // 10 for value in values(images)]
        assert sorted(images.labels.tolist()) == [0, 0, 0, 1, 1, 1, 2, 2, 2] and images.classes == 3
        assert values(images) == values(zoo.images(f"folder:{tmp_path}/folder?limit=9"))
        assert images.name == f"{words}?limit=9" and len(images) == 9 and not images.noise


def test_the_same_words_are_the_same_images_and_another_seed_others(tmp_path):
    words = layout(CLASSES, tmp_path)[0]
    assert values(zoo.images(words)) == values(zoo.images(words))
    assert values(zoo.images(words)) == values(zoo.images(f"{words}?seed=0"))
    assert values(zoo.images(words)) != values(zoo.images(f"{words}?seed=1"))
    assert sorted(values(zoo.images(words))) == sorted(CLASSES.values()), "without a limit, each once"
    assert values(zoo.images(f"{words}?limit=7")) == values(zoo.images(words))[:7]


def test_every_prefix_is_as_balanced_as_it_can_be():
    labels = [0] * 50 + [1] * 50 + [2] * 7
    sample = order(len(labels), labels, None, seed=3)
    assert sorted(sample) == list(range(107))
    for stop in range(1, 22):
        counts = np.bincount([labels[i] for i in sample[:stop]], minlength=3)
        assert counts.max() - counts.min() <= 1
    assert sample[:3] != sorted(sample[:3]) or order(107, labels, None, seed=4)[:3] != sample[:3]


@pytest.mark.parametrize("step", [2, 5, 10])
@pytest.mark.parametrize("seed", [0, 1])
def test_what_is_taken_at_even_steps_is_of_all_classes(step, seed):
    labels = np.random.default_rng(seed).integers(0, 10, 20_000).tolist()
    sample = order(len(labels), labels, 3000, seed)
    for first in range(step):
        taken = [labels[i] for i in sample[first::step]]
        counts, expected = np.bincount(taken, minlength=10), len(taken) / 10
        assert (abs(counts - expected) <= 5 * expected**0.5).all(), counts


def test_the_order_is_fixed_for_all_time():
    assert order(8, None, None, seed=0) == [0, 6, 4, 2, 5, 3, 7, 1]


def test_a_split_is_the_folder_of_that_name_and_training_is_what_one_probes_with(tmp_path):
    for words in layout(SPLITS, tmp_path):
        assert min(values(zoo.images(f"{words}?split=test"))) >= 100
        assert max(values(zoo.images(f"{words}?split=train"))) < 100
        assert values(zoo.images(words)) == values(zoo.images(f"{words}?split=train"))
        with pytest.raises(DataError, match="no folder 'val'"):
            zoo.images(f"{words}?split=val")


def test_a_folder_around_everything_does_not_matter(tmp_path):
    wrapped = {f"data-1.0/{name}": value for name, value in SPLITS.items()}
    for words in layout(wrapped, tmp_path):
        images = zoo.images(f"{words}?split=test")
        assert images.classes == 3 and [v // 10 - 10 for v in values(images)] == images.labels.tolist()


def test_flat_files_are_unlabelled_unless_their_names_begin_with_the_class(tmp_path):
    flat = {f"{7 * i:04}_thing.png": 7 * i for i in range(6)}
    for words in layout(flat, tmp_path):
        assert zoo.images(words).labels is None and zoo.images(words).classes is None
        images = zoo.images(f"{words}?labels=prefix&limit=4")
        assert images.labels.tolist() == values(images) and images.classes == 36


def test_images_come_in_any_pieces_and_again(tmp_path, monkeypatch):
    images = zoo.images(layout(CLASSES, tmp_path)[0])
    whole = torch.cat(list(images.batches(PLAIN, 30)))
    assert whole.dtype == torch.float32 and whole.shape == (30, 3, 4, 4)
    assert torch.equal(torch.cat(list(images.batches(PLAIN, 7))), whole)
    assert torch.equal(torch.cat(list(images.batches(PLAIN, 4, start=5, stop=16))), whole[5:16])
    assert torch.equal(torch.cat(list(images.batches(PLAIN, 4, start=25, stop=99))), whole[25:])
    assert list(images.batches(PLAIN, 4, start=3, stop=3)) == []
    normal = InputSpec((3, 4, 4), (0.5, 0.25, 0.0), (0.5, 1.0, 2.0))
    expected = (whole - torch.tensor(normal.mean).view(3, 1, 1)) / torch.tensor(normal.std).view(3, 1, 1)
    assert torch.allclose(torch.cat(list(images.batches(normal, 9))), expected)
    next(iter(images.batches(InputSpec((1, 5, 5), (0.0,), (1.0,)), 2)))  # a sweep that is given up half-way
    monkeypatch.setattr(image_sets, "CACHED_BYTES", 0)
    assert torch.equal(torch.cat(list(zoo.images(images.name).batches(PLAIN, 7))), whole)


def test_each_image_is_decoded_once_for_each_transform(tmp_path, monkeypatch):
    images = zoo.images(layout(CLASSES, tmp_path)[0])
    decoded = []
    original = folders.decoded
    monkeypatch.setattr(folders, "decoded", lambda *given: decoded.append(given) or original(*given))
    for _ in range(3):
        list(images.batches(PLAIN, 8))
    assert len(decoded) == 30
    list(images.batches(InputSpec((3, 4, 4), (0.5,) * 3, (0.5,) * 3), 8))
    assert len(decoded) == 30, "another normalisation needs no other pixels"
    list(images.batches(InputSpec((3, 5, 5), (0.0,) * 3, (1.0,) * 3), 8))
    assert len(decoded) == 60


def test_a_large_compressed_tar_is_read_twice_and_not_kept(tmp_path, monkeypatch):
    words = layout(CLASSES, tmp_path)[2]
    whole = values(zoo.images(f"{words}?limit=9"))
    monkeypatch.setattr(tars, "KEPT_BYTES", 300)
    assert values(zoo.images(f"{words}?limit=9")) == whole


def test_digits_are_for_probing_unless_the_others_are_asked_for():
    assert [len(zoo.images(words)) for words in ("digits", "digits?split=test", "digits?split=all")] == [
        1297,
        500,
        1797,
    ]
    assert zoo.images("digits?limit=20").labels.bincount().tolist() == [2] * 10


def test_noise_is_seeded_says_so_and_has_structure_at_every_size():
    images = zoo.images("random?limit=6")
    assert images.noise and images.labels is None and len(zoo.images("random")) == 512
    first = torch.cat(list(images.batches(PLAIN, 6)))
    assert torch.equal(first, torch.cat(list(zoo.images("random?limit=9").batches(PLAIN, 2, stop=6))))
    assert not torch.equal(first, torch.cat(list(zoo.images("random?limit=6&seed=1").batches(PLAIN, 6))))
    for side in (4, 32, 224):
        batch = next(images.batches(InputSpec((3, side, side), (0.0,) * 3, (1.0,) * 3), 6))
        assert float(batch.std(dim=(2, 3)).mean()) > 0.05


def test_arrays_of_an_npz(tmp_path):
    grey = np.arange(6, dtype=np.uint8)[:, None, None] * np.ones((6, 4, 4), np.uint8)
    for name, images in (("grey", grey), ("one", grey[..., None]), ("rgb", np.repeat(grey[..., None], 3, -1))):
        np.savez(tmp_path / f"{name}.npz", images=images, labels=np.arange(6) % 2)
        found = zoo.images(f"npz:{tmp_path}/{name}.npz")
        assert found.labels.tolist() == [value % 2 for value in values(found)] and found.classes == 2
    np.savez(tmp_path / "float.npz", images=grey.astype(np.float32))
    with pytest.raises(DataError, match="images are float32"):
        zoo.images(f"npz:{tmp_path}/float.npz")
    np.savez(tmp_path / "x.npz", x=grey)
    with pytest.raises(DataError, match="no array 'images'; it has x"):
        zoo.images(f"npz:{tmp_path}/x.npz")
    np.savez(tmp_path / "labels.npz", images=grey, labels=np.arange(5))
    with pytest.raises(DataError, match="labels are int64"):
        zoo.images(f"npz:{tmp_path}/labels.npz")


def test_cifar_in_the_folder_that_holds_it_or_in_its_own(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *given: True)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for number, (name, _) in enumerate(CIFAR10.train_list + CIFAR10.test_list):
        data = np.full((4, 3072), 10 * number, np.uint8) + np.arange(4, dtype=np.uint8)[:, None]
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": [0, 1, 2, 3]}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": list("abcd")}))
    for place in (tmp_path, folder):
        train, test = zoo.images(f"cifar10:{place}"), zoo.images(f"cifar10:{place}?split=test")
        assert len(train) == 20 and sorted(values(test)) == [50, 51, 52, 53]
        assert [value % 10 for value in values(test)] == test.labels.tolist() and test.classes == 4


def test_imagenette_is_found_under_any_of_its_names(tmp_path):
    for split, add in (("train", 0), ("val", 100)):
        for index, name in enumerate(("n01", "n02")):
            (tmp_path / f"imagenette2-160/{split}/{name}").mkdir(parents=True)
            (tmp_path / f"imagenette2-160/{split}/{name}/x.png").write_bytes(content(add + index))
    for place in (tmp_path, tmp_path / "imagenette2-160"):
        assert sorted(values(zoo.images(f"imagenette:{place}"))) == [0, 1]
        assert sorted(values(zoo.images(f"imagenette:{place}?split=test"))) == [100, 101]


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "pets", "dtd", "food101"])
def test_a_dataset_that_is_not_there_is_one_clear_message(tmp_path, name):
    with pytest.raises(DataError, match="torchvision does not find"):
        zoo.images(f"{name}:{tmp_path}")
    with pytest.raises(DataError, match="there is no folder"):
        zoo.images(f"{name}:{tmp_path}/none")


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("digts", "no form 'digts'", "'digits'"),
        ("digits?limit=0", "limit is '0'", "at least 1"),
        ("digits?limit=-3", "limit is '-3'", "at least 1"),
        ("digits?limit=many", "limit is 'many'", "at least 1"),
        ("digits?limt=3", "no option 'limt'", "'limit'"),
        ("digits?limit=3&limit=4", "says limit twice", "once"),
        ("tar:{}", "is a folder, not a file", "folder:"),
        ("folder:{}/text.tar", "is a file, not a folder", "tar:"),
        ("digits?split=val", "no split 'val'", "train, test, all"),
        ("digits?split=", "split has no value", "leave it out"),
        ("digits?labels=prefix", "is for folders and tars", "Leave labels="),
        ("digits:x", "takes no path", "'digits' alone"),
        ("folder:", "does not say where", "folder:PATH"),
        ("folder:{}/none", "there is no folder", "Check"),
        ("folder:{}/empty", "holds no pictures", ".png"),
        ("tar:{}/none.tar", "there is no file", "'text.tar'"),
        ("tar:{}/text.tar", "cannot be read as a tar", "again"),
        ("tar:{}/cut.tar.xz", "cut.tar.xz cannot be", "again"),
        ("npz:{}/text.tar", "cannot be read as .npz", "savez"),
        ("npz:{}/none.npz", "there is no file", "Check"),
        ("{}/empty", "names no images", "'folder:"),
        ("random?split=test", "has no splits", "Leave split="),
        ("folder:{}/mixed?labels=prefix", "begins with no number", "0007_cat.jpg"),
    ],
)
def test_words_that_name_no_images_are_refused_with_what_to_write(tmp_path, words, message, hint):
    (tmp_path / "empty").mkdir()
    (tmp_path / "mixed").mkdir()
    (tmp_path / "mixed" / "cat.png").write_bytes(content(1))
    (tmp_path / "text.tar").write_text("hello, world")
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:xz") as tar:
        for number in range(20):
            info = tarfile.TarInfo(f"{number}.png")
            noise = np.random.default_rng(number).bytes(2000)
            info.size = len(noise)
            tar.addfile(info, io.BytesIO(noise))
    (tmp_path / "cut.tar.xz").write_bytes(whole.getvalue()[:20000])
    with pytest.raises(DataError) as caught:
        zoo.images(words.format(tmp_path))
    assert message in caught.value.message and hint in caught.value.hint and len(caught.value.message.splitlines()) == 1


def test_a_file_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(content(1)[:40])
    with pytest.raises(DataError, match=r"a\.png is no picture"):
        values(zoo.images(f"folder:{tmp_path}"))


@pytest.mark.shared
def test_real_archives(shared):
    cifar = zoo.images(f"tar:{shared}/data/cifar10_jpeg.tar.xz?split=test&limit=100")
    assert cifar.labels.bincount().tolist() == [10] * 10
    imagenet = zoo.images(f"tar:{shared}/data/imagenet1k_samples_256.tar?labels=prefix")
    assert sorted(imagenet.labels.tolist()) == list(range(1000))
    pets = zoo.images(f"tar:{shared}/data/dogcat_224.tar?split=val&limit=20")
    assert pets.labels.bincount().tolist() == [10, 10]
