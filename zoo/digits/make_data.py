"""Writes digits.npz from scikit-learn's copy of the UCI digits: `python -m stitchc.zoo.digits.make_data`.

Needs scikit-learn, which stitchc itself does not. The split: of each class, 50 images drawn by a seeded permutation are
for testing, 500 in all; the other 1,297 are for training. Both keep scikit-learn's order.
"""

from pathlib import Path

import numpy as np

TEST_IMAGES_PER_CLASS = 50
SEED = 0


def main() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.images.astype(np.uint8)  # 0..16: counts of set pixels in 4x4 blocks of a 32x32 scan
    labels = digits.target.astype(np.uint8)
    generator = np.random.default_rng(SEED)
    test = np.zeros(len(labels), dtype=bool)
    for label in range(10):
        members = np.flatnonzero(labels == label)
        test[generator.permutation(members)[:TEST_IMAGES_PER_CLASS]] = True
    path = Path(__file__).with_name("digits.npz")
    np.savez_compressed(path, images=images, labels=labels, test=test)


if __name__ == "__main__":
    main()
