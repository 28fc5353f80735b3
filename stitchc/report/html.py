"""A report as one page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..passes.data.whole_file import whole_file
from .page.from_rich import fragment
from .page.library import library, own
from .page.markup import Html, join, tag
from .page.section import Section

#: Nothing is fetched from anywhere. Vega compiles its expressions, which is what `unsafe-eval` allows.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "base-uri 'none'; form-action 'none'"
)


def page(title: str, parts: Sequence[Any]) -> str:
    """The parts as a self-contained page. The same parts, the same bytes, by the same versions.

    parts: sections, to which the page links, and whatever else a section may hold.
    """
    anchors = [f"part-{k}" for k in range(len(parts))]
    titled = [(part.title, anchor) for part, anchor in zip(parts, anchors, strict=True) if isinstance(part, Section)]
    shown = [part.html(anchor) if isinstance(part, Section) else tag("section", fragment(part))
             for part, anchor in zip(parts, anchors, strict=True)]  # fmt: skip
    links = (tag("li", tag("a", name, href=f"#{anchor}")) for name, anchor in titled)
    body = tag(
        "body",
        tag("a", "Skip to the report", href="#report", class_="skip"),
        tag("header", tag("h1", title), tag("span", "A report of stitchc.", class_="dim")),
        tag("nav", tag("ul", *links), aria_label="Parts of this report") if len(titled) > 1 else None,
        tag("main", *shown, id="report"),
        tag("footer", f"Written by stitchc {__version__}."),
        *_scripts(parts),
        class_="stitchc",
    )
    return "<!DOCTYPE html>\n" + join(tag("html", _head(title), body, lang="en")) + "\n"


def _head(title: str) -> Html:
    return tag(
        "head", tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"stitchc: {title}"), tag("style", Html(own("page.css"))),
    )  # fmt: skip


def _scripts(parts: Sequence[Any]) -> list[Html]:
    """Those of the charts, where there are charts, and the page's own."""
    drawn = library() if any(getattr(part, "charts", False) for part in parts) else None
    scripts = [Html(drawn)] if drawn else []
    return [tag("script", script) for script in (*scripts, Html(own("page.js")))]


def write_page(path: Path, title: str, parts: Sequence[Any]) -> None:
    """Writes a page, whole or not at all. `plot.check_plot` says beforehand whether it may.

    Raises:
        OutputError: it cannot be written.
    """
    with whole_file(path) as part:
        part.write_text(page(title, parts), encoding="utf-8")
