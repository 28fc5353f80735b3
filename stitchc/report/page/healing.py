"""Healing block by block, as bars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..healing import calibrated, followed, held_out
from ..numbers import NONE, percent, significant
from .from_rich import scrolling
from .markup import Html, join, tag


@dataclass(frozen=True)
class HealingBars:
    """record: the key `healing` of a plan document."""

    record: Mapping[str, Any]

    def html(self) -> Html:
        """What it gave in a sentence, and a bar of the agreement with the parent after each block."""
        record = self.record
        said = (
            f"The hybrid agrees with its parent on {percent(record['agreement'])} of {held_out(record)}, on "
            f"{percent(record['agreement_before'])} before. Each block is refitted in closed form to what "
            "its parent gives there, and stays only where held-out images say that it is no worse."
        )
        first = {"name": "the adapter", "agreement": record["agreement_before"], "operators": None, "ridge": None,
                 "divergence": record["divergence_before"], "kept": True}  # fmt: skip
        names = (("after", None), ("agreement", "number"), ("", "track"), ("divergence (nats)", "number"),
                 ("refitted", "number"), ("ridge", "number"), ("", None))  # fmt: skip
        head = tag("tr", *(tag("th", name, scope="col", class_=side) for name, side in names))
        rows = (self._row(block) for block in (first, *record["blocks"]))
        table = tag("table", tag("thead", head), tag("tbody", *rows), class_="healing")
        then = [tag("p", f"{followed(record)}.")] if record.get("followed") else []
        then += [tag("p", f"{sure}.")] if (sure := calibrated(record)) else []
        return join(tag("p", said), scrolling(table, "Healing block by block"), *then)

    def _row(self, block: Mapping[str, Any]) -> Html:
        share, divergence = block["agreement"], block["divergence"]
        bar = tag("span", tag("span", style=f"width:{share:.1%}"), class_="bar")
        return tag(
            "tr", tag("td", tag("code", block["name"])), tag("td", percent(share), class_="number"),
            tag("td", bar, class_="track"),
            tag("td", NONE if divergence is None else significant(divergence, 2), class_="number"),
            tag("td", NONE if block["operators"] is None else block["operators"], class_="number"),
            tag("td", NONE if block["ridge"] is None else f"{block['ridge']:g}", class_="number"),
            tag("td", "" if block["kept"] else "undone"), class_=None if block["kept"] else "dim",
        )  # fmt: skip
