"""The handwritten digits: 1,797 images of 8x8, 1,297 for training and 500 for testing (see ATTRIBUTION.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

#: What every network of digits/ is fed: (pixel - MEAN) / STD, close to the figures of the training split.
SIZE = (1, 8, 8)
MEAN = (0.305,)
STD = (0.376,)
CLASSES = 10
NAMES = tuple("0123456789")


def load_split(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [n, 8, 8] in 0..255 and labels int64 [n] of "train" (1,297), "test" (500) or "all" (1,797)."""
    with np.load(Path(__file__).with_name("digits.npz")) as file:
        images, labels, test = file["images"], file["labels"], file["test"]
    keep = {"train": ~test, "test": test, "all": np.ones_like(test)}[split]
    scaled = np.rint(images[keep] * (255 / 16)).astype(np.uint8)  # the set counts 0..16
    return scaled, labels[keep].astype(np.int64)
