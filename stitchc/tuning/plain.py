"""A model that is no artifact yet, to be trained like one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from .. import artifact
from ..inputs import archs_for, images_of, model_of, name_of
from ..passes.data.errors import InputError
from ..passes.data.model import Model
from ..progress import Progress, stage
from .settings import TuneOptions
from .taught import no_origins

#: All of a model: a chain of one fragment.
WHOLE = "A:.."


@contextmanager
def plain(
    subject: str | Path | Model, options: TuneOptions, progress: Progress
) -> Iterator[tuple[Path, Model, TuneOptions]]:
    """The model compiled to an artifact of one fragment, which is gone when the block ends; the model; and the options
    with what its record says.

    Raises:
        InputError: there is no folder to write to, no data, or no teacher where one is asked for; or as `compile`.
    """
    with stage(progress, f"loading {name_of(subject)}"):
        (arch,) = archs_for([subject], options.arch)
        model = model_of(subject, trust=options.trust, arch=arch)
    if options.out is None:
        raise InputError(f"{model.name} is no artifact, whose place the tuned one could take", "Name a folder: `out`.")
    if options.distill:
        raise no_origins(model, options)
    artifact.replaceable(Path(options.out), options.force)
    data = options.data if options.data is not None else model.data
    with stage(progress, "loading images"):
        images = images_of(data, "to train on")
    from ..compile import compile

    with TemporaryDirectory(prefix="stitchc-") as scratch:
        folder = Path(scratch) / model.name.replace("/", "-")
        compile(
            subject, chain=WHOLE, data=images, rivals="none", seed=options.seed, trust=options.trust, arch=options.arch,
            out=folder, progress=progress,
        )  # fmt: skip
        yield folder, model, replace(options, data=images, arch=None)
