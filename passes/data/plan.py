"""The plan: what flows through the passes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .candidates import Candidate, Candidates, same
from .errors import InputError
from .healing import Healing
from .model import Images, InputSpec, Model, TensorImages
from .records import decode, encode
from .values import Cuts, Price

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.fx import GraphModule

SCHEMA = 1


@dataclass(frozen=True, eq=False)
class PairSimilarity:
    """How alike every cut of model `a` is to every cut of model `b` (indices into the plan).

    metric: its name. images: how many were compared. matrix: float64 [cuts of a, cuts of b], in [0, 1] for biased CKA.
    low, high: the ends of an interval of that confidence around each, or None.
    """

    a: int
    b: int
    metric: str
    images: int
    matrix: np.ndarray
    confidence: float | None = None
    low: np.ndarray | None = None
    high: np.ndarray | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PairSimilarity):
            return NotImplemented
        return all(same(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))


@dataclass(frozen=True)
class Fragment:
    """A part of a model between two of its cuts: `start` and `end` are fx nodes, None at the model's own ends."""

    model: int
    start: str | None = None
    end: str | None = None


@dataclass(frozen=True)
class AdapterUse:
    """An adapter in a chain. residual: the share of the target's variance that the fit leaves unexplained, on held-out
    probe images; None when it was not fitted. ridge: the penalty that was chosen, relative to the mean diagonal."""

    name: str
    price: Price
    residual: float | None = None
    ridge: float | None = None


#: The metric that `Timed` holds predictions of against measurements.
TIMED = "latency"


@dataclass(frozen=True)
class Timed:
    """A candidate that was stitched and timed: milliseconds for one image, as predicted and as measured (the median of
    `runs` runs, and the range between the quartiles), where and by what."""

    row: int
    predicted_ms: float
    measured_ms: float
    iqr_ms: float
    runs: int
    device: str
    threads: int
    backend: str


@dataclass(frozen=True)
class Stage:
    """What choosing by probes did at one point: of how many candidates it kept how many, on how many images. The
    "shortlist" counts pairs of cuts and shows no images; a "probe" counts stitched networks, "healed" those healed."""

    name: str
    images: int
    candidates: int
    kept: int


@dataclass(frozen=True)
class Verified:
    """How far the stitched graph, the generated module and ONNX Runtime are apart, over all `batches`.

    max_abs: largest absolute difference of an output; max_rel: that over the largest absolute output.
    argmax_agreement: share of the images on which all agree on the class. onnx_*: None when no ONNX file was asked for.
    """

    module_max_abs: float
    module_max_rel: float
    onnx_max_abs: float | None
    onnx_max_rel: float | None
    argmax_agreement: float
    batches: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """What is known so far about a compilation. Frozen, comparable, and JSON there and back (`to_json`, `from_json`).

    The second group of fields holds what is not data: modules, graphs, tensors. It is left out of comparison and JSON.
    Lists by model follow the order of `models`.
    """

    models: tuple[Model, ...]
    seed: int = 0
    cuts: tuple[Cuts, ...] = ()
    similarity: tuple[PairSimilarity, ...] = ()
    prices: tuple[Price, ...] = ()
    uncounted: tuple[Mapping[str, int], ...] = ()
    candidates: Candidates | None = None
    budget: Mapping[str, float] = field(default_factory=dict)
    choice: tuple[Candidate, ...] = ()  # the chosen pair, once for each adapter that may join it, best guess first
    timed: tuple[Timed, ...] = ()  # candidates that were timed for real, in their order
    stages: tuple[Stage, ...] = ()  # how it was chosen, where candidates were probed
    chain: tuple[Fragment | AdapterUse, ...] = ()
    price: Price | None = None  # of the stitched network
    healing: Healing | None = None  # what was repaired behind the seam
    verified: Verified | None = None
    notes: tuple[str, ...] = ()  # what a report must tell the user: assumptions, fallbacks

    images: Images | None = field(default=None, compare=False, repr=False, metadata={"data": False})
    graphs: tuple[GraphModule, ...] = field(default=(), compare=False, repr=False, metadata={"data": False})
    grams: tuple[Tensor, ...] = field(default=(), compare=False, repr=False, metadata={"data": False})
    stitched: GraphModule | None = field(default=None, compare=False, repr=False, metadata={"data": False})
    folder: Path | None = field(default=None, compare=False, repr=False, metadata={"data": False})
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, *models: Model | nn.Module, images: Images | Tensor | None = None, seed: int = 0) -> Plan:
        """A plan of plain modules or Models. `images` is a tensor [n, c, h, w] for all, or an `Images`.

        A plain module is named by its class, taken to expect exactly what the tensor holds, and put into eval mode,
        the one that is compiled.
        """
        shown: Images | None = images if images is None or isinstance(images, Images) else TensorImages(images)
        return cls(tuple(_as_model(m, shown) for m in models), seed=seed, images=shown)

    def has(self, name: str) -> bool:
        """Whether a field has been filled: not None, not empty."""
        value = getattr(self, name)
        return value is not None and (not isinstance(value, tuple | Mapping) or len(value) > 0)

    def to_json(self) -> str:
        return json.dumps({"schema": SCHEMA} | encode(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        record = json.loads(text)
        record.pop("schema")
        return decode(cls, record)


def _as_model(given: Model | nn.Module, images: Images | None) -> Model:
    if isinstance(given, Model):
        return given
    if not isinstance(images, TensorImages):
        raise InputError(
            f"a plain {type(given).__name__} does not say what its input must be",
            "Pass images as a tensor [n, channels, height, width], or wrap the module in a Model with an InputSpec.",
        )
    channels, height, width = images.tensor.shape[1:]
    spec = InputSpec((channels, height, width), (0.0,) * channels, (1.0,) * channels, assumed=("mean", "std"))
    return Model(type(given).__name__, spec, module=given.eval())
