"""Emit a network or a graph into a folder, and load what came out as its user would."""

from pathlib import Path

import torch
from torch import nn
from torch.fx import GraphModule

from stitchc.passes import Codegen, Hybrid, Plan, Trace
from stitchc.passes.emit.load import load_module


def disturb(network: nn.Module, seed: int = 0) -> nn.Module:
    """In eval mode, with no parameter or running statistic left at a value that hides a mistake."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(0.1 * torch.randn(buffer.shape, generator=generator))
            if name.endswith("running_var"):
                buffer.copy_(1 + 0.5 * torch.rand(buffer.shape, generator=generator))
    return network.eval()


def plan_of(network: nn.Module, size: tuple[int, ...]) -> Plan:
    """A plan whose stitched graph is the whole network's."""
    plan = Trace(check=())(Plan.of(network, images=torch.zeros(1, *size)))
    return plan.with_hybrid(Hybrid.whole(plan.graphs[0]))


def emit(network: nn.Module | GraphModule, size: tuple[int, ...], folder: Path) -> str:
    """The text of the generated file."""
    plan = Plan.of(network, images=torch.zeros(1, *size))
    plan = plan.with_hybrid(Hybrid.whole(network)) if isinstance(network, GraphModule) else plan_of(network, size)
    Codegen(folder)(plan)
    return (folder / "model.py").read_text()


def code(text: str) -> str:
    """The classes alone: without the head, the imports and `load`."""
    body = text[text.index("\n\n\nclass ") :]
    for end in ("\n\n\nDTYPES", "\n\n\ndef load"):
        if end in body:
            body = body[: body.index(end)]
    return body.strip() + "\n"


def largest_difference(
    network: nn.Module, folder: Path, size: tuple[int, ...], batches: tuple[int, ...] = (1, 3)
) -> float:
    """Between the network and the generated module, over random images at each batch size."""
    emitted = load_module(folder)
    found = 0.0
    with torch.inference_mode():
        for batch in batches:
            images = torch.randn(batch, *size, generator=torch.Generator().manual_seed(batch))
            found = max(found, (network(images.clone()) - emitted(images.clone())).abs().max().item())
    return found
