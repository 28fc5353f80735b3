"""What a verb is about: a model by its words, an artifact by its folder, images by their words."""

from __future__ import annotations

from pathlib import Path

from .passes.errors import DataError
from .passes.model import Images, Model

NOISE = "random"  # the DATA that needs nothing


def model_of(subject: str | Path | Model, *, trust_pickle: bool = False, arch: str | None = None) -> Model:
    """The model that MODEL words, or the folder of an artifact, name. A Model is itself.

    Raises:
        ModelError, OutputError: as `zoo.load` and `artifact.read`.
    """
    if isinstance(subject, Model):
        return subject
    if Path(subject).is_dir():
        from .artifact import as_model

        return as_model(subject)
    from .zoo import load

    return load(str(subject), trust_pickle=trust_pickle, arch=arch)


def arch_for(words: str | Path | Model, arch: str | None) -> str | None:
    """Of an architecture that is given for a pair of models: the one of `words` if that is a checkpoint, else None."""
    bare = str(words).split("?")[0].lower() if isinstance(words, str | Path) else ""
    return arch if bare.endswith((".pt", ".pth", ".safetensors")) else None


def images_of(data: str | Images | None, why: str) -> Images:
    """The images that DATA words name. `why` ends the sentence "no images are named ...".

    Raises:
        DataError: there are no words, or as `zoo.images`.
    """
    if data is None:
        raise DataError(f"no images are named {why}", "Name them with --data, such as digits?split=test or folder:DIR.")
    if not isinstance(data, str):
        return data
    from .zoo import images

    return images(data)


def probe_words(models: tuple[Model, ...], data: str | Images | None) -> tuple[str | Images, tuple[str, ...]]:
    """The images to compare models on, and what a report must say of that choice.

    Given words win; else what all the models' own records name; else noise, on which similarity says little.
    """
    if data is not None:
        return data, ()
    named = {model.data for model in models}
    if len(named) == 1 and None not in named:
        return str(named.pop()), ()
    return NOISE, ("Similarity was taken on noise: no images were named. Give --data to rank candidates on real ones.",)
