"""Models named by a `.pt2` file: programs saved by torch.export.save."""

from __future__ import annotations

from pathlib import Path

import torch

from stitchc.passes.data.errors import BadCheckpoint, ModelError
from stitchc.passes.data.model import Model

from .checkpoints import require
from .inputs import assumed
from .naming import Words


def load(words: Words, *, trust: bool = False) -> Model:
    """The program of a .pt2 file as a module, with the size of its example input.

    Raises:
        BadCheckpoint: missing, truncated, or no such program. ModelError: it takes something else than one image batch.
    """
    path = Path(words.body).expanduser()
    require(path)
    if not words.options.weights or words.options.num_classes is not None:
        raise ModelError(f"'{words.given}': an exported program has its weights in it", "Leave the options out.")
    try:
        program = torch.export.load(path)
    except Exception as error:  # torch raises errors of many kinds for a broken file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise BadCheckpoint(
            f"{path} ({path.stat().st_size:,} bytes) is no program that torch.export.save wrote, or it is truncated: "
            f"{reason}",
            "Write it again with torch.export.save(torch.export.export(model, (images,)), path).",
        ) from error
    arguments, keywords = program.example_inputs or ((), {})
    shapes = [tuple(value.shape) for value in arguments if isinstance(value, torch.Tensor)]
    if len(arguments) != 1 or keywords or len(shapes) != 1 or len(shapes[0]) != 4:
        raise ModelError(
            f"{path} takes {len(arguments) + len(keywords)} inputs of shapes {shapes}, not one batch of images",
            "Export it with one example input of shape [batch, channels, height, width].",
        )
    _, channels, height, width = shapes[0]
    spec = assumed((channels, height, width))
    return Model(name=path.stem, input=spec, module=program.module())
