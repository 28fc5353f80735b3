"""What are networks best held against? Points lost by choosing among parents and parents on smaller images.

    python benchmarks/references.py --shared ../shared --logits logits.npz     # half an hour of one core; resumable

Six pairs of networks of CIFAR-10, each network as it is and on smaller images, four budgets in multiply-adds. A part of
the images tells, by expected agreement with a reference at a factor on the logits, which network within the budget is
the best; lost is what that one is right for less than the best by accuracy on all test images. The parts are of the
training images, which the networks have learned, or of the test images.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from never_worse import BUDGETS, CIFAR, unpack, unpacked, words
from torch import Tensor

# In millions, as `stitchc inspect` counts them.
MACS = dict(zip(CIFAR, (125.5, 40.6, 43.9, 12.5), strict=True))
SIDES = (32, 28, 24, 22, 20)
COUNTS = {"train": 1536, "test": 2048}
PART = 256  # images that one choice is made by

Network = tuple[str, int]  # its name, and the side of its images


def logits(shared: Path, file: Path) -> dict[str, Tensor]:
    """Of every network at every side, of both sets of images; labels beside them. What the file has is not computed."""
    from stitchc import zoo
    from stitchc.passes.data.some_images import Part

    unpack(shared)
    known = dict(np.load(file)) if file.exists() else {}
    shown = {name: Part(unpacked(name), 0, count) for name, count in COUNTS.items()}
    for name in CIFAR:
        model = zoo.load(words(name, shared))
        for side in SIDES:
            if f"{name}|{side}|test" in known or not runs(model, side):
                continue
            spec = model.at((3, side, side)).input if side != model.input.size[1] else model.input
            for part, images in shown.items():
                with torch.no_grad():
                    said = [model.network(batch).float() for batch in images.batches(spec, PART)]
                known[f"{name}|{side}|{part}"] = torch.cat(said).numpy()
            np.savez(file, **known)
    found = {key: torch.from_numpy(value[: COUNTS[key.split("|")[-1]]]) for key, value in known.items()}
    return found | {f"labels|{part}": images.labels for part, images in shown.items()}


def runs(model: object, side: int) -> bool:
    """Whether a network takes images of this side: a strided shortcut may not meet its block."""
    try:
        with torch.no_grad():
            model.network(torch.zeros(1, 3, side, side))  # type: ignore[attr-defined]
    except RuntimeError:
        return False
    return True


def within(said: dict[str, Tensor], pair: tuple[str, str], budget: int) -> list[Network]:
    """What compile would compare within a budget, but for stitches: parents, and those over it on smaller images."""
    limit = budget / 100 * max(MACS[name] for name in pair)
    networks = [(name, side) for name in pair for side in SIDES if f"{name}|{side}|test" in said]
    return [
        (name, side)
        for name, side in networks
        if MACS[name] * (side / SIDES[0]) ** 2 <= limit and (side == SIDES[0] or MACS[name] > limit)
    ]


def scores(said: dict[str, Tensor], pair: tuple[str, str], part: str, images: slice) -> dict[str, dict[Network, float]]:
    """By the name of the rule, what each network of a pair scores."""
    from stitchc.passes.numerics.scale import best_scale
    from stitchc.passes.rank.scores import Reference, reference

    networks = [(name, side) for name in pair for side in SIDES if f"{name}|{side}|test" in said]
    of = {network: said[f"{network[0]}|{network[1]}|{part}"][images] for network in networks}
    small, large = (of[name, SIDES[0]] for name in sorted(pair, key=MACS.__getitem__))
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
            q, with_labels = model.exp(), Reference(model, labels).probabilities
            if "surely" not in name:  # which only labels tell
                yield f"{name} | none", q, None
                yield f"{name} | {name}", q, q
                yield f"{name} and the labels | none", with_labels, None
            yield f"{name} and the labels | it and the labels", with_labels, with_labels
            yield f"the labels | {name} and the labels", one_hot, with_labels
        yield "the labels | none", one_hot, None

    def score(logits: Tensor, against: Tensor, nearest: Tensor | None) -> float:
        factor = 1.0 if nearest is None else best_scale(logits.double(), nearest.double().log())
        return float(((factor * logits).softmax(1) * against).sum(1).mean())

    found = {name: {k: score(of[k], q, nearest) for k in networks} for name, q, nearest in rules()}
    return found | {
        "the labels, by top-1 | none": {k: float((of[k].argmax(1) == labels).double().mean()) for k in networks}
    }


def lost(said: dict[str, Tensor], part: str) -> dict[str, list[float]]:
    """Points of top-1 on all test images, by the name of the rule: of every pair, part of the images, and budget."""
    found = defaultdict(list)
    for pair in combinations(CIFAR, 2):
        for start in range(0, COUNTS[part] - PART + 1, PART):
            by_rule = scores(said, pair, part, slice(start, start + PART))
            for budget in BUDGETS:
                networks = within(said, pair, budget)
                right = {k: accuracy(said, k) for k in networks}
                for rule, score in by_rule.items() if len(networks) > 1 else ():
                    found[rule].append(max(right.values()) - right[max(networks, key=score.__getitem__)])
    return found


def accuracy(said: dict[str, Tensor], network: Network) -> float:
    right = said[f"{network[0]}|{network[1]}|test"].argmax(1) == said["labels|test"]
    return 100 * float(right.double().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="folder with models/nets.py and data/")
    parser.add_argument("--logits", type=Path, required=True, help="kept there")
    given = parser.parse_args()
    said = logits(given.shared.resolve(), given.logits)
    columns = [lost(said, part) for part in COUNTS]
    print("| held against | factor that brings nearest to | training images | test images |\n|---|---|---:|---:|")
    for rule in columns[0]:
        print(f"| {rule} | {' | '.join(f'{np.mean(column[rule]):.2f}' for column in columns)} |")


if __name__ == "__main__":
    main()
