"""Checking an artifact again, long after the compile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import artifact
from .passes.errors import VerificationError
from .progress import Progress, Silent, stage

if TYPE_CHECKING:
    from torch import Tensor

    from .passes.plan import Verified

TOLERANCE = 1e-4  # of the largest absolute output


def verify(
    folder: Path | str,
    *,
    batches: Sequence[int] = (1, 3),
    seed: int = 0,
    tolerance: float = TOLERANCE,
    progress: Progress | None = None,
) -> Verified:
    """Holds an artifact's files against their hashes, then its module against ONNX Runtime, on noise.

    In the answer `module_*` is how far images in a batch are from the same images alone, `onnx_*` how far ONNX Runtime
    is from the module (None where there is no ONNX file).

    Raises:
        OutputError: the folder is no artifact.
        VerificationError: a file was changed, or outputs differ by more than `tolerance` of the largest.
    """
    record = artifact.read(folder)
    artifact.check_hashes(folder, record)
    with stage(progress or Silent(), f"verifying {folder}"):
        return _verify(Path(folder), record, batches, seed, tolerance)


def _verify(folder: Path, record: Mapping[str, Any], batches: Sequence[int], seed: int, tolerance: float) -> Verified:
    import torch

    network, onnx = artifact.load(folder), _session(folder)
    generator = torch.Generator().manual_seed(seed)
    size = record["input"]["size"]
    alone, other = _Difference(), _Difference()
    with torch.inference_mode():
        for count in batches:
            x = torch.randn(count, *size, generator=generator)
            y = network(x)
            alone.add(torch.cat([network(image) for image in x.split(1)]), y)
            if onnx:
                other.add(torch.from_numpy(onnx.run(None, {"input": x.numpy()})[0]), y)
    for name, difference in (("the module, image by image,", alone), ("ONNX Runtime", other)):
        if difference.relative > tolerance or difference.disagreed:
            raise VerificationError(
                f"{folder}: {name} differs from the module by {difference.relative:.1e} of the largest output "
                f"and on the class of {difference.disagreed} of {difference.images} images",
                "Compile the artifact again; if it stays so, report it with `stitchc env`.",
            )
    return _verified(alone, other if onnx else None, batches)


class _Difference:
    """The largest difference over all that was added."""

    def __init__(self) -> None:
        self.absolute = self.relative = 0.0
        self.images = self.disagreed = 0

    def add(self, found: Tensor, meant: Tensor) -> None:
        absolute = float((found - meant).abs().max())
        self.absolute = max(self.absolute, absolute)
        self.relative = max(self.relative, absolute / max(float(meant.abs().max()), 1e-12))
        self.disagreed += int((found.argmax(1) != meant.argmax(1)).sum())
        self.images += len(meant)


def _session(folder: Path) -> Any:
    path = folder / "model.onnx"
    if not path.is_file():
        return None
    import onnxruntime

    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def _verified(alone: _Difference, other: _Difference | None, batches: Sequence[int]) -> Verified:
    from .passes.plan import Verified

    images = alone.images
    agreed = (images - max(alone.disagreed, other.disagreed if other else 0)) / images
    onnx = (other.absolute, other.relative) if other else (None, None)
    return Verified(alone.absolute, alone.relative, *onnx, agreed, tuple(batches))
