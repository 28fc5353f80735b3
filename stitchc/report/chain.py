"""A stitch drawn as a line of fragments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions
from rich.text import Text

from .table import short


@dataclass(frozen=True)
class ChainLine:
    """`resnet ──[ input → layer2.3 ]══ conv3x3 16→96 ══[ features.3 → output ]── plain`.

    A line that is too long is broken at its seams.

    chain: the key `chain` of a plan document.
    """

    chain: Sequence[Mapping[str, Any]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        names = iter(short([link["model"] for link in self.chain if "model" in link]))
        parts = [self._part(index, link, names) for index, link in enumerate(self.chain)]
        line = Text("══").join(parts) if parts else Text("no stitch")
        if line.cell_len <= options.max_width:
            yield line
            return
        indent = 0
        for index, part in enumerate(parts):
            joined = Text.assemble(" " * indent, "══" if index else "", part, "══" if index + 1 < len(parts) else "")
            yield joined if joined.cell_len <= options.max_width else Text.assemble("══" if index else "", part)
            indent = min(indent + 4, 12)

    def _part(self, index: int, link: Mapping[str, Any], names: Iterator[str]) -> Text:
        if "adapter" in link:
            return Text(f" {link['adapter']['name']}{_channels(link['adapter'])} ", style="bold magenta")
        start = link.get("from_label") or link["from"] or "input"
        end = link.get("to_label") or link["to"] or "output"
        name = (next(names), "bold cyan" if index == 0 else "bold green")
        last = index == len(self.chain) - 1 and index > 0
        inside = f"[ {start} → {end} ]"
        return Text.assemble(inside, "── ", name) if last else Text.assemble(name, " ──", inside)


def _channels(adapter: Mapping[str, Any]) -> str:
    """` 512→96`: the channels on either side."""
    given, wanted = (_side(adapter, side) for side in ("from", "to"))
    return f" {given}→{wanted}" if given and wanted else ""


def _side(adapter: Mapping[str, Any], side: str) -> int | None:
    shape = adapter.get(f"{side}_shape")
    if not shape:
        return None
    return shape[0] if adapter[f"{side}_layout"] == "NCHW" else shape[-1]
