"""Models named by a Python file of the user's and a callable in it: `nets.py:factory`, `nets.py:make("name")`.

A file may say what its networks must be fed: `input_spec(name) -> (size, mean, std)`, with size (channels, height,
width) and mean and std per channel of pixels in [0, 1]. `name` is the first argument of the call if that is a text,
else the name of the callable.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from stitchc.passes.data.errors import BadCheckpoint, ModelError, StitchError, did_you_mean
from stitchc.passes.data.model import InputSpec, Model

from .inputs import assumed
from .naming import Words
from .weights import seeded


def load(words: Words, *, architecture: bool = False) -> Model:
    """Runs the file, calls the callable and returns the module it makes.

    `weights=none` and `num_classes=` are passed on as `pretrained=False` (or `weights=None`) and `num_classes`; with
    `architecture` a callable that has no such parameter is called as it is.

    Raises:
        ModelError: no such file or callable, a call that is not plain values, or an error of the user's code.
    """
    path, call = words.code
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.py")) if path.parent.is_dir() else []
        raise BadCheckpoint(f"there is no file {path}", did_you_mean(path.name, near) or "Check the path.")
    name, arguments, keywords = _taken_apart(call, words)
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # as if the user ran the file: what lies beside it can be imported
    try:
        with seeded():
            file = _run(path, words)
            factory = _callable(file, name, path)
            keywords |= _passed_on(factory, keywords, words, architecture)
            module = _guarded(lambda: factory(*arguments, **keywords), f"{path.name}:{call}")
        label = str(arguments[0]) if arguments and isinstance(arguments[0], str) else name
        spec = _input(file, label, path, words)
    finally:
        sys.path.remove(folder)
    if not isinstance(module, nn.Module):
        raise ModelError(
            f"{path.name}:{call} returns a {type(module).__name__}, not a torch.nn.Module", "Return the network itself."
        )
    return Model(
        name=label,
        input=spec,
        arch=f"{path.name}:{call}",
        classes=words.options.num_classes,
        module=module,
    )


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


_siblings: dict[str, str] = {}  # modules that users' files imported from beside themselves -> their folder


def _run(path: Path, words: Words) -> ModuleType:
    """Runs the file as a module of its own; two files of one name, or with neighbours of one name, do not meet."""
    folder = str(path.resolve().parent)
    for name in [name for name, origin in _siblings.items() if origin != folder]:
        sys.modules.pop(name, None)
        del _siblings[name]
    unique = f"{path.stem}_{hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]}"
    specification = importlib.util.spec_from_file_location(unique, path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    loader, before = specification.loader, set(sys.modules)
    sys.modules[unique] = module
    try:
        _guarded(lambda: loader.exec_module(module), path.name)
    except BaseException:
        sys.modules.pop(unique, None)
        raise
    finally:
        for name in set(sys.modules) - before - {unique}:
            origin = getattr(sys.modules[name], "__file__", None)
            if origin and Path(origin).is_relative_to(folder):
                _siblings[name] = folder
    return module


def _guarded(run: Callable[[], Any], what: str) -> Any:
    try:
        return run()
    except StitchError:
        raise
    except Exception as error:  # whatever the user's code raises
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f" (line {trace.tb_lineno} of {Path(trace.tb_frame.f_code.co_filename).name})" if trace else ""
        raise ModelError(
            f"{what} failed with {type(error).__name__}: {error}{place}", "Run it in Python to see why."
        ) from error


def _callable(file: ModuleType, name: str, path: Path) -> Callable[..., Any]:
    found = getattr(file, name, None)
    if callable(found):
        return found
    own = [key for key, value in vars(file).items() if callable(value) and not key.startswith("_")]
    raise ModelError(
        f"{path} has no callable '{name}'", did_you_mean(name, own) or f"It has {', '.join(own) or 'none'}."
    )


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
    return {key: value for key, value in passed.items() if key not in given}


def _input(file: ModuleType, label: str, path: Path, words: Words) -> InputSpec:
    options = words.options
    says = getattr(file, "input_spec", None)
    if not callable(says) or (options.input and options.mean and options.std):
        return assumed(options.input)
    answer = _guarded(lambda: says(label), f"{path.name}:input_spec({label!r})")
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
    if {len(mean), len(std)} != {size[0]} or min(std) <= 0:
        raise ModelError(
            f"{path.name}:input_spec({label!r}) returned {len(mean)} means and {len(std)} deviations "
            f"for {size[0]} channels",
            "Return one positive deviation and one mean per channel.",
        )
    return InputSpec(size, mean, std, assumed=("interpolation", "crop"))
