"""What was found of a model, as a line of a file that grows: JSON lines, one a model, one a run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..passes.data.errors import InputError, OutputError

#: In order. A model that fails one goes no further.
STEPS = ("load", "trace", "equal", "cuts", "cost", "emit", "run", "onnx", "ort")


@dataclass(frozen=True)
class Checked:
    """How far a model came.

    params, macs: of one image, None where counting was not reached. cuts, stitchnet_cuts: under each rule.
    layouts: how many cuts hold a value of each layout ("NLC+1" has one prefix token). unstitchable: values that alone
    cross but have no layout that an adapter could meet. frontend: "record" or "export". nodes: of the graph.
    lines: of the generated `model.py`. differences: the largest ones between outputs, relative to the largest output:
    "graph" from the eager model, "module" and "onnx" from the graph.
    steps: processor seconds of each that was run. failed: the step that the model did not pass, or None; reason: why.
    """

    model: str
    params: int | None = None
    macs: int | None = None
    cuts: int | None = None
    stitchnet_cuts: int | None = None
    layouts: Mapping[str, int] = field(default_factory=dict)
    unstitchable: int | None = None
    frontend: str | None = None
    nodes: int | None = None
    lines: int | None = None
    differences: Mapping[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    steps: Mapping[str, float] = field(default_factory=dict)
    failed: str | None = None
    reason: str | None = None

    def passed(self, step: str) -> bool | None:
        """Whether the model passed a step; None when it was not tried."""
        if step == self.failed:
            return False
        return True if step in self.steps else None

    @property
    def library(self) -> str:
        """What its name begins with: "timm", "torchvision", "digits"; "other" for files."""
        library, slash, _ = self.model.partition("/")
        return library if slash and library in ("timm", "torchvision", "digits") else "other"


@dataclass(frozen=True)
class History:
    """A file of lines, read: the last line of every model, and of every run its date, machine and versions."""

    models: Mapping[str, Checked] = field(default_factory=dict)
    runs: tuple[Mapping[str, Any], ...] = ()


def read(path: Path) -> History:
    """The history in a file; of one that does not exist, an empty one. A last line that was cut off is left out.

    Raises:
        InputError: a line is of another kind.
    """
    if not path.exists():
        return History()
    models: dict[str, Checked] = {}
    runs: list[Mapping[str, Any]] = []
    known = {f.name for f in fields(Checked)}
    lines = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            found = json.loads(line)
            if "run" in found:
                runs.append(found["run"])
            else:
                models[found["model"]] = Checked(**{k: v for k, v in found.items() if k in known})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if number == len(lines):  # no newline at its end: whoever wrote it was stopped
                continue
            raise InputError(
                f"{path}, line {number}, is no line of `stitchc zoo check`: {error}", "Name another file with --out."
            ) from error
    return History(models, tuple(runs))


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Adds one line, whole or not at all as far as other writers see; one that was cut off before is dropped.

    Raises:
        OutputError: the file cannot be written.
    """
    data = json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            _drop_half_line(file)
            _write_whole(file, data)
        finally:
            os.close(file)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}", "Name another file with --out.") from error


def _write_whole(file: int, data: bytes) -> None:
    """A disk that is nearly full takes a part of a line, and says so at the next only."""
    try:
        while data:
            data = data[os.write(file, data) :]
    except OSError:
        _drop_half_line(file)
        raise


def as_line(checked: Checked) -> dict[str, Any]:
    """The record as a JSON object without empty fields."""
    return {k: v for k, v in asdict(checked).items() if v not in ({}, ()) or k == "steps"}


def _drop_half_line(file: int) -> None:
    size = os.lseek(file, 0, os.SEEK_END)
    if size and os.pread(file, 1, size - 1) != b"\n":
        whole = os.pread(file, size, 0).rfind(b"\n") + 1
        os.ftruncate(file, whole)
