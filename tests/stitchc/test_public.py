"""The public names: lazy, and functions even where a module has the same name."""

import subprocess
import sys

import pytest

import stitchc


def test_import_is_light():
    script = "import sys, stitchc; assert not {'torch', 'numpy', 'timm', 'rich', 'click'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=30).returncode == 0


@pytest.mark.parametrize("name", ["compile", "inspect", "compare", "cost", "evaluate", "load", "space", "verify"])
def test_names_are_functions_whatever_was_imported_before(name):
    script = f"""
import importlib, stitchc
importlib.import_module("stitchc." + stitchc._HOME[{name!r}])
import types
assert isinstance(stitchc.{name}, types.FunctionType), stitchc.{name}
from stitchc import {name}
assert isinstance({name}, types.FunctionType)
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=60, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_errors_are_a_module_and_unknown_names_an_error():
    assert issubclass(stitchc.errors.Infeasible, stitchc.errors.StitchError)
    with pytest.raises(AttributeError):
        stitchc.nonsense  # noqa: B018  # the attribute access is the test


def test_onnxruntime_writes_nothing_into_the_home_of_the_user(tmp_path):
    import os

    keep = {key: value for key, value in os.environ.items() if key not in ("XDG_CACHE_HOME", "ORT_DISABLE_TELEMETRY")}
    script = "import stitchc, onnxruntime"
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True, env={**keep, "HOME": str(tmp_path)})
    assert list(tmp_path.rglob("*")) == []


def test_the_package_is_sent_to_other_processes_by_its_name():
    import pickle

    assert pickle.loads(pickle.dumps(stitchc)) is stitchc
