"""What hostile inputs are made of: texts and values that mean something to whoever reads or writes them, and commands
that meet them.

A case is a function of the folder in which it is set up: it writes its files and returns the arguments. Files that run
code would make the file `canary`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Case = Callable[[Path], list[str]]

CANARY = "open('canary', 'w').close()\n"
EVIL = f"{CANARY}def make():\n    raise SystemExit(0)\n"
#: Texts that mean something to one of the places where text is written.
TEXTS = (
    'MIT""" if open("canary","w") else """', "a\\", 'a"', "\x1b[2J\x1b[31mred", "<script>alert(1)</script>",
    "[click](javascript:alert(1))", "```\n# head", "a | b", "\u202egnp.exe", "[link=javascript:x]y[/link]", "[/bold]",
    "$\\frac{$", "x" * 5000, "", "\ud800", "a\nb\r\nc", "{0}{x}", "%s%n",
)  # fmt: skip
#: Values where a number, a text, a list or a table is expected.
VALUES = (
    None, True, -1, 1.5, 10**400, float("nan"), "x", "x" * 100_000, [], [[]], {}, {"a": {}}, [0] * 10_000,
    "../../x", "/etc/passwd", "evil.py:make", "digits/evil.py:make", "timm/hf-hub:owner/name",
)  # fmt: skip
VERBS = ("eval", "cost", "inspect", "compare", "compile", "tune", "verify")


def command(verb: str, subject: str) -> list[str]:
    """A quick run of a verb on a subject."""
    return {
        "eval": ["eval", subject, "--data", "digits?limit=8"],
        "cost": ["cost", subject],
        "inspect": ["inspect", subject],
        "compare": ["compare", subject, "digits/plain", "--data", "digits?limit=8"],
        "compile": ["compile", subject, "digits/plain", "--dry-run", "--data", "digits?limit=8", "--rank", "cka"],
        "tune": ["tune", subject, "--data", "digits?limit=8", "--epochs", "1", "--batch", "8", "-o", "tuned"],
        "verify": ["verify", subject],
    }[verb]
