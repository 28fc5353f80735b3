"""Models named by a Python file of the user's and a callable in it: `nets.py:factory`, `nets.py:make("name")`.

A file may say what its networks must be fed: `input_spec(name) -> (size, mean, std)`, with size (channels, height,
width) and mean and std per channel of pixels in [0, 1]. `name` is the first argument of the call if that is a text,
else the name of the callable. And what the outputs mean: `class_names(name) -> ["cat", "dog", ...]`, or a plain list of
that name.
"""

from __future__ import annotations

import ast
import inspect
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from stitchc.passes.data.errors import ModelError, did_you_mean
from stitchc.passes.data.model import InputSpec, Model

from .class_names import in_order, of_network
from .inputs import assumed, overridden
from .naming import Options, Words, words_of
from .user_code import guarded, running
from .weights import seeded


def load(words: Words, *, architecture: bool = False) -> Model:
    """Runs the file, calls the callable and returns the module it makes.

    `weights=none` and `num_classes=` are passed on as `pretrained=False` (or `weights=None`) and `num_classes`; with
    `architecture` a callable that has no such parameter is called as it is.

    Raises:
        ModelError: no such file or callable, a call that is not plain values, or an error of the user's code.
    """
    path, call = words.code
    name, arguments, keywords = _taken_apart(call, words)
    label = str(arguments[0]) if arguments and isinstance(arguments[0], str) else name
    said = f"{path.name}:{call}"
    with seeded(), running(path) as file:
        factory = _callable(file, name, path)
        keywords |= _passed_on(factory, keywords, words, architecture)
        _check_arguments(factory, arguments, keywords, said)
        module = guarded(lambda: factory(*arguments, **keywords), said)
        if not isinstance(module, nn.Module):
            raise ModelError(
                f"{said} returns a {type(module).__name__}, not a torch.nn.Module", "Return the network itself."
            )
        spec = _input(file, label, path, words)
        names = _class_names(file, label, path) or of_network(module)
        lazy = _materialise(module, overridden(spec, words.options, words.given), said)
    return Model(
        name=label,
        input=spec,
        arch=words_of(said, words.options.num_classes, Options()),
        classes=words.options.num_classes,
        class_names=names,
        notes=(f"its lazily made layers ({', '.join(lazy)}) have random weights",) if lazy and not architecture else (),
        module=module,
    )


def _materialise(module: nn.Module, spec: InputSpec, said: str) -> list[str]:
    """Modules made lazily get their shapes, and seeded weights, from one image; returns their names."""
    lazy = {path.rpartition(".")[0] for path, one in module.named_parameters() if torch.nn.parameter.is_lazy(one)}
    if lazy:
        with torch.no_grad():
            guarded(lambda: module.eval()(torch.zeros(1, *spec.size)), f"{said}, whose modules are made lazily,")
    return sorted(lazy)


def _taken_apart(call: str, words: Words) -> tuple[str, list[Any], dict[str, Any]]:
    """Name, positional and keyword arguments of `make` or `make("x", depth=2)`, without running anything."""
    refused = ModelError(
        f"'{words.given}': '{call}' is neither a name nor a call with plain values",
        'Write it as nets.py:factory, or nets.py:make("name", depth=2): text, numbers, lists, True, False, None.',
    )
    try:
        node = ast.parse(call, mode="eval").body
    except SyntaxError:
        raise refused from None
    if isinstance(node, ast.Name):
        return node.id, [], {}
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise refused
    if any(keyword.arg is None for keyword in node.keywords):  # **something
        raise refused
    try:
        arguments = [ast.literal_eval(argument) for argument in node.args]
        keywords = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
    except ValueError:
        raise refused from None
    return node.func.id, arguments, keywords


