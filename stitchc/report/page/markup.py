"""The one writer of HTML: text stays text in it, whoever wrote it."""

from __future__ import annotations

import html
import json
import re
from typing import Any

from ...passes.data.printable import one_line

#: Elements without content.
_VOID = {"meta", "br", "img", "wbr"}


class Html(str):
    """Markup, which is written as it is; any other text is escaped."""

    __slots__ = ()


def tag(name: str, /, *children: object, **attributes: object) -> Html:
    """An element. children: markup, and text, which is escaped; None is nothing. attributes: `class_`, `aria_label` and
    the like, escaped unless they are markup; those that are None or False are left out, and of one that is True only
    the name is written."""
    said = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{join(*children)}</{name}>")


def join(*children: object, between: str = "") -> Html:
    """Markup and text, one after the other."""
    shown = [child if isinstance(child, Html) else text(child) for child in children if child is not None]
    return Html(Html(between).join(shown))


def text(said: object) -> Html:
    """One line of plain text."""
    return Html(html.escape(one_line(said), quote=True))


def name(said: object) -> Html:
    """One line that may be broken where the parts of a name meet, as in `a_long/name.of_a.layer`."""
    return Html(re.sub(r"(?<=[_/:@])(?=\w)|(?<=\.)(?=[^\W\d])", "<wbr>", text(said)))


def lines(said: str) -> Html:
    """Plain text with its line ends, each line made printable."""
    return Html("\n".join(text(line) for line in said.split("\n")))


def data(value: Any, id: str) -> Html:
    """A JSON document for the scripts of a page: inert, and without a character that HTML gives a meaning to."""
    said = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    for mark in "<>&":
        said = said.replace(mark, f"\\u{ord(mark):04x}")
    return Html(f'<script type="application/json" id="{text(id)}">{said}</script>')


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    return f' {name}="{value if isinstance(value, Html) else text(value)}"'
