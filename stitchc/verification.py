"""Checking an artifact again, long after the compile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from . import artifact
from .progress import Progress, Silent, stage

if TYPE_CHECKING:
    from .passes.data.hybrid import Verified


def verify(
    folder: Path | str,
    *,
    batches: Sequence[int] = (1, 3),
    tolerance: float = 1e-4,
    seed: int = 0,
    progress: Progress | None = None,
) -> Verified | dict[str, Verified]:
    """Holds an artifact's files against their hashes, then its ONNX file against its module, on noise. Of a
    family, what was found of each member, by its name.

    batches: the batch sizes that are tried. tolerance: the largest difference allowed, relative to the largest absolute
    output. seed: of the noise.

    Raises:
        OutputError: the folder is no artifact. InputError: no batch sizes, or a tolerance that is none.
        VerificationError: a file was changed or cannot be run, or they differ.
    """
    sizes = tuple(batches) if isinstance(batches, Sequence) else (batches,)
    record = artifact.checked(folder)
    with stage(progress or Silent(), f"verifying {folder}"):
        size = record["input"]["size"]
        if artifact.is_family(record):
            from .passes.verify.family import verify_family_folder

            names = [member["name"] for member in record["members"]]
            return verify_family_folder(Path(folder), names, size, batches=sizes, tolerance=tolerance, seed=seed)
        from .passes.verify import verify_folder

        return verify_folder(Path(folder), size, sizes, tolerance, seed)
