"""The accuracy of one network, in a line."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from ..evaluate import Accuracy
from .numbers import percent


@dataclass(frozen=True)
class AccuracyLine:
    """`plain: top-1 95.8 %, top-5 99.8 %, on 500 images of digits?split=test`."""

    name: str
    found: Accuracy

    def __rich__(self) -> Text:
        found = self.found
        return Text.assemble(
            (self.name, "bold"),
            f"  top-1 {percent(found.top1)}, top-5 {percent(found.top5)}, on {found.images} images of {found.data}",
        )
