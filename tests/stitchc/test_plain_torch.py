"""What `eval` says is what a loop in plain torch says, to the image: for every network, however images are kept."""

from __future__ import annotations

import importlib.util
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms
from torchvision.datasets import ImageFolder

import stitchc
from stitchc import zoo
from stitchc.zoo.digits.data import MEAN, SIZE, STD, load_split
from stitchc.zoo.digits.nets import NETS

COUNT = 80  # of the embedded digits


@torch.no_grad()
def right(network, loaded, batch: int = 50) -> tuple[int, int, int]:
    """Of (image tensor, label): how many have the label first, among the first five, and how many there are."""
    first = five = count = 0
    for start in range(0, len(loaded), batch):
        images, labels = zip(*loaded[start : start + batch], strict=True)
        order = network(torch.stack(images)).argsort(dim=1, descending=True)
        hits = order[:, :5] == torch.tensor(labels)[:, None]
        first, five, count = first + int(hits[:, 0].sum()), five + int(hits.any(1).sum()), count + len(images)
    return first, five, count


def said(model: str, data: str) -> tuple[int, int, int]:
    found = stitchc.evaluate(model, data)
    return round(found.top1 * found.images), round(found.top5 * found.images), found.images


def in_folders(folder: Path, into: Path) -> dict[str, str]:
    """A folder of class folders as DATA words of every form that keeps the names of the classes."""
    shutil.copytree(folder, into / "splits" / "Test")
    shutil.copytree(folder, into / "splits" / "train")
    for name in ("plain.tar", "packed.tar.xz"):
        with tarfile.open(into / name, "w:xz" if name.endswith("xz") else "w") as tar:
            tar.add(folder, arcname="data")
    return {
        "folder": f"folder:{folder}", "split": f"folder:{into}/splits?split=test", "tar": f"tar:{into}/plain.tar",
        "default split": f"folder:{into}/splits", "tar.xz": f"tar:{into}/packed.tar.xz",
    }  # fmt: skip


def in_every_form(folder: Path, into: Path) -> dict[str, str]:
    """A folder of class folders as DATA words of every form."""
    pictures = [(np.asarray(image), label) for image, label in ImageFolder(str(folder), loader=opened)]
    np.savez(into / "a.npz", images=np.stack([p for p, _ in pictures]), labels=np.array([at for _, at in pictures]))
    return {**in_folders(folder, into), "npz": f"npz:{into}/a.npz"}


def opened(path: str) -> Image.Image:
    image = Image.open(path)
    image.load()
    return image


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    where = tmp_path_factory.mktemp("digits")
    images, labels = load_split("test")
    for number, (pixels, label) in enumerate(zip(images[:COUNT], labels[:COUNT], strict=True)):
        (where / "test" / str(label)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(where / "test" / str(label) / f"{number}.png")
    return where / "test", in_every_form(where / "test", where)


@pytest.mark.parametrize("name", NETS)
def test_the_embedded_networks_in_every_form(digits, name):
    folder, forms = digits
    network = zoo.load(f"digits/{name}").module
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    expected = right(network, [(transform(image), label) for image, label in ImageFolder(str(folder), loader=opened)])
    assert expected[2] == COUNT and SIZE == (1, 8, 8)
    assert {form: said(f"digits/{name}", words) for form, words in forms.items()} == dict.fromkeys(forms, expected)


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    """The networks beside real weights, CIFAR-10's test images (ten a class), every fiftieth of ImageNet's."""
    where = tmp_path_factory.mktemp("real")
    taken: dict[str, int] = {}
    with tarfile.open(f"{shared}/data/cifar10_jpeg.tar.xz") as tar:
        for member in tar:
            split, _, rest = member.name.partition("/")
            name = rest.partition("/")[0]
            if split == "test" and member.isfile() and taken.get(name, 0) < 10:
                taken[name] = taken.get(name, 0) + 1
                content, path = tar.extractfile(member), where / "cifar" / member.name
                assert content is not None
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.read())
            if len(taken) == 10 and min(taken.values()) == 10:
                break
    with tarfile.open(f"{shared}/data/imagenet1k_samples_256.tar") as tar:
        for member in sorted((m for m in tar.getmembers() if m.isfile()), key=lambda m: m.name)[::50]:
            index, wnid, _ = Path(member.name).name.split("_", 2)
            folder = where / "imagenet" / wnid
            folder.mkdir(parents=True)
            (folder / f"{index}.jpg").write_bytes(tar.extractfile(member).read())
    # By its path: `nets` is also the name of a file that other tests import.
    spec = importlib.util.spec_from_file_location("networks_at_hand", f"{shared}/models/nets.py")
    networks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(networks)
    return networks, where


@pytest.mark.shared
def test_real_networks_on_cifar_10_in_every_form(shared, real, tmp_path):
    nets, where = real
    folder = where / "cifar" / "test"
    forms = in_every_form(folder, tmp_path)
    for name in (name for name in nets.ZOO if name.startswith("cifar10")):
        _, mean, std = nets.input_spec(name)
        transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
        loaded = [(transform(image), label) for image, label in ImageFolder(str(folder))]
        expected, words = right(nets.make(name), loaded), f'{shared}/models/nets.py:make("{name}")'
        chosen = forms if name == "cifar10_resnet8_mlperf_tiny" else ["folder"]
        assert {form: said(words, forms[form]) for form in chosen} == dict.fromkeys(chosen, expected), name


@pytest.mark.slow
@pytest.mark.shared
def test_real_networks_on_some_of_imagenets_synsets(shared, real, tmp_path):
    nets, where = real
    forms = in_folders(where / "imagenet", tmp_path)
    for name in (name for name in nets.ZOO if name.startswith("in1k")):
        (_, side, _), mean, std = nets.input_spec(name)
        transform = transforms.Compose(
            [
                transforms.Resize(side),
                transforms.CenterCrop(side),
                transforms.ToTensor(),
                transforms.Normalize(mean, std),
            ]
        )
        loaded = [
            (transform(Image.open(path).convert("RGB")), int(path.stem)) for path in (where / "imagenet").rglob("*.jpg")
        ]
        expected = right(nets.make(name), loaded)
        chosen = forms if name == "in1k_mobilenetv1_025" else ["folder"]
        found = {form: said(f'{shared}/models/nets.py:make("{name}")', forms[form]) for form in chosen}
        assert found == dict.fromkeys(chosen, expected) and expected[2] == 20, name
