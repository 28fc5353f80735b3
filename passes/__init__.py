"""The passes of the compiler: graph in, graph out. Everything another tool needs to embed them.

    from stitchc.passes import Pipeline, Trace, Partition, Similarity, Cost, Plan
    plan = Pipeline([Trace(), Partition(), Similarity(), Cost()])(Plan.of(net_a, net_b, images=x))

Names are loaded on first use, so that importing this package does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import Pass, Pipeline
    from .candidates import Candidate, Candidates
    from .cost import Cost
    from .emit.codegen import Codegen
    from .emit.onnx import ExportOnnx
    from .fit import Fit
    from .heal import Heal
    from .healing.record import HealedBlock, Healing
    from .latency import Latency
    from .latency.shortlist import Shortlist
    from .model import Images, InputSpec, Model, TensorImages
    from .partition import Partition
    from .plan import AdapterUse, Fragment, PairSimilarity, Plan, Stage, Timed, Verified
    from .rank import Rank
    from .recalibrate import Recalibrate
    from .select import Select
    from .similarity import Similarity
    from .stitch import Stitch
    from .trace.trace import Trace
    from .values import Cut, Cuts, Price, Rejected, Value
    from .verify import Verify

_HOME = {
    "AdapterUse": "plan",
    "Candidate": "candidates",
    "Candidates": "candidates",
    "Codegen": "emit.codegen",
    "Cost": "cost",
    "Cut": "values",
    "Cuts": "values",
    "ExportOnnx": "emit.onnx",
    "Fit": "fit",
    "Fragment": "plan",
    "Heal": "heal",
    "HealedBlock": "healing.record",
    "Healing": "healing.record",
    "Images": "model",
    "InputSpec": "model",
    "Latency": "latency",
    "Model": "model",
    "PairSimilarity": "plan",
    "Partition": "partition",
    "Pass": "base",
    "Pipeline": "base",
    "Plan": "plan",
    "Price": "values",
    "Rank": "rank",
    "Recalibrate": "recalibrate",
    "Rejected": "values",
    "Select": "select",
    "Shortlist": "latency.shortlist",
    "Similarity": "similarity",
    "Stage": "plan",
    "Stitch": "stitch",
    "TensorImages": "model",
    "Timed": "plan",
    "Trace": "trace.trace",
    "Value": "values",
    "Verified": "plan",
    "Verify": "verify",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
