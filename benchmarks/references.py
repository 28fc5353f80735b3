"""What are networks best held against? Points lost by choosing among parents and parents on smaller images.

    python benchmarks/references.py --shared ../shared --logits logits.npz     # an hour of one core; resumable

Six pairs of networks of CIFAR-10 and ten of ImageNet, each network as it is and on smaller images, four budgets in
multiply-adds. A part of the images tells, by expected agreement with a reference at a factor on the logits, which
network within the budget is the best; lost is what that one is right for less than the best by accuracy on all test
images. The parts are of the training images of CIFAR-10, which the networks have learned, of its test images, or of the
512 photographs that are not among the 488 to measure on.

A second table, by labels alone: of every two networks of a setting, at all their sizes, one is chosen by a part of the
images, and one with another part beside it where the first cannot tell them apart (`passes/rivals/apart.py`).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from never_worse import BUDGETS, images, unpack, words
from torch import Tensor

PART = 256  # images that one choice is made by


@dataclass(frozen=True)
class Setting:
    """networks: millions of multiply-adds, as `stitchc inspect` counts them, and the side of their images. sides:
    smaller ones. shown: what images are taken, and how many; the last are measured on. asked: those that tell which
    network is the best."""

    data: str
    networks: dict[str, tuple[float, int]]
    sides: tuple[int, ...]
    shown: dict[str, int]
    asked: tuple[str, ...]


SETTINGS = (
    Setting(
        "cifar10",
        {
            "cifar10_resnet56": (125.5, 32), "cifar10_resnet20": (40.6, 32), "cifar10_tiniest": (43.9, 32),
            "cifar10_resnet8_mlperf_tiny": (12.5, 32),
        },
        (28, 24, 22, 20),
        {"training images": 1536, "test images": 2048},
        ("training images", "test images"),
    ),
    Setting(
        "imagenet",
        {
            "in1k_efficientnet_lite0": (385.2, 224), "in1k_mobilenet_v2_100_qat": (344.8, 225),
            "in1k_squeezenet1_1_torchvision": (349.2, 224), "in1k_mobilenetv1_050_qat": (76.5, 160),
            "in1k_mobilenetv1_025": (41.0, 224),
        },
        (192, 176, 160, 128),
        {"photographs": 512, "other photographs": 488},
        ("photographs",),
    ),
)  # fmt: skip

Network = tuple[str, int]  # its name, and the side of its images


def logits(setting: Setting, shared: Path, file: Path) -> dict[str, Tensor]:
    """Of every network at every side, of both sets of images; labels beside them. What the file has of these
    images, in this order, is not computed."""
    from stitchc import zoo

    known = dict(np.load(file)) if file.exists() else {}
    shown = {name: taken(setting, name, shared) for name in setting.shown}
    labels = {f"labels|{part}": source.labels.numpy() for part, source in shown.items()}
    if not all(key in known and np.array_equal(known[key], value) for key, value in labels.items()):
        known = {key: value for key, value in known.items() if key.split("|")[0] not in setting.networks} | labels
    for name, (_, own) in setting.networks.items():
        model = zoo.load(words(name, shared))
        for side in (own, *(side for side in setting.sides if side < own)):
            if all(f"{name}|{side}|{part}" in known for part in shown) or not runs(model, side):
                continue
            spec = model.at((3, side, side)).input if side != own else model.input
            for part, source in shown.items():
                with torch.no_grad():
                    said = [model.network(batch).float() for batch in source.batches(spec, 64)]
                known[f"{name}|{side}|{part}"] = torch.cat(said).numpy()
            np.savez(file, **known)
    return {
        key: torch.from_numpy(value)
        for key, value in known.items()
        if key in labels or key.split("|")[0] in setting.networks
    }


def taken(setting: Setting, part: str, shared: Path) -> Any:
    from stitchc.passes.data.some_images import Part

    probed = {"training images": 3000, "photographs": setting.shown[part]}.get(part)
    return Part(images(setting.data, shared, probed), 0, setting.shown[part])


def runs(model: object, side: int) -> bool:
    """Whether a network takes images of this side: a strided shortcut may not meet its block."""
    try:
        with torch.no_grad():
            model.network(torch.zeros(1, 3, side, side))  # type: ignore[attr-defined]
    except RuntimeError:
        return False
    return True


def seen(said: dict[str, Tensor], setting: Setting, pair: tuple[str, str]) -> list[Network]:
    measured = list(setting.shown)[-1]
    sides = {side for _, side in setting.networks.values()} | {*setting.sides}
    return [(name, side) for name in pair for side in sides if f"{name}|{side}|{measured}" in said]


def within(said: dict[str, Tensor], setting: Setting, pair: tuple[str, str], budget: int) -> list[Network]:
    """What compile would compare within a budget, but for stitches: parents, and those over it on smaller images."""
    limit = budget / 100 * max(setting.networks[name][0] for name in pair)
    found = []
    for name, side in seen(said, setting, pair):
        macs, own = setting.networks[name]
        if macs * (side / own) ** 2 <= limit and (side == own or macs > limit):
            found.append((name, side))
    return found


def scores(
    said: dict[str, Tensor], setting: Setting, pair: tuple[str, str], part: str, images: slice
) -> dict[str, dict[Network, float]]:
    """By the name of the rule, what each network of a pair scores."""
    from stitchc.passes.numerics.scale import best_scale
    from stitchc.passes.rank.scores import Reference, reference

    networks = seen(said, setting, pair)
    of = {network: said[f"{network[0]}|{network[1]}|{part}"][images] for network in networks}
    small, large = (of[name, setting.networks[name][1]] for name in sorted(pair, key=setting.networks.__getitem__))
    labels = said[f"labels|{part}"][images]
    mean = torch.stack([small, large]).softmax(2).mean(0).log()
    models = {
        "the mean of both": mean,
        "the larger": large.log_softmax(1),
        "the larger, or one that is surely better": reference(small, [large, small], labels).log_probabilities,
    }

    one_hot = torch.nn.functional.one_hot(labels, large.shape[1]).float()

    def rules() -> Iterator[tuple[str, Tensor, Tensor | None]]:
        """Names, what networks are held against, and what their factor brings them nearest to: probabilities."""
        for name, model in models.items():
            q = model.exp()
            with_labels = (q + one_hot) / 2
            if "surely" not in name:  # which only labels tell
                yield f"{name} | none", q, None
                yield f"{name} | {name}", q, q
                yield f"{name} and the labels | none", with_labels, None
            yield f"{name} and the labels | it and the labels", with_labels, with_labels
            yield f"the labels | {name} and the labels", one_hot, with_labels
            if "surely" in name:
                nearest = Reference(model, labels).probabilities
                yield f"the labels | the labels, and a tenth of {name}", one_hot, nearest
        yield "the labels | none", one_hot, None
        yield "the labels | the labels", one_hot, one_hot

    def score(logits: Tensor, against: Tensor, nearest: Tensor | None) -> float:
        factor = 1.0 if nearest is None else best_scale(logits.double(), nearest.double().log())
        return float(((factor * logits).softmax(1) * against).sum(1).mean())

    found = {name: {k: score(of[k], q, nearest) for k in networks} for name, q, nearest in rules()}
    return found | {
        "the labels, by top-1 | none": {k: float((of[k].argmax(1) == labels).double().mean()) for k in networks}
    }


def lost(said: dict[str, Tensor], setting: Setting, part: str) -> dict[str, list[float]]:
    """Points of top-1 on all images to measure on, by the name of the rule: of every pair, part of the images, and
    budget."""
    found = defaultdict(list)
    for pair in combinations(setting.networks, 2):
        for start in range(0, setting.shown[part] - PART + 1, PART):
            by_rule = scores(said, setting, pair, part, slice(start, start + PART))
            for budget in BUDGETS:
                networks = within(said, setting, pair, budget)
                right = {k: accuracy(said, setting, k) for k in networks}
                for rule, score in by_rule.items() if len(networks) > 1 else ():
                    found[rule].append(max(right.values()) - right[max(networks, key=score.__getitem__)])
    return found


def lost_apart(said: dict[str, Tensor], setting: Setting, part: str) -> dict[str, list[float]]:
    """Points of top-1 on all images to measure on, of every two networks and of every two parts of the images: chosen
    by the second part, and by both where that cannot tell the networks apart."""
    from stitchc.passes.data.model import InputSpec, Model
    from stitchc.passes.data.rivals import Rival
    from stitchc.passes.rank.scores import Reference, score_of
    from stitchc.passes.rivals.apart import told_apart

    networks, found = seen(said, setting, tuple(setting.networks)), defaultdict(list)  # type: ignore[arg-type]
    right = {k: accuracy(said, setting, k) for k in networks}
    large = max(setting.networks, key=setting.networks.__getitem__)
    score = score_of("cascade")
    for start in range(0, setting.shown[part] - 2 * PART + 1, 2 * PART):
        halves: list[dict[Network, np.ndarray]] = []
        for place in (slice(start, start + PART), slice(start + PART, start + 2 * PART)):
            model = said[f"{large}|{setting.networks[large][1]}|{part}"][place].log_softmax(1)
            against = Reference(model, said[f"labels|{part}"][place])
            of = {k: said[f"{k[0]}|{k[1]}|{part}"][place] for k in networks}
            halves.append({k: score(its, against).double().numpy() for k, its in of.items()})
        for two in combinations(networks, 2):
            names = {f"{name}@{side}": (name, side) for name, side in two}
            rivals = [
                Rival("parent", Model(said_as, InputSpec((3, k[1], k[1]), (0.0,) * 3, (1.0,) * 3))).scored(halves[1][k])
                for said_as, k in names.items()
            ]
            apart = told_apart(rivals, lambda rival: halves[0][names[rival.model.name]])  # noqa: B023
            for how, compared in (("one part", rivals), ("both where it cannot tell", apart)):
                best = max(compared, key=lambda rival: rival.score or 0.0)
                found[how].append(max(right[k] for k in two) - right[names[best.model.name]])
    return found


def accuracy(said: dict[str, Tensor], setting: Setting, network: Network) -> float:
    measured = list(setting.shown)[-1]
    right = said[f"{network[0]}|{network[1]}|{measured}"].argmax(1) == said[f"labels|{measured}"]
    return 100 * float(right.double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with models/nets.py and data/")
    parser.add_argument("--logits", type=Path, required=True, help="kept there")
    given = parser.parse_args()
    shared = given.shared.resolve()
    unpack(shared)
    columns, apart = {}, {}
    for setting in SETTINGS:
        said = logits(setting, shared, given.logits)
        columns |= {part: lost(said, setting, part) for part in setting.asked}
        apart |= {part: lost_apart(said, setting, part) for part in setting.asked}
    print(f"| held against | factor that brings nearest to | {' | '.join(columns)} |")
    print(f"|---|---|{'---:|' * len(columns)}")
    for rule in next(iter(columns.values())):
        print(f"| {rule} | {' | '.join(f'{np.mean(column[rule]):.2f}' for column in columns.values())} |")
    print(f"\n| chosen by | {' | '.join(apart)} |\n|---|{'---:|' * len(apart)}")
    for how in next(iter(apart.values())):
        cells = (f"{np.mean(column[how]):.3f}, {max(column[how]):.1f} at most" for column in apart.values())
        print(f"| {how} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
