"""Names for what has none: values, parameters, classes."""

from __future__ import annotations

import keyword
import re

#: Names for values without a meaning of their own; they are assigned again at every step.
NAMELESS = ("x", "y", "z")


def fresh(wish: str, taken: set[str]) -> str:
    """`wish`, or what comes next to it when it is taken."""
    if wish in NAMELESS:
        for name in NAMELESS:
            if name not in taken:
                return name
    if wish not in taken:
        return wish
    count = 2
    while f"{wish}{count}" in taken:
        count += 1
    return f"{wish}{count}"


def path_name(path: str) -> str:
    """The last part of a path that is a name: `front.layer1.0` gives `layer1`."""
    words = [word for word in path.split(".") if is_name(word)]
    return words[-1] if words else "y"


def is_name(word: str) -> bool:
    """Whether a word is a Python identifier and no keyword."""
    return word.isidentifier() and not keyword.iskeyword(word)


def identifier(text: str) -> str:
    """A name that code can have for what is called `text`: `timm/resnet50.a1_in1k` gives `resnet50_a1_in1k`."""
    word = re.sub(r"[^0-9a-z]+", "_", text.lower().rpartition("/")[2]).strip("_")[:60]
    return word if is_name(word) else f"model_{word}".rstrip("_")


def class_name(word: str) -> str:
    """`patch_embed` as `PatchEmbed`."""
    parts = [p for p in re.split(r"[^0-9A-Za-z]+", word) if p]
    name = "".join(p[0].upper() + p[1:] for p in parts) or "Block"
    return name if name[0].isalpha() else f"Block{name}"


def singular(word: str) -> str:
    """`blocks` gives `block`; what has no plural gives `layer`."""
    if word.endswith("s") and not word.endswith("ss") and is_name(word[:-1]):
        return word[:-1]
    return "layer" if word != "layer" else "module"
