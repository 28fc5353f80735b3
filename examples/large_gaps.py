"""Traft and Cheney's experiment (UniReps 2025): how large a gap within a network an adapter can bridge.

    python examples/large_gaps.py --data 'folder:imagenet/train' --test 'folder:imagenet/val' --out gaps/
    python examples/large_gaps.py --quick --out quick/          # the digits' residual network, in seconds

Whatever lies between the first block of an early stage and that of a later one is cut out, and adapters take its place:
one for every halving of the size. Only they are trained, with the paper's hyperparameters (the preset `traft`). Goes
on where it was stopped: finished rows are not made again, and a training continues from its last checkpoint.
"""

import argparse
import sys
from pathlib import Path

import stitchc
from stitchc.artifact import read
from stitchc.report.progress import progress_on

MODEL = "timm/resnet50.a1_in1k"
BLOCKS = ("layer1.0", "layer2.0", "layer3.0", "layer4.0")  # after the first block of each stage
QUICK_MODEL = "digits/resnet"
QUICK_BLOCKS = ("stage1.0", "stage2.0", "stage3.0")

# The paper puts BatchNorm before and after every adapter, and one inside the bottleneck after each convolution.
ADAPTERS = ("linear?norm=both&steps=yes", "conv3x3-relu?resize=before&norm=both&steps=yes", "bottleneck?steps=yes")

# Top-1 in % of ResNet-50 as it is, and of the bottleneck from stage 1 into stage 2 and stage 4 (Table 1).
PAPER = {("bottleneck", 1, 2): 78.3, ("bottleneck", 1, 4): 67.4}


def main() -> None:
    parser = argparse.ArgumentParser(description="Stages of a network skipped, and adapters trained in their place.")
    parser.add_argument("--data", help="DATA to train on: of the classes that the network tells apart")
    parser.add_argument("--test", help="DATA to measure on")
    parser.add_argument("--out", type=Path, default=Path("gaps"), help="folder of the artifacts")
    parser.add_argument("--model", default=MODEL, help=f"MODEL with stages of blocks [{MODEL}]")
    parser.add_argument("--blocks", nargs="+", default=BLOCKS, metavar="PATH", help="the first block of every stage")
    parser.add_argument("--stage", type=int, default=1, help="the stage that the front ends in [1]")
    parser.add_argument("--adapters", nargs="+", default=ADAPTERS, metavar="WORDS")
    parser.add_argument("--epochs", type=int, help="of every training [10]")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare images")
    parser.add_argument("--quick", action="store_true", help="the embedded digits, one epoch, one adapter")
    given = parser.parse_args()
    if given.quick:
        given.model, given.blocks, given.adapters = QUICK_MODEL, QUICK_BLOCKS, ADAPTERS[-1:]
        given.data, given.test, given.epochs = "digits?limit=160", "digits?split=test&limit=100", 1
    elif not (given.data and given.test):
        parser.error("--data and --test name the images; --quick needs none")
    whole = stitchc.evaluate(given.model, given.test, device=given.device, progress=PROGRESS)
    print(f"{given.model}: {100 * whole.top1:.2f} % of {whole.images} images\n")
    print(f"{'stages':<8} {'adapter':<46} {'paper':>6} {'ours':>7} {'MACs':>15} {'trained':>11}", flush=True)
    for stage in range(given.stage + 1, len(given.blocks) + 1):
        for adapter in given.adapters:
            print(row(given, stage, adapter), flush=True)


def row(given: argparse.Namespace, stage: int, adapter: str) -> str:
    """One gap with one adapter: stitched, fitted, trained, measured."""
    name = f"{given.stage}-{stage}-{adapter.replace('?', '-').replace('&', '-').replace('=', '-')}"
    folder, tuned = given.out / name, given.out / f"{name}-tuned"
    if not folder.exists():
        stitchc.compile(
            given.model, given.model, front=given.blocks[given.stage - 1], back=given.blocks[stage - 1],
            adapter=adapter, heal="none", data=given.data, onnx=False, out=folder, progress=PROGRESS,
        )  # fmt: skip
    if not tuned.exists():
        small = {"batch": 32, "augment": "none"} if given.quick else {}
        stitchc.tune(
            folder, given.data, preset="traft", train="adapter", epochs=given.epochs, evaluate=given.test, out=tuned,
            device=given.device, workers=given.workers, progress=PROGRESS, **small,
        )  # fmt: skip
    record = read(tuned)
    paper = PAPER.get((adapter.split("?")[0], given.stage, stage)) if given.model == MODEL else None
    return (
        f"{given.stage} to {stage:<3} {adapter:<46} {paper or '':>6} {100 * record['accuracy']['top1']:>7.2f} "
        f"{record['cost']['macs']:>15,} {record['tuned'][-1]['trained_params']:>11,}"
    )


PROGRESS = progress_on(sys.stderr)

if __name__ == "__main__":
    main()
