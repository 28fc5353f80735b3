"""Where all came from: models with their licences, versions, and the recipe that makes it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .from_rich import scrolling
from .markup import Html, join, lines, tag

_DIGEST = 16  # characters of a SHA-256 that are shown


@dataclass(frozen=True)
class Provenance:
    """record: a plan document. versions: by the name of what has them."""

    record: Mapping[str, Any]
    versions: Mapping[str, str]

    def html(self) -> Html:
        """A table of the models, and one of versions."""
        head = tag(
            "tr", *(tag("th", name, scope="col") for name in ("model", "source", "licence", "SHA-256 of weights"))
        )
        rows = (
            tag("tr", tag("td", model["name"]), tag("td", model["source"] or "-"),
                tag("td", model["licence"] or "none stated"), tag("td", _digest(model["sha256"])))
            for model in self.record["models"]
        )  # fmt: skip
        models = scrolling(tag("table", tag("caption", "Models"), tag("thead", head), tag("tbody", *rows)), "Models")
        said = ", ".join(f"{name} {version}" for name, version in self.versions.items() if version)
        return join(models, tag("p", tag("b", "Versions: "), said, class_="dim"))


def _digest(sha256: str | None) -> Html:
    return tag("code", f"{sha256[:_DIGEST]}…", title=sha256) if sha256 else join("-")


@dataclass(frozen=True)
class Recipe:
    """text: of recipe.toml."""

    text: str

    def html(self) -> Html:
        """The text, which a button copies."""
        return tag("div", tag("pre", lines(self.text.rstrip("\n")), tabindex=0), class_="recipe")
