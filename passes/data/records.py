"""Frozen dataclasses to JSON and back, led by their type hints. Fields marked `{"data": False}` are skipped."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np


def encode(value: Any) -> Any:
    """`value` as what `json` can write. Arrays become {"dtype", "shape", "data"}; NaN becomes null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in fields(value) if _is_data(f)}
    if isinstance(value, np.ndarray):
        return {
            "dtype": str(value.dtype),
            "shape": list(value.shape),
            "data": [encode(x) for x in value.ravel().tolist()],
        }
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def decode(kind: Any, record: Any) -> Any:
    """The inverse of `encode` for a value of type `kind`. Unions of dataclasses are told apart by their fields."""
    origin = get_origin(kind)
    if kind is Any:
        return record
    if origin in (Union, UnionType):
        return _decode_union(get_args(kind), record)
    if isinstance(kind, type) and issubclass(kind, Mapping) and origin is None:
        return kind(record)  # type: ignore[call-arg]  # a mapping of ours is made from a mapping
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return kind(**{f.name: decode(hints[f.name], record[f.name]) for f in fields(kind) if f.name in record})
    if kind is np.ndarray:
        data = [math.nan if x is None else x for x in record["data"]]
        return np.array(data, dtype=record["dtype"]).reshape(record["shape"])
    if origin is tuple:
        inner = get_args(kind)
        kinds = [inner[0]] * len(record) if inner[-1:] == (Ellipsis,) else inner
        return tuple(decode(k, item) for k, item in zip(kinds, record, strict=True))
    if origin is not None and issubclass(origin, Mapping):
        return {key: decode(get_args(kind)[1], item) for key, item in record.items()}
    if kind is float:
        return math.nan if record is None else float(record)
    return record


def _decode_union(kinds: tuple[Any, ...], record: Any) -> Any:
    if record is None and NoneType in kinds:
        return None
    options = [k for k in kinds if k is not NoneType]
    if len(options) == 1:
        return decode(options[0], record)
    for option in options:
        if is_dataclass(option) and _fits(option, record):
            return decode(option, record)
    raise TypeError(f"none of {options} has the fields {sorted(record)}")


def _fits(kind: Any, record: Mapping[str, Any]) -> bool:
    names = {f.name for f in fields(kind) if _is_data(f)}
    needed = {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}
    return needed <= set(record) <= names


def _is_data(f: Field) -> bool:
    return f.compare and f.metadata.get("data", True)


@cache
def _hints(kind: type) -> dict[str, Any]:
    # typing.get_type_hints would evaluate every field, and those that are no data name types of torch
    # that are imported for the type checker only. What is evaluated is the source of a class of ours.
    namespace = vars(sys.modules[kind.__module__])
    return {
        f.name: eval(f.type, namespace) if isinstance(f.type, str) else f.type  # noqa: S307
        for f in fields(kind)
        if _is_data(f)
    }
