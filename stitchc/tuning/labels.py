"""What the labels of images to train on mean among the outputs of a network, and what its outputs mean from then on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from ..classes import match, outputs_of, relabelled
from ..inputs import images_of, test_split
from ..passes.data.errors import DataError
from ..passes.data.model import Images, Model
from ..zoo.image_words import of_one_split


def meant(images: Images, model: Model) -> tuple[Images, Model, tuple[str, ...]]:
    """The images with labels that are outputs of the model, the model with the names that its outputs will have, and
    what a report must say.

    Raises:
        DataError: the images have more classes than it has outputs, or labels that are none.
        ModelError: it cannot be run.
    """
    said = getattr(images, "notes", ())
    if images.labels is None:
        return images, model, said
    outputs = outputs_of(model) or model.scores(torch.zeros(2, *model.input.size)).shape[-1]  # which says why it fails
    found = match(images, outputs, model.class_names, learning=True)
    said = (*((found.note,) if found.note else ()), *said)
    if not found.positions:
        return images, model, said
    if found.by == "position":  # training gives the outputs their meaning
        names = [""] * outputs
        for name, place in zip(images.class_names, found.positions, strict=True):  # type: ignore[attr-defined] # it has
            names[place] = name
        model = replace(model, class_names=tuple(names))
    return relabelled(images, found.labels), model, said


def measured_on(
    evaluate: str | Images | None, record: Mapping[str, Any], images: Images, model: Model
) -> tuple[Images | None, tuple[str, ...]]:
    """The images to measure on: those given, else those of the artifact's accuracy, else the digits' test split. None,
    and why, where the artifact's own have other classes by now.

    Raises:
        DataError: those given have other classes.
    """
    known = evaluate or (record.get("accuracy") or {}).get("data") or test_split(images)
    if not known:
        return None, ()
    measured = images_of(known, "to measure on", measuring=True)
    outputs = outputs_of(model)
    try:
        if outputs is not None:
            match(measured, outputs, model.class_names)
    except DataError as error:
        if evaluate:
            raise
        return None, (f"nothing is measured on '{measured.name}': {error.message}",)
    if of_one_split(images.name, measured.name):
        return measured, (
            "The images that accuracy is measured on are, all or some, those that are trained on, which flatters what "
            "was trained. `evaluate` names others.",
        )
    return measured, ()