def _callable(file: ModuleType, name: str, path: Path) -> Callable[..., Any]:
    found = getattr(file, name, None)
    if isinstance(found, nn.Module):  # the network itself
        return lambda: found
    if callable(found):
        return found
    own = [key for key, value in vars(file).items() if callable(value) and not key.startswith("_")]
    raise ModelError(
        f"{path} has no callable '{name}'", did_you_mean(name, own) or f"It has {', '.join(own) or 'none'}."
    )


def _check_arguments(factory: Callable[..., Any], given: list[Any], keywords: dict[str, Any], said: str) -> None:
    try:
        signature = inspect.signature(factory)
    except ValueError:  # a callable that Python cannot look into
        return
    try:
        signature.bind(*given, **keywords)
    except TypeError as error:
        like = f"{said.partition('(')[0]}({', '.join(map(str, signature.parameters.values()))})"
        raise ModelError(
            f"{said} cannot be called: {error}", f"Write its arguments behind its name, as plain values: '{like}'."
        ) from None


def _passed_on(factory: Callable[..., Any], given: dict[str, Any], words: Words, lenient: bool) -> dict[str, Any]:
    """The keyword arguments that the options after the question mark stand for."""
    try:
        parameters = set(inspect.signature(factory).parameters)
    except ValueError:  # a callable that Python cannot look into
        parameters = set()
    passed: dict[str, Any] = {}
    if not words.options.weights:
        if "pretrained" in parameters:
            passed["pretrained"] = False
        elif "weights" in parameters:
            passed["weights"] = None
        elif not lenient:
            raise ModelError(
                f"'{words.given}': {factory.__name__} has no parameter `pretrained` or `weights` to turn off",
                "Leave weights=none out, or give the callable such a parameter.",
            )
    if words.options.num_classes is not None:
        if "num_classes" not in parameters:
            raise ModelError(
                f"'{words.given}': {factory.__name__} has no parameter `num_classes`",
                "Leave num_classes= out, or give the callable such a parameter.",
            )
        passed["num_classes"] = words.options.num_classes
    for key in [key for key in passed if key in given]:
        if given[key] != passed[key] and not (lenient and key != "num_classes"):
            raise ModelError(f"'{words.given}' says {key} twice, and not the same", "Say it once.")
        del passed[key]
    return passed


def _input(file: ModuleType, label: str, path: Path, words: Words) -> InputSpec:
    options = words.options
    says = getattr(file, "input_spec", None)
    if not callable(says) or (options.input and options.mean and options.std):
        return assumed(options.input)
    answer = guarded(lambda: says(label), f"{path.name}:input_spec({label!r})")
    if isinstance(answer, InputSpec):
        return answer
    try:
        (channels, height, width), mean, std = answer
        size = (int(channels), int(height), int(width))
        mean, std = tuple(map(float, mean)), tuple(map(float, std))
    except (TypeError, ValueError):
        raise ModelError(
            f"{path.name}:input_spec({label!r}) returned {answer!r}",
            "Return (size, mean, std): size as (channels, height, width), mean and std with a number per channel.",
        ) from None
    if {len(mean), len(std)} != {size[0]} or min(std) <= 0 or not all(map(math.isfinite, (*mean, *std))):
        raise ModelError(
            f"{path.name}:input_spec({label!r}) returned {len(mean)} means and {len(std)} deviations "
            f"for {size[0]} channels",
            "Return one positive deviation and one mean per channel, all finite.",
        )
    return InputSpec(size, mean, std, assumed=("interpolation", "crop"))


def _class_names(file: ModuleType, label: str, path: Path) -> tuple[str, ...] | None:
    answer = getattr(file, "class_names", None)
    said = f"{path.name}:class_names"
    if answer is None:
        return None
    if callable(answer):
        says, said = answer, f"{said}({label!r})"
        answer = guarded(lambda: says(label), said)
    names = in_order(answer)
    if names is None and answer is not None:
        raise ModelError(
            f"{said} is a {type(answer).__name__} that names no classes",
            "Give a list with the name of a class for each output, in their order.",
        )
    return names
