"""What a verb is about: a model by its words, an artifact by its folder, images by their words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .passes.data.errors import DataError
from .passes.data.model import Images, Model
from .progress import Progress, stage

if TYPE_CHECKING:
    from .options import CompareOptions, CompileOptions

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


def load_all(
    given: Sequence[str | Path | Model], options: CompileOptions | CompareOptions, progress: Progress
) -> list[Model]:
    """The models that are given, by their words or loaded, one after the other."""
    found = []
    for model in given:
        with stage(progress, f"loading {name_of(model)}"):
            arch = arch_for(model, options.arch)
            found.append(model_of(model, trust_pickle=options.trust_pickle, arch=arch))
    return found


def name_of(subject: str | Path | Model) -> str:
    return subject.name if isinstance(subject, Model) else str(subject)


def images_of(data: str | Images | None, why: str) -> Images:
    """The images that DATA words name. `why` ends the sentence "no images are named ...".

    Raises:
        DataError: there are no words, or as `zoo.images`.
    """
    if data is None:
        raise DataError(f"no images are named {why}", "Name them with `data`, such as digits?split=test or folder:DIR.")
    if not isinstance(data, str):
        return data
    from .zoo import images

    return images(data)


def test_split(images: Images) -> str | None:
    """The words for other images of the same kind, where those are known: the digits' test split."""
    return "digits?split=test" if images.name.split("?")[0] == "digits" else None


def probe_words(models: Sequence[Model], data: str | Images | None) -> str | Images:
    """The images to compare models on: those given; else what all the models' own records name; else noise."""
    if data is not None:
        return data
    named = {model.data for model in models}
    return str(named.pop()) if len(named) == 1 and None not in named else NOISE


def probe(models: Sequence[Model], data: str | Images | None, limit: int) -> tuple[Images, tuple[str, ...]]:
    """The images to compare models on, `limit` of them at most unless the words state their own number, and what a
    report must say of them."""
    words = probe_words(models, data)
    if isinstance(words, str) and "limit=" not in words:
        words = f"{words}{'&' if '?' in words else '?'}limit={limit}"
    images = images_of(words, "to compare on")
    if not images.noise:
        return images, ()
    cause = "no images were named" if data is None else f"'{images.name}' is noise"
    return images, (f"Similarity was taken on noise: {cause}. Give `data` to rank candidates on real ones.",)
