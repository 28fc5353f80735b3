"""The plan: what flows through the passes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .candidates import Candidate, Candidates, same
from .chain import Chain
from .errors import InputError, PipelineError
from .hybrid import Hybrid
from .model import Images, InputSpec, Model, TensorImages
from .notebook import InNotebook
from .records import decode, encode
from .representation import Representation
from .rivals import Recommended, Rival
from .values import Cuts, Price, Value

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.fx import GraphModule

    from ..cost.fragments import FragmentPrices

SCHEMA = 1

#: The fields that passes fill, in an order in which each is computed from earlier ones.
FLOW = (
    "graphs", "cuts", "parts", "prices", "uncounted", "representations", "similarity", "candidates", "budget", "choice",
    "timed", "stages", "hybrids", "rivals", "recommended", "folder",
)  # fmt: skip


def fields_after(name: str) -> tuple[str, ...]:
    """The fields of a plan that are computed from the field `name`, and so become invalid when it changes."""
    return FLOW[FLOW.index(name) + 1 :]


@dataclass(frozen=True, eq=False)
class PairSimilarity:
    """The similarity of every cut of model `a` to every cut of model `b` (indices into the plan).

    metric: its name. images: how many were compared. matrix: float64 [cuts of a, cuts of b], in [0, 1] for biased CKA.
    low, high: float64 [cuts of a, cuts of b], the ends of an interval of that confidence around each, or None.
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


#: The metric that `Timed` holds predictions of against measurements.
TIMED = "latency"


@dataclass(frozen=True)
class Timed:
    """A candidate that was stitched and timed.

    row: of the candidate. predicted_ms, measured_ms: milliseconds for one image, the latter the median of `runs` runs;
    iqr_ms: the range between their quartiles. device, threads, backend: what they were measured on, and with.
    """

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
    """One step of ranking by probes: how many candidates were compared on how many images, and how many were kept.

    name: "shortlist", which counts pairs of cuts and uses no images; "probe", which counts stitched networks; "healed",
    healed ones.
    """

    name: str
    images: int
    candidates: int
    kept: int


@dataclass(frozen=True)
class Plan(InNotebook):
    """What is known so far about a compilation. Frozen, comparable, and JSON there and back (`to_json`, `from_json`).

    By model, in the order of `models`: cuts; prices, of the whole, for one image; uncounted, the calls of operators
    that have no formula, by name. By pair of models: similarity. candidates: the table of all of them. budget: the
    limit of each metric, in its unit. choice: the chosen fragments, once for each adapter that can join them, the most
    promising first. timed: candidates that were timed for real, in their order. stages: the steps of the choice, where
    candidates were probed. hybrids: what was stitched. rivals: what could be had instead within the budget;
    recommended: which of all is best. notes: what a report must tell the user, assumptions and fallbacks. seed: of
    every random choice.

    What is not data is left out of comparison and JSON: images, the probe images; by model graphs, parts (the prices of
    its fragments) and representations; folder, where files are written; seconds, by the name of a pass.
    """

    models: tuple[Model, ...]
    seed: int = 0
    cuts: tuple[Cuts, ...] = ()
    similarity: tuple[PairSimilarity, ...] = ()
    prices: tuple[Price, ...] = ()
    uncounted: tuple[Mapping[str, int], ...] = ()
    candidates: Candidates | None = None
    budget: Mapping[str, float] = field(default_factory=dict)
    choice: tuple[Candidate, ...] = ()
    timed: tuple[Timed, ...] = ()
    stages: tuple[Stage, ...] = ()
    hybrids: tuple[Hybrid, ...] = ()
    rivals: tuple[Rival, ...] = ()
    recommended: Recommended | None = None
    notes: tuple[str, ...] = ()

    images: Images | None = field(default=None, compare=False, repr=False, metadata={"data": False})
    graphs: tuple[GraphModule, ...] = field(default=(), compare=False, repr=False, metadata={"data": False})
    parts: tuple[FragmentPrices, ...] = field(default=(), compare=False, repr=False, metadata={"data": False})
    representations: tuple[Representation, ...] = field(default=(), compare=False, repr=False, metadata={"data": False})
    folder: Path | None = field(default=None, compare=False, repr=False, metadata={"data": False})
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, *models: Model | nn.Module, images: Images | Tensor | None = None, seed: int = 0) -> Plan:
        """A plan of plain modules or Models. `images` is a tensor [n, c, h, w] for all, or an `Images`.

        A plain module is named by its class, and taken to expect exactly what the tensor holds. Of a network in
        training mode the plan holds a copy in eval mode, the one that is compiled, with the very same weights.

        Raises:
            InputError: something else than models, or a plain module without a tensor of images. DataError: images of
            which nothing can be made.
        """
        shown: Images | None = images if images is None or isinstance(images, Images) else TensorImages(images)
        return cls(tuple(_as_model(m, shown) for m in models), seed=seed, images=shown)

    @property
    def hybrid(self) -> Hybrid:
        """The one that was stitched.

        Raises:
            PipelineError: none was, or several.
        """
        if len(self.hybrids) != 1:
            raise PipelineError(f"the plan holds {len(self.hybrids)} hybrids where one is asked for")
        return self.hybrids[0]

    def with_hybrid(self, hybrid: Hybrid) -> Plan:
        """The plan with this hybrid in the place of the one that it has."""
        return replace(self, hybrids=(hybrid,))

    def input_of(self, chain: Chain) -> InputSpec:
        """What a chain must be given: what its first fragment's model wants."""
        return self.models[chain.front.model].input

    def value_at(self, end: tuple[int, int]) -> Value:
        """The value at a cut: (index of the model, index of the cut)."""
        return self.cuts[end[0]][end[1]].value

    def node_at(self, model: int, cut: int | None) -> str | None:
        """The fx node of a cut, None for a model's own end."""
        return None if cut is None else self.cuts[model][cut].node

    def has(self, name: str) -> bool:
        """Whether a field has been filled: not None, not empty."""
        value = getattr(self, name)
        return value is not None and (not isinstance(value, tuple | Mapping) or len(value) > 0)

    def frame(self, kind: str | None = None) -> Any:
        """The candidates as a DataFrame of pandas or polars (see `frames.candidates_frame`).

        Raises:
            InputError: there are no candidates, or neither library.
        """
        from .frames import candidates_frame

        return candidates_frame(self, kind)

    def to_json(self) -> str:
        """The data of the plan as JSON: without modules, graphs, tensors and images."""
        return json.dumps({"schema": SCHEMA} | encode(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote."""
        record = json.loads(text)
        record.pop("schema")
        return decode(cls, record)


def _as_model(given: Model | nn.Module, images: Images | None) -> Model:
    from .scores import in_eval_mode, with_eval_mode

    if isinstance(given, Model):
        return with_eval_mode(given)
    if not hasattr(given, "state_dict"):
        raise InputError(
            f"a {type(given).__name__} is no network", "Give modules of torch, or Models, which stitchc.zoo.load makes."
        )
    if not isinstance(images, TensorImages):
        raise InputError(
            f"a plain {type(given).__name__} does not say what its input must be",
            "Pass images as a tensor [n, channels, height, width], or wrap the module in a Model with an InputSpec.",
        )
    channels, height, width = images.tensor.shape[1:]
    spec = InputSpec((channels, height, width), (0.0,) * channels, (1.0,) * channels, assumed=("mean", "std"))
    return Model(type(given).__name__, spec, module=in_eval_mode(given))
