"""The second front-end: torch.export, at the level of aten operators. For models that cannot be recorded."""

from __future__ import annotations

from torch import nn
from torch.fx import GraphModule

from ..errors import TraceError


def export(model: nn.Module, size: tuple[int, ...]) -> GraphModule:
    raise TraceError("export: not there yet")
