"""Which of the tensors that a model returns is the one that it is judged by."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..data.errors import TraceError


def logits_of(result: Any) -> tuple[Tensor, str]:
    """The output that a classifier is judged by, and what to tell the user when there were others."""
    if isinstance(result, Tensor):
        return result, ""
    if isinstance(result, dict):
        keys = [k for k, v in result.items() if isinstance(v, Tensor)]
        key = next((k for k in ("logits", "out", "output", "x_norm_clstoken") if k in keys), keys[0] if keys else None)
        if key is not None:
            return result[key], f"the model returns {', '.join(map(str, result))}; '{key}' is taken"
    if isinstance(result, tuple | list):
        found = [r for r in result if isinstance(r, Tensor)]
        if found and found[0].dim() >= 2:
            return found[0], f"the model returns {len(result)} values; the first is taken"
    raise TraceError(
        f"the model returns a {type(result).__name__} in which no tensor stands for class scores",
        "Only networks that return one tensor (a classifier's logits or a feature) can be stitched; "
        "wrap the model so that it returns that tensor.",
    )
