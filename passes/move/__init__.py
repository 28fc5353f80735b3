"""The pass `move`: to the device that networks run on, and back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from ..data.errors import ModelError
from ..data.plan import Plan
from ..pipeline import Pass

if TYPE_CHECKING:
    import torch
    from torch.fx import GraphModule

    from ..data.hybrid import Hybrid
    from ..data.model import Images
    from ..graphs.placement import Moved

# What other kernels do to the outputs of a deep float32 network, relative to the largest.
_ROUNDING = 1e-3
_IMAGES = 2
# For images that stay on the device: one part in so many of a card's free memory; bytes, on other devices.
_FREE_SHARE, _ROOM = 8, 1 << 30


@dataclass(frozen=True)
class Move(Pass):
    """Puts the graphs of the plan, the images and what was stitched on a device: all passes after it compute there.

    The modules of the models stay where they are: graphs are copies, which share among one another what they shared.
    Each graph that moves is held against the one that it was, on a few random images.

    device: as torch names it.

    Raises:
        ModelError: a graph does not run there, or does not give the same but for rounding.
    """

    name: ClassVar[str] = "move"
    requires: ClassVar[tuple[str, ...]] = ("graphs",)
    changes: ClassVar[tuple[str, ...]] = ("graphs", "hybrids", "rivals", "images")

    device: str = "cpu"

    def run(self, plan: Plan) -> Plan:
        from ..graphs.placement import exactly, on_device

        device = exactly(self.device)
        moved: Moved = {}
        graphs = tuple(on_device(graph, device, moved) for graph in plan.graphs)
        for model, before, after in zip(plan.models, plan.graphs, graphs, strict=True):
            if after is not before:
                _compare(model.name, before, after, model.input.size, plan.seed)

        def there(hybrid: Hybrid) -> Hybrid:
            return replace(hybrid, graph=on_device(hybrid.graph, device, moved)) if hybrid.graph is not None else hybrid

        return replace(
            plan,
            graphs=graphs,
            hybrids=tuple(there(hybrid) for hybrid in plan.hybrids),
            rivals=tuple(replace(rival, hybrid=rival.hybrid and there(rival.hybrid)) for rival in plan.rivals),
            images=_shown_on(plan.images, device),
        )


def _shown_on(images: Images | None, device: torch.device) -> Images | None:
    from ..data.shown_on import ShownOn

    if isinstance(images, ShownOn):
        images = images.whole
    return images if images is None or device.type == "cpu" else ShownOn(images, device, _room(device))


def _room(device: torch.device) -> int:
    """Bytes for images that stay on the device from pass to pass."""
    import torch

    return torch.cuda.mem_get_info(device)[0] // _FREE_SHARE if device.type == "cuda" else _ROOM


def _compare(name: str, before: GraphModule, after: GraphModule, size: tuple[int, ...], seed: int) -> None:
    import torch

    from ..data.errors import first_line
    from ..graphs.placement import device_of

    images = torch.randn(_IMAGES, *size, generator=torch.Generator().manual_seed(seed))
    place = device_of(after)
    with torch.no_grad():
        want = before(images.to(device_of(before))).cpu()
        try:
            got = after(images.to(place)).cpu()
        except Exception as error:
            raise ModelError(
                f"{name} does not run on {place}: {first_line(error)}", "Compute on the processor: `device='cpu'`."
            ) from error
    difference = ((got - want).abs().max() / want.abs().max().clamp_min(1e-12)).item()
    if not difference <= _ROUNDING:
        raise ModelError(
            f"{name} gives something else on {place}: it differs by {difference:.2g} (relative)",
            "Compute on the processor: `device='cpu'`.",
        )
