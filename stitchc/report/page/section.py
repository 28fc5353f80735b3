"""A part of a page under a heading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .from_rich import fragment
from .markup import Html, tag


@dataclass(frozen=True)
class Section:
    """parts: markup, what has `html()`, or what a terminal prints. lead: a sentence on what is to be seen."""

    title: str
    parts: Sequence[Any]
    lead: str | Html = ""

    @property
    def charts(self) -> bool:
        """Whether scripts draw anything in it."""
        return any(getattr(part, "charts", False) for part in self.parts)

    def html(self, anchor: str = "") -> Html:
        """The section; with an anchor, as a part of a page that links to it."""
        lead = tag("p", self.lead, class_="lead") if self.lead else None
        return tag("section", tag("h2", self.title), lead, *map(fragment, self.parts), id=anchor or None)
