"""What was found of a model, as a line of a file that grows: JSON lines, one a model, one a run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..passes.data.errors import InputError, OutputError
from ..zoo import foreign
from ..zoo.foreign import characters, listed, mapping, number, optional, table, whole

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


_NAME, _COUNT = characters(), optional(whole(0, 2**63))
_OF_MODEL = table({
    "model": _NAME, "params": _COUNT, "macs": _COUNT, "cuts": _COUNT, "stitchnet_cuts": _COUNT,
    "layouts": mapping(whole(0, 10**9), keys=r"[\w+-]{1,20}"), "unstitchable": _COUNT, "frontend": optional(_NAME),
    "nodes": _COUNT, "lines": _COUNT, "differences": mapping(number(), 100), "notes": listed(_NAME, most=10_000),
    "steps": mapping(number(0, 1e9), 100), "failed": optional(_NAME), "reason": optional(_NAME),
}, required=("model",), others=True)  # fmt: skip
_OF_RUN = table({
    "date": _NAME, "machine": _NAME, "versions": mapping(_NAME), "note": _NAME,
}, required=("date", "machine", "versions"), others=True)  # fmt: skip


def _line(value: Any, place: str) -> dict[str, Any]:
    if isinstance(value, dict) and "run" in value:
        return {"run": _OF_RUN(value["run"], "run")}
    return _OF_MODEL(value, place)


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
    for place, (line, last) in enumerate(_lines(path), 1):
        if not line:
            continue
        try:
            found = _line(foreign.json_of(line), "it")
        except foreign.Fault as error:
            if last:  # no newline at its end: whoever wrote it was stopped
                continue
            raise InputError(
                f"{path}, line {place}, is no line of `stitchc zoo check`: {error}", "Name another file with --out."
            ) from error
        if "run" in found:
            runs.append(found["run"])
        else:
            models[found["model"]] = Checked(**found)
    return History(models, tuple(runs))


def _lines(path: Path) -> Iterator[tuple[bytes, bool]]:
    """The lines of a file, and whether each is the last one, and has no end."""
    try:
        if not path.is_file():
            raise OSError(0, "it is a folder, a device or a pipe")
        content = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "Name another file with --out.") from error
    yield from ((line, number == len(content)) for number, line in enumerate(content, 1))


def append(path: Path, line: Mapping[str, Any]) -> None:
    """Adds one line, whole or not at all as far as other writers see; one that was cut off before is dropped.

    Raises:
        OutputError: the file cannot be written.
    """
    data = json.dumps(line, separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
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
