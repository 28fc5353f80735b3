"""Text that somebody else wrote, as one line that every place can show: names, licences, notes, paths, class names."""

from __future__ import annotations

LONGEST = 2000


def one_line(text: object, longest: int = LONGEST) -> str:
    """`text` with each character that is no printable one (line ends, escape sequences, bidirectional marks, halves of
    surrogate pairs) as its escape, cut off after `longest` characters. Printable text is itself."""
    given = str(text)
    shown = given if len(given) <= longest else f"{given[: longest - 3]}..."
    return shown if shown.isprintable() else "".join(map(_shown, shown))


def _shown(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
