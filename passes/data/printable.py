"""Text that somebody else wrote (names, licences, notes, paths) on its way into something that gives it a meaning.

A writer for each place: `one_line` for terminals and records, `quoted` and `docstring` for Python, `markdown`, `code`
and `fenced` for Markdown. (HTML pages are `html.escape` of one line, JSON and TOML have their own writers.)
"""

from __future__ import annotations

import re

LONGEST = 2000


def one_line(text: object, longest: int = LONGEST) -> str:
    """`text` with each character that is no printable one (line ends, escape sequences, bidirectional marks, halves of
    surrogate pairs) as its escape, cut off after `longest` characters. Printable text is itself."""
    given = str(text)
    shown = given if len(given) <= longest else f"{given[: longest - 3]}..."
    return shown if shown.isprintable() else "".join(map(_shown, shown))


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")


#: Given values within a sentence: quoted, a list, or without a space in them.
_VALUES = re.compile(
    r"(?<!\w)(?P<mark>['\"])(?=\S)(?:(?!(?P=mark)).){300,}(?P=mark)(?!\w)|\[[^\[\]]{300,}\]|\([^()]{300,}\)|\S{300,}",
    re.DOTALL,
)


def shortened(sentence: str) -> str:
    """A sentence whose long values are shown by their beginning and their number of characters."""
    return _VALUES.sub(lambda found: f"{found[0][:60]}... ({len(found[0]):,} characters)", sentence)


def quoted(text: str) -> str:
    """A literal of Python, in double quotes, that is `text`."""
    return '"' + "".join(f"\\{c}" if c in '\\"' else _shown(c) for c in text) + '"'


def docstring(text: str) -> str:
    """The inside of a triple-quoted string of Python that reads `text`, whose lines are made printable."""
    lines = "\n".join(map(one_line, text.split("\n")))
    return re.sub(r'"(?="|\Z)', r'\\"', lines.replace("\\", "\\\\"))


_MARKS = re.compile(r"[\\`*\[\]<>|&~#$]|^(?=[-+=]|\d+[.)])")  # that Markdown reads as more than themselves


def markdown(text: object) -> str:
    """One line of plain text in Markdown: no markup, no HTML, no links but what reads as a web address."""
    return _MARKS.sub(lambda mark: f"\\{mark[0]}" if mark[0] else "\u200b", one_line(text).strip())


def code(text: object) -> str:
    """One line as a code span of Markdown, within a table too."""
    shown = one_line(text)
    fence = "`" * (_longest_run(shown) + 1)
    space = " " if shown[:1] in ("`", "") or shown[-1:] == "`" else ""
    return f"{fence}{space}{shown}{space}{fence}"


def fenced(text: str) -> str:
    """Printable lines as a code block of Markdown."""
    fence = "`" * max(3, _longest_run(text) + 1)
    return f"{fence}\n{text}\n{fence}"


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)
