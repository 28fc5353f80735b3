"""The passes of the compiler: graph in, graph out. Everything another tool needs to embed them.

    from stitchc.passes import Pipeline, Trace, Partition, Similarity, Cost, Plan
    plan = Pipeline([Trace(), Partition(), Similarity(), Cost()])(Plan.of(net_a, net_b, images=x))

Names are loaded on first use, so that importing this package does not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .compare import Compare, Similarity
    from .cost import Cost
    from .data.candidates import Candidate, Candidates
    from .data.chain import Chain, Fragment
    from .data.healing import HealedBlock, Healing
    from .data.hybrid import AdapterUse, Hybrid, Verified
    from .data.model import Images, InputSpec, Model, TensorImages
    from .data.plan import PairSimilarity, Plan, Stage, Timed
    from .data.polishing import Polishing
    from .data.rivals import Recommended, Rival
    from .data.values import Cut, Cuts, Price, Rejected, Value
    from .emit import Codegen
    from .emit.onnx import ExportOnnx
    from .fit import Fit
    from .heal import Heal
    from .latency import Latency
    from .latency.candidate_times import TimeCandidates
    from .move import Move
    from .partition import Partition
    from .pipeline import Pass, Pipeline
    from .polish import Polish
    from .polish.unseen import Unseen
    from .rank import Rank
    from .recalibrate import Recalibrate
    from .represent import Represent
    from .rivals import Rivals
    from .select import Select
    from .shorten import Shorten
    from .stitch import Stitch
    from .trace import Trace
    from .verify import Verify
    from .vote import Vote

_HOME = {
    "AdapterUse": "data.hybrid",
    "Candidate": "data.candidates",
    "Candidates": "data.candidates",
    "Chain": "data.chain",
    "Compare": "compare",
    "Codegen": "emit",
    "Cost": "cost",
    "Cut": "data.values",
    "Cuts": "data.values",
    "ExportOnnx": "emit.onnx",
    "Fit": "fit",
    "Fragment": "data.chain",
    "Heal": "heal",
    "HealedBlock": "data.healing",
    "Healing": "data.healing",
    "Hybrid": "data.hybrid",
    "Images": "data.model",
    "InputSpec": "data.model",
    "Latency": "latency",
    "Model": "data.model",
    "Move": "move",
    "PairSimilarity": "data.plan",
    "Partition": "partition",
    "Pass": "pipeline",
    "Pipeline": "pipeline",
    "Plan": "data.plan",
    "Polish": "polish",
    "Polishing": "data.polishing",
    "Price": "data.values",
    "Rank": "rank",
    "Recalibrate": "recalibrate",
    "Rejected": "data.values",
    "Recommended": "data.rivals",
    "Represent": "represent",
    "Rival": "data.rivals",
    "Rivals": "rivals",
    "Select": "select",
    "Shorten": "shorten",
    "TimeCandidates": "latency.candidate_times",
    "Similarity": "compare",
    "Stage": "data.plan",
    "Stitch": "stitch",
    "TensorImages": "data.model",
    "Timed": "data.plan",
    "Trace": "trace",
    "Unseen": "polish.unseen",
    "Value": "data.values",
    "Verified": "data.hybrid",
    "Verify": "verify",
    "Vote": "vote",
}

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
