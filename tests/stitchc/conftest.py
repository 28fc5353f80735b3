"""A plan made by hand: two small networks, their cuts, and a choice. No pass has run, so no network is needed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from stitchc.options import CompileOptions
from stitchc.passes.data.candidates import Candidates
from stitchc.passes.data.chain import Chain
from stitchc.passes.data.hybrid import AdapterUse, Hybrid, Verified
from stitchc.passes.data.model import InputSpec, Model
from stitchc.passes.data.plan import PairSimilarity, Plan
from stitchc.passes.data.values import Cut, Cuts, Price, Rejected, Value

MODEL_PY = """\
import torch
from torch import nn


class Stitched(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :10]


def load(folder="."):
    return Stitched().eval()
"""


def price(params: int, macs: int) -> Price:
    return Price(params=params, macs=macs, size=4 * params)


def cuts(paths: list[str], params: int, macs: int) -> Cuts:
    total = len(paths) + 1
    made = []
    for i, path in enumerate(paths):
        share = (i + 1) / total
        before = price(int(params * share), int(macs * share))
        after = price(params - before["params"], macs - before["macs"])
        channels, side = 16 * (i + 1), 8 // (i + 1)
        value = Value((channels, side, side), "NCHW", grid=(side, side))
        made.append(Cut(i, path.replace(".", "_"), path, value, (path,), before, after))
    return Cuts(
        "single-tensor", tuple(made), (Rejected("layer1_0_add", "layer1.0", "another value crosses: layer1_0_bn2"),)
    )


def make_plan() -> Plan:
    spec = InputSpec((1, 8, 8), (0.5,), (0.25,), "nearest")
    models = (
        Model(
            "resnet", spec, "digits/resnet", sha256="a" * 64, licence="MIT", data="digits", classes=10, accuracy=0.984
        ),
        Model("plain", spec, "digits/plain", sha256="b" * 64, licence="CC BY 4.0", classes=10, accuracy=0.958),
    )
    front, back = (
        cuts(["stem", "layer1.0", "layer2.0"], 80_138, 17_400_320),
        cuts(["features.3", "features.6"], 25_346, 2_113_536),
    )
    matrix = np.array([[0.912, 0.431], [0.874, 0.655], [-0.02, 0.934]])
    size = matrix.size
    order = np.argsort(-matrix.ravel(), kind="stable")
    params = np.arange(size) * 1000 + 30_000
    macs = np.arange(size) * 500_000 + 3_000_000
    feasible = macs <= 5_000_000
    table = Candidates(
        adapters=("linear",),
        front_model=np.zeros(size, np.int32),
        front_cut=np.repeat(np.arange(3, dtype=np.int32), 2),
        back_model=np.ones(size, np.int32),
        back_cut=np.tile(np.arange(2, dtype=np.int32), 3),
        adapter=np.zeros(size, np.int32),
        amounts={"params": params, "macs": macs, "size": 4 * params, "memory": 8 * params},
        similarity=matrix.ravel(),
        feasible=feasible,
        order=order[feasible[order]],
        rank="cka",
    )
    best = table[int(table.order[0])]
    hybrid = Hybrid(
        "hybrid",
        Chain.pair((0, 0), (1, 0), "conv3x3"),
        price(30_000, 3_000_000),
        (AdapterUse("conv3x3", price(4_640, 295_936), residual=0.083, ridge=1e-3),),
        verified=Verified(1.2e-7, 3e-8, 2.4e-6, 1.1e-6, 1.0, (1, 3)),
    )
    return Plan(
        models,
        cuts=(front, back),
        similarity=(PairSimilarity(0, 1, "cka-unbiased", 1297, matrix),),
        prices=(price(80_138, 17_400_320), price(25_346, 2_113_536)),
        uncounted=({}, {"gelu": 4}),
        candidates=table,
        budget={"flops": 10e6},
        choice=(best,),
        hybrids=(hybrid,),
        notes=("Similarity was taken on noise.",),
        seconds={"trace": 0.71, "fit": 1.2},
    )


@pytest.fixture
def plan() -> Plan:
    return make_plan()


@pytest.fixture
def noiseless(plan: Plan) -> Plan:
    return replace(plan, notes=())


@pytest.fixture
def options() -> CompileOptions:
    return CompileOptions(budget="12M")


@pytest.fixture
def fill():
    """Writes what the passes would have written into a staging folder."""

    def write(folder: Path) -> None:
        (folder / "model.py").write_text(MODEL_PY)
        (folder / "model.safetensors").write_bytes(b"weights")
        (folder / "model.safetensors").chmod(0o600)

    return write
