"""Artifacts: the folder that comes out of a compile, written whole or not at all, and read again with its checks."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import folder as folders
from .documents.reread import input_of
from .documents.schema import FILES, ONNX, plan
from .env import versions
from .passes.data.errors import InputError, OutputError, VerificationError
from .passes.data.model import Model
from .zoo import foreign

if TYPE_CHECKING:
    from torch import nn

PLAN = "plan.json"
_CHANGED = (
    "Compile it again; or, if you know who changed it and why, run it with `trust=True`, which verify does not take."
)


@contextmanager
def staging(out: Path | str, force: bool = False, keep: Path | None = None) -> Iterator[Path]:
    """A folder in which to make an artifact that becomes `out` when the block ends well, and vanishes otherwise.

    force: an artifact of stitchc in `out` may be replaced; files in it that stitchc did not write are kept.
    keep: where the replaced artifact goes; it is removed without.

    Raises:
        OutputError: `out` exists and is not empty, and is no artifact or `force` was not given; or cannot be written.
    """
    with folders.staging(out, ours=replaceable(Path(out), force), keep=keep) as folder:
        yield folder


def write(
    folder: Path, record: dict[str, Any], *, recipe: str, report: Sequence[Any], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Completes an artifact: to the files that the passes wrote into `folder` it adds plan.json, recipe.toml,
    README.md and report.html. The same arguments and versions give the same bytes, but for the keys `seconds` and
    `date` of plan.json. Returns the record that plan.json holds: a plan document, and what is known of the files.

    recipe: the text of recipe.toml. report: the parts of report.html (see `report.html.page`).
    """
    from .families.readme import family_readme
    from .readme import readme
    from .report.html import page

    shutil.rmtree(
        folder / "__pycache__", ignore_errors=True
    )  # left by whoever imported the generated module to check it
    (folder / "recipe.toml").write_text(recipe, encoding="utf-8")
    (folder / "README.md").write_text((family_readme if is_family(record) else readme)(record), encoding="utf-8")
    (folder / "report.html").write_text(page(_title(record), report), encoding="utf-8")
    # Some libraries write for their user's eyes only; an artifact is as readable as any file that its user makes.
    for name in _files_in(folder):
        (folder / name).chmod((folder / "recipe.toml").stat().st_mode & 0o777)
    record = record | {
        "files": {name: sha256(folder / name) for name in _files_in(folder)},
        "versions": versions(),
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(record, indent=1, allow_nan=False) + "\n"
    _check_readable(text)
    (folder / PLAN).write_text(text, encoding="utf-8")
    return record


def _files_in(folder: Path) -> list[str]:
    """The files in a folder that an artifact's record lists, if they are its own, in order."""
    onnx = folder / ONNX
    more = sorted(f"{ONNX}/{path.name}" for path in onnx.iterdir()) if onnx.is_dir() else []
    return [*(name for name in FILES if (folder / name).is_file()), *more]


def is_family(record: Mapping[str, Any]) -> bool:
    """Whether a record is that of a family, and not of one network."""
    return "members" in record


def _check_readable(text: str) -> None:
    """What no verb could read again is not written.

    Raises:
        VerificationError: the text is no plan as `read` takes it.
    """
    try:
        plan(foreign.json_of(text), "")
    except foreign.Fault as error:
        raise VerificationError(
            f"the plan of this artifact could not be read again: {error}",
            "Where it hands on what the plan of another artifact says, such as notes of many megabytes, shorten those; "
            "otherwise this is a fault of stitchc: report it.",
        ) from error


def _title(record: Mapping[str, Any]) -> str:
    if is_family(record):
        return f"A family of {' and '.join(model['name'] for model in record['models'])}"
    chain = record["chain"]
    names = dict.fromkeys((chain[0]["model"], chain[-1]["model"]) if chain else ("a plan",))
    title = " to ".join(names)
    if len(names) == 1 and len(chain) > 1:
        title = f"{title}, shortened"
    return f"{title}, tuned" if record.get("tuned") else title


def read(folder: Path | str) -> dict[str, Any]:
    """The record in an artifact's plan.json: of the types and ranges that `documents/schema.py` states.

    Raises:
        OutputError: the folder is no artifact of stitchc.
    """
    if not isinstance(folder, str | Path):
        raise OutputError(f"a {type(folder).__name__} is no folder of an artifact", "Give its path.")
    path = Path(folder) / PLAN
    try:
        if not path.is_file():
            raise FileNotFoundError(path)
        with path.open("rb") as file:
            record = foreign.json_of(file.read(foreign.MOST_BYTES + 1))
    except FileNotFoundError as error:
        raise OutputError(
            f"{folder} is no artifact: it has no {PLAN}", "`stitchc compile A B -o DIR` makes one."
        ) from error
    except (OSError, foreign.Fault) as error:
        raise OutputError(f"{path} cannot be read: {error}", "Compile the artifact again.") from error
    if not _is_ours(record):
        raise OutputError(f"{path} is not a plan of stitchc", "`stitchc compile A B -o DIR` makes an artifact.")
    return foreign.read(plan, record, str(path), OutputError, "Compile the artifact again.")


def checked(folder: Path | str, *, trust: bool = False) -> dict[str, Any]:
    """The record of an artifact whose files are all there and are those that were written: what every verb asks for
    before it runs model.py. trust: take the files as they are.

    Raises:
        OutputError: the folder is no artifact. VerificationError: a file is missing or was changed.
    """
    record = read(folder)
    if not trust:
        check_hashes(folder, record)
    return record


def check_hashes(folder: Path | str, record: Mapping[str, Any]) -> None:
    """Holds the files of an artifact against the hashes in its record.

    Raises:
        VerificationError: a file is missing, is not what was written, or is one that the record does not know.
    """
    present = _files_in(Path(folder)) if is_family(record) else FILES
    for name in dict.fromkeys([*FILES, *record["files"], *present]):
        path, expected = Path(folder) / name, record["files"].get(name)
        if expected is None:
            if path.exists():
                raise VerificationError(f"{path} is no file that stitchc wrote: {PLAN} does not list it", _CHANGED)
            continue
        if not path.is_file():
            raise VerificationError(f"{path} is missing", "Compile the artifact again; its recipe.toml says how.")
        if sha256(path) != expected:
            raise VerificationError(
                f"{path} is not the file that stitchc wrote: its SHA-256 differs from the one in {PLAN}", _CHANGED
            )


def load(folder: Path | str, *, trust: bool = False) -> nn.Module:
    """The network of an artifact, in eval mode: what its own `model.load()` returns. This runs its model.py. Of a
    family it is the `StitchedFamily`, with its largest member at work.

    trust: also of an artifact that was changed after it was written.

    Raises:
        OutputError: the folder is no artifact of stitchc. VerificationError: it was changed, or cannot be loaded.
    """
    checked(folder, trust=trust)
    from .passes.emit.load import load_module

    return load_module(Path(folder)).eval()


def as_model(folder: Path | str, *, trust: bool = False) -> Model:
    """An artifact as a Model: with the input that its front wants, named by its folder. Images that its record names
    are its data where a file may name them: see `zoo.trust`.

    Raises:
        InputError: it is a family, which is several networks.
    """
    from .zoo.trust import data_in_file

    record = checked(folder, trust=trust)
    if is_family(record):
        raise InputError(
            f"{folder} is a family of {len(record['members'])} networks, and one is asked for",
            f"Extract one: `stitchc family extract {folder} {record['members'][-1]['name']} -o OUT`.",
        )
    measured = record["accuracy"] or {}
    return Model(
        Path(folder).resolve().name,
        input_of(record),
        source=str(folder),
        data=data_in_file(measured.get("data"), trust=trust),
        accuracy=measured.get("top1"),
        class_names=tuple(names) if (names := record["class_names"]) else None,
        module=load(folder, trust=trust),
    )


def sha256(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def replaceable(out: Path, force: bool) -> list[str]:
    """The files in `out` that may be replaced.

    Raises:
        OutputError: as `staging`.
    """
    try:
        if not out.is_dir() or not any(out.iterdir()):
            return []
    except OSError as error:
        raise OutputError(f"{out} cannot be read: {error.strerror}", "Choose another folder: `out`.") from error
    try:
        record = read(out)
    except OutputError as error:
        raise OutputError(
            f"{out} exists, is not empty and holds no artifact of stitchc", "Choose another folder: `out`."
        ) from error
    if not force:
        raise OutputError(
            f"{out} holds an artifact already", "Replace it with `force=True`, or choose another folder: `out`."
        )
    # The reader takes no names but those of FILES; a folder of such a name is somebody else's.
    known = [name for name in (PLAN, *record["files"]) if "/" not in name and (out / name).is_file()]
    folders = [ONNX] if _holds_only(out / ONNX, record["files"]) else []
    return [*known, *folders, *(["__pycache__"] if _is_bytecode(out / "__pycache__") else [])]


def _holds_only(folder: Path, files: Mapping[str, str]) -> bool:
    """Whether a folder of an artifact holds nothing but files that its record lists."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return all(path.is_file() and f"{folder.name}/{path.name}" in files for path in folder.iterdir())


def _is_bytecode(folder: Path) -> bool:
    """Whether a folder holds nothing but what Python makes again when it needs it."""
    return not folder.is_symlink() and folder.is_dir() and all(path.suffix == ".pyc" for path in folder.iterdir())


def _is_ours(record: Any) -> bool:
    return isinstance(record, dict) and {"schema", "files"} <= set(record) and bool({"chain", "members"} & set(record))
