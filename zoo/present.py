"""Whether what words name is there, as far as the words and the disk say: without torch, which takes seconds to
import."""

from __future__ import annotations

from pathlib import Path

from stitchc.passes.data.errors import BadCheckpoint, ModelError, did_you_mean, unknown

from .digits import NAMES
from .naming import Words, parse


def check_model(words: str) -> None:
    """Refuses words that name no model, whatever the libraries hold. A folder may be an artifact, and passes.

    Raises:
        ModelError, and its kind BadCheckpoint.
    """
    if _may_be_folder(words):
        return
    parsed = parse(words)
    if parsed.form == "digits":
        check_digits(parsed)
    elif parsed.form == "code":
        require(parsed.code[0])
    elif parsed.form in ("checkpoint", "exported") and not (path := Path(parsed.body).expanduser()).is_dir():
        require(path)


def _may_be_folder(words: str) -> bool:
    """What may not be looked at is left to who opens it."""
    try:
        return Path(words).expanduser().is_dir()
    except PermissionError:
        return True
    except (OSError, ValueError, RuntimeError):  # longer than a path can be, or of characters that none has
        return False


def check_digits(words: Words) -> None:
    """Refuses a name that is none of the embedded zoo."""
    if words.body not in NAMES:
        known = [f"digits/{name}" for name in NAMES]
        raise unknown(f"digits/{words.body}", "network of the embedded zoo", known, ModelError)


def require(path: Path) -> None:
    """Refuses a path at which there is no file."""
    if path.is_file():
        return
    if path.is_dir():
        raise BadCheckpoint(f"{path} is a folder, not a file", "Name the file in it.")
    if path.exists():
        raise BadCheckpoint(f"{path} is a device or a pipe, not a file", "Name a file.")
    near = sorted(p.name for p in path.parent.iterdir() if p.is_file()) if path.parent.is_dir() else []
    hint = did_you_mean(path.name, near) if near else f"There is no folder {path.parent} either."
    raise BadCheckpoint(f"there is no file {path}", hint or "Check the path.")
