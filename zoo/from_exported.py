"""Models named by a `.pt2` file: programs saved by torch.export.save."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from stitchc.passes.data.errors import BadCheckpoint, ModelError
from stitchc.passes.data.model import Model

from . import programs
from .inputs import assumed
from .naming import Words
from .present import require

_MOST_REPEATED = 4  # times that a program may hold the bytes of its file, in tensors that share them


def load(words: Words, *, trust: bool = False) -> Model:
    """The program of a .pt2 file as a module, with the size of its example input.

    Raises:
        BadCheckpoint: missing, damaged, or no such program. UnsafeCheckpoint: it is more than data, without `trust`.
        ModelError: it takes something else than one image batch.
    """
    path = Path(words.body).expanduser()
    require(path)
    if not words.options.weights or words.options.num_classes is not None:
        raise ModelError(f"'{words.given}': an exported program has its weights in it", "Leave the options out.")
    content = path if trust else programs.checked(path)
    logger, unsaid = logging.getLogger("torch.export"), _Unsaid()
    logger.addFilter(unsaid)
    try:
        program = torch.export.load(content)
    except Exception as error:  # torch raises errors of many kinds for a broken file
        told = unsaid.errors[0] if unsaid.errors else error
        reason = (str(told).strip().splitlines() or [type(told).__name__])[0]
        raise BadCheckpoint(
            f"{path} ({path.stat().st_size:,} bytes) is no program that torch.export.save wrote, or it is truncated: "
            f"{reason}",
            "Write it again with torch.export.save(torch.export.export(model, (images,)), path).",
        ) from error
    finally:
        logger.removeFilter(unsaid)
    arguments, keywords = program.example_inputs or ((), {})
    shapes = [tuple(value.shape) for value in arguments if isinstance(value, torch.Tensor)]
    if len(arguments) != 1 or keywords or len(shapes) != 1 or len(shapes[0]) != 4:
        raise ModelError(
            f"{path} takes {len(arguments) + len(keywords)} inputs of shapes {shapes}, not one batch of images",
            "Export it with one example input of shape [batch, channels, height, width].",
        )
    _check_bytes(program, path)
    _, channels, height, width = shapes[0]
    if wanted := words.options.input:
        _check_size(program, wanted, (channels, height, width), words.given)
    return Model(name=path.stem, input=assumed((channels, height, width)), module=program.module())


class _Unsaid(logging.Filter):
    """Keeps the errors that torch would print, with tracebacks and texts of the file, before it raises another."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[BaseException] = []

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None:
            self.errors.append(record.exc_info[1])
        return False


def _check_bytes(program: Any, path: Path) -> None:
    """Refuses tensors that would be larger, made whole, than the file that they are in."""
    tensors = [value for value in (program.state_dict | program.constants).values() if isinstance(value, torch.Tensor)]
    whole, size = sum(value.numel() * value.element_size() for value in tensors), path.stat().st_size
    if whole > _MOST_REPEATED * size:
        raise BadCheckpoint(f"{path} has {size:,} bytes, and its tensors would take {whole:,}", "Export it again.")


def _check_size(program: Any, wanted: tuple[int, ...], own: tuple[int, ...], given: str) -> None:
    """Refuses images of a size that the program was not exported for."""
    name = program.graph_signature.user_inputs[0]
    shape = next(node.meta["val"].shape for node in program.graph.nodes if node.name == name)[1:]
    if any(isinstance(side, int) and side != asked for side, asked in zip(shape, wanted, strict=True)):
        raise ModelError(
            f"'{given}': the program takes images of {'x'.join(map(str, own))} and no others",
            "Export it with dynamic_shapes for height and width, or leave input= out.",
        )
