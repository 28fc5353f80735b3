"""What becomes of a healed hybrid in a short training, with and without norms that are made ready for it.

    python benchmarks/tune_norms.py DIR --train 'folder:train?limit=2000' --test 'folder:test?limit=2000'

Trains all of the artifact in DIR on labelled images, twice from the same weights: with the norms as they are, and with
norms that are settled before the first step. Each network is measured with the statistics that its norms have counted
on the way, and with statistics measured at the end (docs/tuning_measured.md, "Norms").
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

import stitchc
from stitchc import zoo
from stitchc.artifact import as_model
from stitchc.evaluate import accuracy
from stitchc.passes.training.norms import measure_norms, settle_norms
from stitchc.passes.training.steps import learning_rate, optimizer_of

BATCH, LR = 128, 3e-4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="an artifact")
    parser.add_argument("--train", required=True, help="DATA with labels, to train on")
    parser.add_argument("--test", required=True, help="DATA with labels, to measure accuracy on")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    spec, test = as_model(given.folder).input, zoo.images(given.test)
    images = zoo.images(given.train)
    assert images.labels is not None
    x = torch.cat(list(images.batches(spec, 256)))

    def top1(network: nn.Module) -> str:
        return f"{100 * accuracy(network.eval(), spec, test).top1:.1f}"

    print(f"before: {top1(stitchc.load(given.folder))} %, torch {torch.__version__}")
    for settled in (False, True):
        network, start = stitchc.load(given.folder), time.perf_counter()
        if settled:
            settle_norms(network.train(), x[:1024].split(256))
        train(network, x, images.labels, given.epochs)
        counted = top1(network)
        measure_norms(network.train(), x[:1024].split(256))
        name = "settled" if settled else "as they are"
        seconds = time.perf_counter() - start
        print(f"norms {name}: {counted} % as counted, {top1(network)} % as measured ({seconds:.0f} s)", flush=True)


def train(network: nn.Module, x: Tensor, labels: Tensor, epochs: int) -> None:
    """All weights, by AdamW along a cosine, with norms in training mode and all else too."""
    network.train().requires_grad_(True)
    optimizer = optimizer_of(network.parameters(), "adamw", lr=LR, weight_decay=0.01)
    steps = len(x) // BATCH
    for step, batch in enumerate(batches(len(x), epochs)):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(LR, step, epochs * steps, 0.25 * steps)
        nn.functional.cross_entropy(network(x[batch]), labels[batch]).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


def batches(count: int, epochs: int) -> Iterator[Tensor]:
    """Indices of whole batches, every epoch in another order."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        yield from (b for b in torch.randperm(count, generator=generator).split(BATCH) if len(b) == BATCH)


if __name__ == "__main__":
    main()
