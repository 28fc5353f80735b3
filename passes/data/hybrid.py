"""A chain with weights: its fitted adapters, its price, and the results of healing and verification."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .chain import Chain, Fragment
from .healing import Healing
from .polishing import Polishing
from .values import Price

if TYPE_CHECKING:
    from torch.fx import GraphModule


@dataclass(frozen=True)
class AdapterUse:
    """An adapter in a chain.

    name: its notation, with its options. price: what it adds. residual: the share of the target's variance that the fit
    leaves unexplained, on held-out probe images; None when it was not fitted. ridge: the penalty that was chosen,
    relative to the mean diagonal.
    """

    name: str
    price: Price
    residual: float | None = None
    ridge: float | None = None


@dataclass(frozen=True)
class Verified:
    """How far the stitched graph, the generated module and ONNX Runtime are apart, over all `batches`.

    module_max_abs: largest absolute difference of an output of the module; module_max_rel: that over the largest
    absolute output. onnx_max_abs, onnx_max_rel: the same of ONNX Runtime, None when no ONNX file was asked for.
    argmax_agreement: share of the images, in [0, 1], on which all agree on the class. batches: the batch sizes tried.
    device, device_max_rel: another device on which the module was run too, and how far it was from the processor there.
    """

    module_max_abs: float
    module_max_rel: float
    onnx_max_abs: float | None
    onnx_max_rel: float | None
    argmax_agreement: float
    batches: tuple[int, ...]
    device: str | None = None
    device_max_rel: float | None = None


@dataclass(frozen=True)
class Hybrid:
    """A chain with its weights.

    name: of the network in its graph and code. price: of the whole, as it is written. adapters: one for each seam.
    members: of an ensemble, which stands under the chain of its first member; none of a single chain. healing,
    polishing: None where nothing was healed, or polished. verified: None until it was. graph: the network, which is no
    data: it is left out of comparison and JSON.
    """

    name: str
    chain: Chain
    price: Price | None = None
    adapters: tuple[AdapterUse, ...] = ()
    healing: Healing | None = None
    polishing: Polishing | None = None
    verified: Verified | None = None
    members: tuple[Hybrid, ...] = ()
    graph: GraphModule | None = field(default=None, compare=False, repr=False, metadata={"data": False})

    @classmethod
    def whole(cls, graph: GraphModule, model: int = 0) -> Hybrid:
        """A model as it is: a chain of one fragment."""
        return cls("hybrid", Chain((Fragment(model),)), graph=graph)

    @property
    def network(self) -> GraphModule:
        """The graph, which passes after `stitch` can count on."""
        assert self.graph is not None, "the hybrid was read from a file, without its weights"
        return self.graph
