"""What hostile inputs are altered from, made in the folder that is named: a checkpoint `a.pt`, and an artifact of each
kind that the tool writes and reads, in folders named as in `ARTIFACTS`.

A program of its own: a process in which torch has computed gradients cannot be copied by fork and compute more.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

#: Of two fragments, compared to nothing; of three, compared to rivals; chains that vote; a family of two models and a
#: stitch; that stitch alone; and what becomes of three of them in a training.
ARTIFACTS = ("h", "chain", "vote", "family", "member", "tuned", "tuned_family", "tuned_member")


def networks() -> list:
    import torch
    from torch import nn

    from stitchc.passes.data.model import InputSpec, Model

    torch.manual_seed(0)
    spec = InputSpec((1, 8, 8), (0.0,), (1.0,))
    found = []
    for name, width, source in (("wide", 6, "digits/resnet"), ("thin", 4, "digits/plain")):
        module = nn.Sequential(
            nn.Conv2d(1, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(width, 10),
        ).eval()  # fmt: skip
        names = tuple(map(str, range(10)))
        found.append(Model(name, spec, source=source, licence="MIT", class_names=names, module=module))
    return found


def make(folder: Path) -> None:
    import stitchc
    from stitchc import zoo

    models, images = networks(), "digits?limit=64"
    quick = {"data": images, "onnx": False}
    measured = {**quick, "evaluate": "digits?split=test&limit=64"}
    stitchc.compile(*models, front="0", back="0", adapter="linear", rivals="none", **quick, out=folder / "h")
    stitchc.compile(*models, chain="A:..0 / linear / B:0..2 / linear / A:2..", **measured, out=folder / "chain")
    vote = "A:..0 / linear / B:0.. + B:..0 / linear / A:0.."
    stitchc.compile(*models, chain=vote, rivals="none", **quick, out=folder / "vote")
    made = stitchc.family(
        "digits/convnext", "digits/plain", budget=["45%"], adapters=["linear"], fragments=2, effort="low",
        probe_images=96, onnx=False, evaluate="digits?split=test&limit=64", out=folder / "family",
    )  # fmt: skip
    stitch = next(member["name"] for member in made.record["members"] if member["parent"] is None)
    stitchc.extract(folder / "family", stitch, folder / "member", onnx=False)
    training = {"data": "digits?limit=32", "evaluate": "digits?split=test&limit=8", "epochs": 1, "batch": 8}
    stitchc.tune(folder / "chain", **training, distill="better", parents=models, out=folder / "tuned")
    stitchc.tune(folder / "family", **training, out=folder / "tuned_family")
    stitchc.tune(folder / "member", **training, out=folder / "tuned_member")
    with unfinished():
        stitchc.tune(folder / "h", **options_of(UNFINISHED), out=folder / "half")
    zoo.pack("digits/plain", folder / "a.pt")


#: The options of the training whose checkpoint is left in `.half.tuning`.
UNFINISHED = ("--data", "digits?limit=32", "--epochs", "2", "--batch", "8", "--train", "all", "--holdout", "0.25",
              "--checkpoint-seconds", "0")  # fmt: skip


def options_of(flags: Sequence[str]) -> dict[str, Any]:
    """Flags as options of Python."""
    pairs = zip(flags[::2], flags[1::2], strict=True)
    return {flag[2:].replace("-", "_"): json.loads(word) if word[0].isdigit() else word for flag, word in pairs}


@contextmanager
def unfinished() -> Iterator[None]:
    """While entered, trainings are interrupted within their second epoch, and leave their checkpoint."""
    from stitchc.tuning.checkpoint import Checkpoint

    write = Checkpoint.write

    def interrupted(self: Checkpoint, state: Mapping[str, Any]) -> None:
        write(self, state)
        if state["state"]["epoch"] and state["state"]["step"]:
            raise KeyboardInterrupt

    Checkpoint.write = interrupted
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        Checkpoint.write = write


if __name__ == "__main__":
    make(Path(sys.argv[1]))
