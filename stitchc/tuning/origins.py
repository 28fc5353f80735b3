"""The models that an artifact was made from, for distillation and to measure beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import recipe
from ..artifact import PLAN
from ..evaluate import Accuracy, accuracy_if_matched
from ..inputs import archs_for, model_of
from ..passes.data.errors import InputError, ModelError
from ..passes.data.model import Images, Model, own_name
from ..progress import Progress, stage
from ..recipe import Recipe
from ..zoo.trust import check_model
from .settings import TuneOptions


def better(models: Sequence[Mapping[str, Any]], among: Sequence[int]) -> int:
    """Of some models in a record the most accurate, where all were measured on the same images; else the largest."""
    on = {models[index].get("accuracy_on") for index in among}
    comparable = len(on) == 1 and None not in on and "its own record" not in on
    key = "accuracy" if comparable else "macs"
    return max(among, key=lambda index: models[index].get(key) or 0)


class Origins:
    """The models of an artifact, loaded by the words that its record names them by when they are asked for. One that
    is another of them at another input size is that one, shown images of that size.

    given: the models themselves, in the order of the record, without those at another size; None to load them.

    Raises:
        InputError: not as many were given as it was made from.
    """

    def __init__(
        self, record: Mapping[str, Any], given: Sequence[Model] | None, folder: Path, options: TuneOptions,
        progress: Progress,
    ):  # fmt: skip
        self.record, self.folder, self.options, self.progress = record, folder, options, progress
        self.loaded: dict[int, Model] = {}
        names = [model["name"] for model in record["models"]]
        self.own = [names.index(own_name(name, names)) for name in names]
        own = list(dict.fromkeys(self.own))
        if given is not None:
            if len(given) != len(own):
                raise InputError(
                    f"{folder} was made from {len(own)} models, and {len(given)} were given",
                    f"Give all in this order: {', '.join(names[index] for index in own)}.",
                )
            self.loaded.update(zip(own, given, strict=True))

    def teachers(self, distill: str) -> list[Model]:
        """The model of the first fragment, of the last one, both, or the better of all that the chain has parts of."""
        models = self.record["models"]
        names = [model["name"] for model in models]
        chain = [names.index(link["model"]) for link in self.record["chain"] if "model" in link]
        first, last = chain[0], chain[-1]
        chosen = {"front": [first], "back": [last], "both": [first, last], "better": [better(models, chain)]}[distill]
        return [self.load(index) for index in dict.fromkeys(chosen)]

    def load(self, index: int) -> Model:
        """Raises:
        ModelError: it is not there any more, or is another network than the artifact was made from.
        """
        if index not in self.loaded:
            own = self.own[index]
            self.loaded[index] = self._found(index) if own == index else self._at_its_size(self.load(own), index)
        return self.loaded[index]

    def _at_its_size(self, own: Model, index: int) -> Model:
        channels, height, width = self.record["models"][index]["input"]["size"]
        return own.at((channels, height, width))

    def _found(self, index: int) -> Model:
        known = self.record["models"][index]
        source = known["source"]
        if not source:
            raise ModelError(
                f"{self.folder} does not say where its parent {known['name']} came from",
                "From Python, give the models: stitchc.tune(..., parents=(a, b)).",
            )
        check_model(source, str(self.folder / PLAN), (Path.cwd(), self.folder), trust=self.options.trust)
        named = self.options.arch or recipe.of_artifact(self.folder, self.record).options.get("arch")
        if not self.options.arch:
            recipe.check(Recipe(options={"arch": named}), self.folder / "recipe.toml", trust=self.options.trust)
        arch = archs_for([one["source"] for one in self.record["models"]], named)[index]
        with stage(self.progress, f"loading {known['name']}"):
            model = model_of(source, trust=self.options.trust, arch=arch)
        if known["sha256"] and model.sha256 != known["sha256"]:
            raise ModelError(
                f"'{source}' is not the network that {self.folder} was made from: its weights differ",
                "Put the right file there, or compile again with the new one.",
            )
        return model

    def measured(self, images: Images | None, device: str) -> list[Accuracy | None]:
        """Their accuracy on the images that the hybrid was measured on; None where it is known, or cannot be."""
        return [self._measured(index, images, device) for index in range(len(self.record["models"]))]

    def _measured(self, index: int, images: Images | None, device: str) -> Accuracy | None:
        if images is None or self.record["models"][index].get("accuracy_on") == images.name:
            return None
        try:
            model = self.load(index)
        except (ModelError, InputError):
            return None
        assert model.module is not None
        with stage(self.progress, f"measuring {model.name}"):
            found, _ = accuracy_if_matched(
                model.module, model.input, images, model, device=device, progress=self.progress
            )
            return found
