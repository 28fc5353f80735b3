"""What a verb is about: a model by its words, an artifact by its folder, images by their words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .classes import for_models
from .passes.data.errors import DataError, InputError, ModelError
from .passes.data.model import Images, Model
from .progress import Progress, stage
from .zoo.naming import REGISTRIES, parse

if TYPE_CHECKING:
    from .families.options import FamilyOptions
    from .options import CompareOptions, CompileOptions
    from .searches.options import SearchOptions, SpaceOptions

NOISE = "random"  # the DATA that needs nothing
_LETTER = re.compile(r"[A-Z]=.")


def model_of(subject: str | Path | Model, *, trust: bool = False, arch: str | Sequence[str] | None = None) -> Model:
    """The model that MODEL words, or the folder of an artifact, name. A Model is itself; of one in training mode a copy
    in eval mode, with the very same weights.

    Raises:
        ModelError, OutputError: as `zoo.load` and `artifact.read`.
    """
    check_subject(subject)
    if isinstance(subject, Model):
        from .passes.data.scores import with_eval_mode

        return with_eval_mode(subject)
    named = arch if arch is None or isinstance(arch, str) else archs_for([subject], arch)[0]
    if is_artifact(subject):
        if named:
            raise InputError(
                f"{subject} is an artifact, and has no use for the architecture '{named}'", "Leave it out."
            )
        from .artifact import as_model

        return as_model(subject, trust=trust)
    from .zoo import load

    return load(str(subject), trust=trust, arch=named)


def archs_for(subjects: Sequence[str | Path | Model], arch: str | Sequence[str] | None) -> list[str | None]:
    """The architecture given for each of several models, as the option `arch` says it: `A=NAME` for the first,
    `B=NAME` for the second; names alone for the checkpoints among them in order, a single one for all of them.

    Raises:
        InputError: more of them than there are checkpoints, two for one model, or one for something else.
    """
    given = [arch] if isinstance(arch, str) else list(arch or ())
    found: list[str | None] = [None] * len(subjects)
    open_to = [index for index, subject in enumerate(subjects) if _is_checkpoint(subject)]
    for words in [words for words in given if _LETTER.match(words)]:
        index = ord(words[0]) - ord("A")
        if index >= len(subjects):
            raise InputError(f"`arch={words!r}`: there is no model {words[0]}", f"There are {len(subjects)} models.")
        if index not in open_to:
            raise InputError(
                f"`arch={words!r}`: '{subjects[index]}' is no checkpoint, or has its architecture already",
                "Leave it out.",
            )
        found[index] = words[2:]
        open_to.remove(index)
    in_order = [words for words in given if not _LETTER.match(words)]
    if len(in_order) == 1:
        in_order *= max(1, len(open_to))
    if len(in_order) > len(open_to):
        raise InputError(
            f"`arch` names {len(in_order)} architectures for {len(open_to)} checkpoints: {', '.join(in_order)}",
            "Name one for each checkpoint, in order, or as A=NAME and B=NAME.",
        )
    for index, words in zip(open_to, in_order, strict=False):
        found[index] = words
    return found


def _is_checkpoint(subject: str | Path | Model) -> bool:
    if isinstance(subject, Model) or is_artifact(subject):
        return False
    return parse(str(subject)).form == "checkpoint"


def is_artifact(subject: str | Path | Model) -> bool:
    """Whether it is the folder of an artifact. A registry's name is none: a folder of that name is `./digits/x`."""
    check_subject(subject)
    if isinstance(subject, Model):
        return False
    named = isinstance(subject, str) and subject.partition("/")[0] in REGISTRIES and "/" in subject
    return not named and Path(subject).is_dir()


def check_subject(subject: object) -> None:
    """Holds what Python was given for a model to what that may be: words, a path, or a Model.

    Raises:
        ModelError: it is something else, such as a bare module, of which nobody says what its input must be.
    """
    if isinstance(subject, str | Path | Model):
        return
    hint = "Give its words, such as 'nets.py:make', or a stitchc.passes.Model."
    if isinstance(subject, list | tuple):
        hint = "Give the models one after the other, and not as a list."
    if hasattr(subject, "state_dict"):
        hint = (
            "Say what its input must be: stitchc.passes.Model('net', stitchc.passes.InputSpec((3, 224, 224), mean, "
            "std), module=net), with a mean and a deviation for each channel."
        )
    raise ModelError(f"a {type(subject).__name__} is no model", hint)


def load_all(
    given: Sequence[str | Path | Model],
    options: CompileOptions | CompareOptions | SearchOptions | SpaceOptions | FamilyOptions,
    progress: Progress,
) -> list[Model]:
    """The models that are given, by their words or loaded, one after the other."""
    found = []
    for model, arch in zip(given, archs_for(given, options.arch), strict=True):
        with stage(progress, f"loading {name_of(model)}"):
            found.append(model_of(model, trust=options.trust, arch=arch))
    return found


def name_of(subject: str | Path | Model) -> str:
    """The name to show for a model, a path or MODEL text.

    Raises:
        ModelError: as `check_subject`.
    """
    check_subject(subject)
    return subject.name if isinstance(subject, Model) else str(subject)


def images_of(data: str | Images | None, why: str, *, measuring: bool = False) -> Images:
    """The images that DATA words name. `why` ends the sentence "no images are named ..."; measuring: see `zoo.images`.

    Raises:
        DataError: there are no words, or something else than words and images; or as `zoo.images`.
    """
    if data is None:
        raise DataError(f"no images are named {why}", "Name them with `data`, such as digits?split=test or folder:DIR.")
    if not isinstance(data, str):
        return _checked(data)
    from .zoo import images

    return images(data, measuring=measuring)


def _checked(data: object) -> Images:
    if isinstance(data, Images):
        return data
    hint = "Give the words that name them, such as 'folder:DIR' or 'npz:FILE', or an object like stitchc.passes.Images."
    if isinstance(data, Path):
        hint = f"Write 'folder:{data}'."
    if hasattr(data, "shape"):
        hint = "Give stitchc.passes.TensorImages(tensor, labels), of a tensor [images, channels, height, width]."
    raise DataError(f"a {type(data).__name__} is no set of images", hint)


def test_split(images: Images) -> str | None:
    """The words for other images of the same kind, where those are known: the digits' test split."""
    return "digits?split=test" if images.name.split("?")[0] == "digits" else None


def probe_words(models: Sequence[Model], data: str | Images | None) -> str | Images:
    """The images to compare models on: those given; else what all the models' own records name; else noise."""
    if data is not None:
        return data
    named = {model.data for model in models}
    return str(named.pop()) if len(named) == 1 and None not in named else NOISE


def limited(data: str | Images, limit: int) -> str | Images:
    """DATA words for `limit` images at most, unless they state their own number."""
    if not isinstance(data, str) or "limit=" in data:
        return data
    return f"{data}{'&' if '?' in data else '?'}limit={limit}"


def probe(models: Sequence[Model], data: str | Images | None, limit: int) -> tuple[Images, tuple[str, ...]]:
    """The images to compare models on, `limit` of them at most unless the words state their own number, and what a
    report must say of them."""
    images = images_of(limited(probe_words(models, data), limit), "to compare on")
    if not images.noise:
        images, notes = for_models(images, models)
        return images, (*getattr(images, "notes", ()), *notes)
    cause = "no images were named" if data is None else f"'{images.name}' is noise"
    return images, (f"Similarity was taken on noise: {cause}. Give `data` to rank candidates on real ones.",)
