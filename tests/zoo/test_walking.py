"""Folders and tars are walked as torchvision's ImageFolder walks, but that what is hidden is not read."""

import io
import os
import random
import tarfile

import pytest
from tiny_pictures import both, content, fill, labelled, values
from torchvision.datasets import ImageFolder

from stitchc import zoo
from stitchc.passes.data.errors import DataError


@pytest.mark.parametrize("seed", range(6))
def test_classes_and_labels_are_those_of_image_folder(tmp_path, seed):
    chance = random.Random(seed)
    names = chance.sample(["b", "B", "a a", "a-b", "ab", "10", "9", "Zebra", "zebra", "é", "train", "n01440764"], 5)
    ends = ["x.png", "y.JPG", "deep/z.png", "deep/down/w.jpeg", "v.TIFF", "note.txt", "u.gif", "noend"]
    files = {f"{name}/{end}": None for name in names for end in [*chance.sample(ends, 4), "x.png"]}
    files = {path: value for value, path in enumerate(files)}
    fill(tmp_path, files)
    theirs = ImageFolder(str(tmp_path))
    ours = zoo.images(f"folder:{tmp_path}")
    expected = {files[os.path.relpath(path, tmp_path)]: label for path, label in theirs.samples}
    assert labelled(ours) == expected and list(ours.class_names) == theirs.classes


def test_links_are_followed_in_folders_and_in_tars(tmp_path):
    files = {
        "store/one.png": 1, "store/two.png": 2, "set/ant/own.png": 3, "set/bee": "../store",
        "set/cat/linked.png": "../../store/one.png", "set/cat/chain.png": "linked.png", "set/dog": "bee",
    }  # fmt: skip
    for words in both(tmp_path, files):
        images = zoo.images(f"{words}?split=set")
        assert images.class_names == ("ant", "bee", "cat", "dog")
        found = sorted(zip(values(images), images.labels.tolist(), strict=True))
        assert found == [(1, 1), (1, 2), (1, 2), (1, 3), (2, 1), (2, 3), (3, 0)]


def test_hard_links_in_a_tar_are_pictures(tmp_path):
    fill(tmp_path, {"s/ant/a.png": 7})
    (tmp_path / "s/bee").mkdir()
    os.link(tmp_path / "s/ant/a.png", tmp_path / "s/bee/b.png")
    for mode in ("w", "w:gz"):
        with tarfile.open(tmp_path / "a.tar", mode) as tar:
            tar.add(tmp_path / "s", arcname="s")
        with tarfile.open(tmp_path / "a.tar") as tar:
            assert sum(member.islnk() for member in tar) == 1
        images = zoo.images(f"tar:{tmp_path}/a.tar")
        assert values(images) == [7, 7] and sorted(images.labels.tolist()) == [0, 1]


def test_links_that_lead_nowhere_or_round_in_a_circle_are_counted_and_not_followed(tmp_path):
    files = {
        "ant/a.png": 1, "ant/gone.png": "nothing.png", "bee/b.png": 2, "bee/up": "..", "cat/c.png": 3,
        "cat/self.png": "self.png", "dog/d.png": 4, "dog/out.png": "/etc/hostname-or-nothing.png",
    }  # fmt: skip
    for words in both(tmp_path, files):
        images = zoo.images(words)
        assert labelled(images) == {1: 0, 2: 1, 3: 2, 4: 3}
        (note,) = images.notes
        assert note.startswith("skipped: ") and "4 that cannot be read" in note


def test_what_is_hidden_is_no_class_and_no_picture_and_is_counted(tmp_path):
    files = {
        "ant/a.png": 1, "ant/._a.png": 2, "bee/b.png": 3, ".ipynb_checkpoints/x.png": 4, "__MACOSX/ant/a.png": 5,
        "bee/.cache/c.png": 6,
    }  # fmt: skip
    for words in both(tmp_path, files):
        images = zoo.images(words)
        assert labelled(images) == {1: 0, 3: 1} and images.class_names == ("ant", "bee")
        assert "4 hidden" in images.notes[0]


def test_a_class_without_pictures_keeps_its_index_and_is_named(tmp_path):
    for words in both(tmp_path, {"ant/a.png": 1, "bee": None, "cat/c.png": 3}):
        images = zoo.images(words)
        assert labelled(images) == {1: 0, 3: 2} and images.classes == 3
        assert images.notes == ("no pictures of 1 class (bee), which counts all the same",)


def test_files_that_are_passed_over_are_counted_by_reason(tmp_path):
    fill(tmp_path, {"ant/a.png": 1, "bee/b.png": 2, "loose.png": 3})
    (tmp_path / "ant" / "labels.csv").write_text("a,b")
    (tmp_path / "bee" / "b.heic").write_text("a")
    os.mkfifo(tmp_path / "bee" / "pipe.png")
    (tmp_path / "ant" / "zero.png").symlink_to("/dev/zero")
    images = zoo.images(f"folder:{tmp_path}")
    assert labelled(images) == {1: 0, 2: 1}
    (note,) = images.notes
    for part in ("2 no picture by their suffix (ant/labels.csv, bee/b.heic)", "2 that cannot be read", "1 beside the"):
        assert part in note


