"""Many models counted by library and step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .record import STEPS, Checked


def summary(models: Iterable[Checked]) -> dict[str, Any]:
    """By library, in the order of first mention: how many models, how many passed all that was tried of them, and of
    each step how many tried and passed it."""
    found: dict[str, Any] = {}
    for checked in models:
        counts = found.setdefault(
            checked.library,
            {"models": 0, "passed": 0, "steps": {step: {"tried": 0, "passed": 0} for step in STEPS}},
        )
        counts["models"] += 1
        counts["passed"] += checked.failed is None
        for step in STEPS:
            passed = checked.passed(step)
            counts["steps"][step]["tried"] += passed is not None
            counts["steps"][step]["passed"] += passed is True
    return found


def passed_of(counts: Mapping[str, int]) -> str:
    """`80`, `78 of 80`, or nothing where nothing was tried."""
    tried, passed = counts["tried"], counts["passed"]
    return "" if not tried else str(passed) if passed == tried else f"{passed} of {tried}"
