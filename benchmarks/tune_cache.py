"""What it saves to keep the features at the cut: seconds an epoch of adapter training with them, and of all without.

    python benchmarks/tune_cache.py 'nets.py:make("cifar10_resnet56")' 'nets.py:make("cifar10_resnet20")' \\
        --front layer2.5 --back layer2.2 --data 'tar:cifar10_jpeg.tar.xz?split=train&limit=2048' --threads 1

All train the same artifact on the same images, in batches of 128 without augmentation. The best epoch of `--epochs`
counts; what the features take once is printed beside.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import stitchc
from stitchc.progress import Silent


class Watch(Silent):
    """Times of the epochs, and of the stage that computes features."""

    def __init__(self) -> None:
        self.epochs: list[float] = []
        self.features = 0.0
        self.begun: list[tuple[str, float]] = []

    def begin(self, name: str) -> None:
        self.begun.append((name, time.perf_counter()))

    def end(self) -> None:
        name, start = self.begun.pop()
        if name.startswith("computing features"):
            self.features = time.perf_counter() - start

    def tell(self, line: str) -> None:
        if line.startswith("epoch"):
            start = self.last if self.epochs else self.begun[-1][1]
            self.last = time.perf_counter()
            self.epochs.append(self.last - start)


def timed(folder: Path, data: str, out: Path, **options: object) -> Watch:
    watch = Watch()
    stitchc.tune(folder, data, out=out, progress=watch, **options)  # type: ignore[arg-type]
    return watch


def main() -> None:
    parser = argparse.ArgumentParser(description="Adapter training with kept features against training all without.")
    parser.add_argument("a", help="MODEL of the front")
    parser.add_argument("b", help="MODEL of the back")
    parser.add_argument("--front", required=True, metavar="CUT")
    parser.add_argument("--back", required=True, metavar="CUT")
    parser.add_argument("--adapter", default="conv3x3")
    parser.add_argument("--data", required=True, help="DATA to train on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with TemporaryDirectory() as scratch:
        folder = Path(scratch) / "hybrid"
        stitchc.compile(
            given.a, given.b, front=given.front, back=given.back, adapter=given.adapter, heal="none", data=given.data,
            probe_images=256, onnx=False, out=folder,
        )  # fmt: skip
        kept = timed(folder, given.data, Path(scratch) / "kept", train="adapter", epochs=given.epochs)
        plain = timed(folder, given.data, Path(scratch) / "plain", train="adapter", epochs=given.epochs, cache=False)
        whole = timed(folder, given.data, Path(scratch) / "whole", train="all", epochs=given.epochs)
    best = {name: min(watch.epochs) for name, watch in (("kept", kept), ("plain", plain), ("whole", whole))}
    print(f"torch {torch.__version__}, {given.threads} thread(s), {given.front} to {given.back}, {given.adapter}")
    print(f"adapter, features kept      {best['kept']:7.2f} s an epoch (and {kept.features:.2f} s once)")
    print(f"adapter, features computed  {best['plain']:7.2f} s an epoch")
    print(f"all, forward and backward   {best['whole']:7.2f} s an epoch")
    print(f"the first is {best['whole'] / best['kept']:.2f} times as fast as the last")


if __name__ == "__main__":
    main()
