"""Where in the text of a recipe a key stands. TOML's own parser does not say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)
_TRIED = 20  # lines that look like the key, of which some may stand inside of a longer text


@dataclass(frozen=True)
class Lines:
    """The lines of a recipe. where: names the recipe in messages. text: has been read as TOML before."""

    text: str
    where: str

    def place(self, key: str, training: int | None = None) -> str:
        """`line 4 of the recipe recipe.toml`, for a key of the recipe, or of its table [[tune]] of that number; the
        recipe alone where the key cannot be found."""
        line = self.of(key, training)
        return f"line {line} of {self.where}" if line else self.where

    def of(self, key: str, training: int | None = None) -> int | None:
        """The number of the line, from 1."""
        begin, end = self._table(training)
        quoted = re.escape(key)
        sought = re.compile(rf"^[ \t]*(?:{quoted}|\"{quoted}\"|'{quoted}')[ \t]*[=.]", re.MULTILINE)
        place = next(self._statements(sought, begin, end), None)
        return None if place is None else self.text.count("\n", 0, place) + 1

    def _table(self, training: int | None) -> tuple[int, int]:
        """Where the keys of the recipe itself stand, or those of a training."""
        headers = list(self._statements(_TABLE, 0, len(self.text)))
        edges = [0, *headers, len(self.text)]
        if training is None:
            return edges[0], edges[1]
        trainings = [place for place in headers if re.match(r"[ \t]*\[\[[ \t]*tune", self.text[place:])]
        if training >= len(trainings):
            return 0, len(self.text)
        begin = trainings[training]
        return begin, next(edge for edge in edges if edge > begin)

    def _statements(self, sought: re.Pattern[str], begin: int, end: int) -> Iterator[int]:
        """Where a statement begins with what is sought: what stands before it is TOML by itself, so that it does not
        stand inside of a text or a list of several lines."""
        for tried, match in enumerate(sought.finditer(self.text, begin, end)):
            if tried == _TRIED:
                return
            try:
                tomllib.loads(self.text[: match.start()])
            except ValueError:
                continue
            yield match.start()