def test_of_several_members_of_one_name_the_last_is_read_as_unpacking_would(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for value in (1, 2):
            data = content(value)
            member = tarfile.TarInfo("ant/a.png")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    assert values(zoo.images(f"tar:{tmp_path}/a.tar")) == [2]


def test_a_tar_that_is_damaged_in_the_middle_is_refused_not_shortened(tmp_path):
    fill(tmp_path / "s", {f"ant/{number}.png": number for number in range(8)})
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.add(tmp_path / "s", arcname=".")
        middle = tar.getmembers()[5].offset
    whole = (tmp_path / "a.tar").read_bytes()
    assert len(zoo.images(f"tar:{tmp_path}/a.tar")) == 8
    (tmp_path / "a.tar").write_bytes(whole[: middle + 100] + b"\xff" + whole[middle + 101 :])
    with pytest.raises(DataError, match="damaged at byte"):
        zoo.images(f"tar:{tmp_path}/a.tar")
    (tmp_path / "a.tar").write_bytes(whole[: middle + 100])
    with pytest.raises(DataError, match="cannot be read as a tar"):
        zoo.images(f"tar:{tmp_path}/a.tar")


# Splits


NAMES = ["Train", "TRAINING", "val", "Valid", "validation", "Test", "testing", "dev", "Eval"]


@pytest.mark.parametrize("name", NAMES)
def test_splits_have_their_usual_names_in_any_case(tmp_path, name):
    other = "train" if name.lower() not in ("train", "training") else "test"
    for words in both(tmp_path, {f"{name}/ant/a.png": 1, f"{name}/bee/b.png": 2, f"{other}/ant/c.png": 3}):
        for word in (name, name.lower(), name.upper()):
            assert labelled(zoo.images(f"{words}?split={word}")) == {1: 0, 2: 1}
        assert zoo.images(words).class_names == ("ant", "bee")


def test_without_a_name_learning_takes_the_training_images_and_measuring_the_others(tmp_path):
    files = {"Training/ant/a.png": 1, "Testing/ant/a.png": 2, "val/ant/a.png": 3}
    for words in both(tmp_path, files):
        assert values(zoo.images(words)) == [1]
        measured = zoo.images(words, measuring=True)
        assert values(measured) == [2] and "'Testing' is measured" in measured.notes[0]
    assert len(zoo.images("digits", measuring=True)) == 500
    assert not zoo.images("digits?split=test", measuring=True).notes


def test_a_split_counts_its_classes_among_those_of_its_siblings(tmp_path):
    files = {"train/ant/a.png": 1, "train/bee/b.png": 2, "train/cat/c.png": 3, "val/ant/d.png": 4, "val/cat/e.png": 5}
    for words in both(tmp_path, files):
        images = zoo.images(f"{words}?split=val")
        assert labelled(images) == {4: 0, 5: 2} and images.classes == 3
        assert images.notes == ("no pictures in 'val' of 1 class (bee), which counts all the same",)


def test_splits_and_other_folders_side_by_side_are_refused_unless_the_split_is_named(tmp_path):
    files = {"train/ant/a.png": 1, "train/bee/b.png": 2, "val/ant/c.png": 3, "val/bee/d.png": 4, "docs/x.png": 5}
    for words in both(tmp_path, files):
        with pytest.raises(DataError, match=r"mixes splits \(train, val\) with 1 other folder \(docs\)"):
            zoo.images(words)
        assert labelled(zoo.images(f"{words}?split=val")) == {3: 0, 4: 1}


def test_a_class_may_be_called_train_and_a_split_may_have_folders_without_pictures_beside_it(tmp_path):
    for words in both(tmp_path / "a", {"bus/a.png": 1, "train/b.png": 2, "car/c.png": 3}):
        assert labelled(zoo.images(words)) == {1: 0, 3: 1, 2: 2}
    for words in both(tmp_path / "b", {"train/ant/a.png": 1, "test/ant/b.png": 2, "logs": None}):
        assert values(zoo.images(words)) == [1]


def test_two_folders_for_one_split_are_refused_unless_one_is_named(tmp_path):
    files = {"train/ant/a.png": 1, "Training/ant/b.png": 2}
    for words in both(tmp_path, files):
        for more in ("", "?split=TRAIN"):
            with pytest.raises(DataError, match="more than one folder for the split"):
                zoo.images(words + more)
        assert values(zoo.images(f"{words}?split=Training")) == [2]


def test_an_unlabelled_test_split_beside_a_labelled_one_is_unlabelled(tmp_path):
    for words in both(tmp_path, {"train/ant/a.png": 1, "train/bee/b.png": 2, "test/1.png": 3, "test/2.png": 4}):
        assert zoo.images(f"{words}?split=test").labels is None


# Orders of classes that the user states


def test_classes_can_be_put_in_an_order_of_the_users(tmp_path):
    numbers = {f"{number}/x.png": number for number in range(12)}
    for words in both(tmp_path, numbers):
        assert labelled(zoo.images(words))[2] == 4, "as ImageFolder: 0, 1, 10, 11, 2"
        natural = zoo.images(f"{words}?classes=natural")
        assert all(value == label for value, label in labelled(natural).items()) and natural.class_names is None
        assert labelled(zoo.images(f"{words}?classes=alphabetical")) == labelled(zoo.images(words))
        lines = tmp_path / "order.txt"
        lines.write_text("\ufeff" + "\n".join(f"{number} the number" for number in reversed(range(12))) + "\n\n")
        assert all(value == 11 - label for value, label in labelled(zoo.images(f"{words}?classes={lines}")).items())
        lines.write_text("1\n2\n")
        with pytest.raises(DataError, match=r"10 classes are \(0, 10, 11, 3, 4, \.\.\.\) not in"):
            zoo.images(f"{words}?classes={lines}")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("digits?classes=/none/such", "no order of classes, and no file"),
        ("random?classes=natural", "there are none"),
        ("folder:{}?classes=natural&labels=prefix", "there are none"),
        ("folder:{}?classes=cifar10", "not in cifar10"),
        ("folder:{}?classes=", "classes has no value"),
    ],
)
def test_an_order_that_means_nothing_is_refused(tmp_path, words, message):
    fill(tmp_path, {"a/1.png": 1, "b/2.png": 2})
    with pytest.raises(DataError, match=message):
        zoo.images(words.format(tmp_path))
