"""What it saves to keep the features at the cut: seconds an epoch of adapter training with them, and of all without.

    python benchmarks/tune_cache.py hybrid/ --data 'tar:cifar10_jpeg.tar.xz?split=train&limit=1024' --threads 1

All train the same artifact on the same images, in batches of 128 without augmentation. The best epoch of `--epochs`
counts; what the features take once is printed beside. Seconds are of processor time: on one thread those of a clock,
but for whatever else the machine does meanwhile.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

import stitchc
from stitchc.artifact import read
from stitchc.progress import Silent


class Watch(Silent):
    """Times of the epochs, and of the stage that computes features."""

    def __init__(self) -> None:
        self.epochs: list[float] = []
        self.features = 0.0
        self.begun: list[tuple[str, float]] = []

    def begin(self, name: str) -> None:
        self.begun.append((name, time.process_time()))

    def end(self) -> None:
        name, start = self.begun.pop()
        if name.startswith("computing features"):
            self.features = time.process_time() - start

    def tell(self, line: str) -> None:
        if line.startswith("epoch"):
            start = self.last if self.epochs else self.begun[-1][1]
            self.last = time.process_time()
            self.epochs.append(self.last - start)


def timed(folder: Path, data: str, out: Path, **options: object) -> Watch:
    watch = Watch()
    stitchc.tune(folder, data, out=out, progress=watch, **options)  # type: ignore[arg-type]
    return watch


def main() -> None:
    parser = argparse.ArgumentParser(description="Adapter training with kept features against training all without.")
    parser.add_argument("folder", type=Path, help="an artifact")
    parser.add_argument("--data", required=True, help="DATA to train on")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    with TemporaryDirectory() as scratch:
        kept = timed(given.folder, given.data, Path(scratch) / "kept", train="adapter", epochs=given.epochs)
        plain = timed(
            given.folder, given.data, Path(scratch) / "plain", train="adapter", epochs=given.epochs, cache=False
        )
        whole = timed(given.folder, given.data, Path(scratch) / "whole", train="all", epochs=given.epochs)
    best = {name: min(watch.epochs) for name, watch in (("kept", kept), ("plain", plain), ("whole", whole))}
    cost = read(given.folder)["cost"]["macs"]
    print(f"torch {torch.__version__}, {given.threads} thread(s), {cost / 1e6:.1f} M MACs an image")
    print(f"adapter, features kept      {best['kept']:7.2f} s an epoch (and {kept.features:.2f} s once)")
    print(f"adapter, features computed  {best['plain']:7.2f} s an epoch")
    print(f"all, forward and backward   {best['whole']:7.2f} s an epoch")
    print(f"the first is {best['whole'] / best['kept']:.2f} times as fast as the last")


if __name__ == "__main__":
    main()
