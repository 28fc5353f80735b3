"""ReStNet's experiments on CIFAR-10 (arXiv 2506.09066, Tables I and III): parents trained, stitched, adapters trained.

    python examples/restnet_cifar10.py --data 'cifar10:DIR?split=train' --test 'cifar10:DIR?split=test' --out runs/
    python examples/restnet_cifar10.py --quick --out quick/     # the same program on the embedded digits, in seconds

Goes on where it was stopped: finished networks and rows are not made again, and a training continues from its last
checkpoint. The paper's hyperparameters are the preset `restnet-cnn`; --epochs takes another length.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import stitchc
from stitchc import tuning
from stitchc.artifact import read
from stitchc.report.progress import progress_on

NETS = Path(__file__).with_name("restnet_nets.py")
PARENTS = ("VGG11", "VGG19", "ResNet34")
PARENTS_TOP1 = {"VGG11": 92.26, "VGG19": 93.87, "ResNet34": 95.09}


@dataclass(frozen=True)
class Row:
    """A row of a table: after which unit the front ends, after which unit of its own the back begins; top-1 in %."""

    table: str
    front: str
    leaves: str
    back: str
    enters: str
    top1: float


# The cuts are those whose counts are the printed ones. Of the pairs with 13.41 M and 19.98 M parameters another cut,
# layer3.2 with relu5, has the same counts.
ROWS = (
    Row("I", "VGG19", "relu5", "VGG11", "relu3", 93.31),
    Row("I", "VGG19", "relu9", "VGG11", "relu6", 93.70),
    Row("I", "VGG19", "relu15", "VGG11", "relu8", 93.91),
    Row("I", "ResNet34", "layer1.2", "VGG11", "relu2", 92.52),
    Row("I", "ResNet34", "layer3.0", "VGG11", "relu4", 94.54),
    Row("I", "ResNet34", "layer3.5", "VGG11", "relu7", 95.09),
    Row("III", "ResNet34", "layer3.4", "VGG11", "relu6", 95.14),
    Row("III", "VGG11", "relu2", "ResNet34", "layer1.2", 83.22),
    Row("III", "VGG11", "relu4", "ResNet34", "layer3.0", 90.45),
    Row("III", "VGG11", "relu6", "ResNet34", "layer3.4", 92.00),
    Row("III", "VGG11", "relu7", "ResNet34", "layer3.5", 92.32),
)


def main() -> None:
    parser = argparse.ArgumentParser(description="ReStNet's tables on CIFAR-10: the paper's accuracy beside ours.")
    parser.add_argument("--data", help="DATA to train on, such as cifar10:DIR?split=train or folder:DIR?split=train")
    parser.add_argument("--test", help="DATA to measure on")
    parser.add_argument("--out", type=Path, default=Path("restnet"), help="folder of networks and artifacts")
    parser.add_argument("--epochs", type=int, help="of every training [150]")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--workers", type=int, default=0, help="processes that prepare images")
    parser.add_argument("--rows", type=int, nargs="+", default=range(len(ROWS)), help="numbers of the rows, from 0")
    parser.add_argument("--quick", action="store_true", help="thin networks, embedded digits, one epoch, two rows")
    given = parser.parse_args()
    thin = 1
    if given.quick:
        given.data, given.test, given.epochs, thin = "digits?limit=160", "digits?split=test&limit=100", 1, 16
        given.rows = [1, 8]
    elif not (given.data and given.test):
        parser.error("--data and --test name the images; --quick needs none")
    given.out.mkdir(parents=True, exist_ok=True)
    wanted = [ROWS[index] for index in given.rows]
    needed = {name for row in wanted for name in (row.front, row.back)}
    parents = {name: parent(name, given, thin) for name in PARENTS if name in needed}
    lines = [f"{name:<20}  {'':<22} {PARENTS_TOP1[name]:>7.2f} {accuracy(words, given):>7.2f}"
             for name, words in parents.items()]  # fmt: skip
    print(f"{'network':<20}  {'cuts':<22} {'paper':>7} {'ours':>7}  {'params':>10} {'MACs':>12} {'trained':>9}")
    print("\n".join(lines), flush=True)
    for row in wanted:
        print(result(row, parents, given), flush=True)


def parent(name: str, given: argparse.Namespace, thin: int) -> str:
    """The MODEL words of a trained parent."""
    weights = given.out / f"{name}.pt"
    if not weights.exists():
        fresh = f'{NETS}:make("{name}", "", 10, {thin})'
        tuning.train(fresh, given.data, weights, **training(given))
    return f'{NETS}:make("{name}", "{weights}", 10, {thin})'


def training(given: argparse.Namespace) -> dict:
    batch = {"batch": 32} if given.quick else {}
    shared = {"epochs": given.epochs, "device": given.device, "workers": given.workers}
    return {"preset": "restnet-cnn", "progress": PROGRESS, **shared, **batch}


def accuracy(words: str, given: argparse.Namespace) -> float:
    return 100 * stitchc.evaluate(words, given.test, device=given.device).top1


def result(row: Row, parents: dict[str, str], given: argparse.Namespace) -> str:
    name = f"{row.table}-{row.front}-{row.leaves}-{row.back}-{row.enters}"
    folder, tuned = given.out / name, given.out / f"{name}-tuned"
    if not folder.exists():
        stitchc.compile(
            parents[row.front], parents[row.back], front=path(row.front, row.leaves), back=path(row.back, row.enters),
            adapter="conv3x3", heal="none", data=given.data, onnx=False, out=folder, progress=PROGRESS,
        )  # fmt: skip
    if not tuned.exists():
        stitchc.tune(folder, given.data, train="adapter", evaluate=given.test, out=tuned, **training(given))
    record = read(tuned)
    cuts = f"{row.leaves} to {row.enters}"
    return (
        f"{row.front + '-' + row.back:<20}  {cuts:<22} {row.top1:>7.2f} {100 * record['accuracy']['top1']:>7.2f}  "
        f"{record['cost']['params']:>10,} {record['cost']['macs']:>12,} {record['tuned'][-1]['trained_params']:>9,}"
    )


def path(network: str, unit: str) -> str:
    """The module whose output a unit is."""
    return unit if network == "ResNet34" else f"features.{unit}"


PROGRESS = progress_on(sys.stderr)

if __name__ == "__main__":
    main()
