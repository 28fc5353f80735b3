"""Models named `digits/<name>`: the embedded zoo."""

from __future__ import annotations

import json
from pathlib import Path

from stitchc.passes.data.errors import ModelError
from stitchc.passes.data.model import InputSpec, Model

from .naming import Words, words_of
from .present import check_digits
from .weights import fill_but_classifier, seeded

FOLDER = Path(__file__).parent / "digits"
LICENCE = "MIT"


def load(words: Words) -> Model:
    """A network of the embedded zoo, with the accuracy that its record states.

    Raises:
        ModelError: there is none of that name.
    """
    from safetensors.torch import load_file

    from .digits import data
    from .digits.nets import NETS

    name, options = words.body, words.options
    check_digits(words)
    if options.input and options.input[0] != data.SIZE[0]:
        raise ModelError(
            f"'{words.given}': the embedded networks take images of one channel",
            "Leave input= out, or state another height and width: input=1x12x12.",
        )
    classes = options.num_classes or data.CLASSES
    with seeded():
        module = NETS[name](classes)
    fresh: tuple[str, ...] = ()
    file = FOLDER / f"{name}.safetensors"
    if options.weights:
        fresh = fill_but_classifier(module, load_file(file), classes, data.CLASSES, str(file))
    trained = options.weights and not fresh
    return Model(
        name=words.bare,
        input=InputSpec(data.SIZE, data.MEAN, data.STD),
        arch=words.bare if classes == data.CLASSES else words_of(words.bare, classes, options),
        licence=LICENCE,
        data="digits",
        classes=classes,
        class_names=data.NAMES if classes == data.CLASSES else None,
        accuracy=record(name)["accuracy"] if trained else None,
        notes=(f"its classifier ({', '.join(fresh)}) is untrained",) if fresh else (),
        module=module,
    )


def record(name: str) -> dict:
    """What was written when the network was trained: accuracy, recipe, versions, date."""
    return json.loads((FOLDER / f"{name}.json").read_text())
