"""The wheel and the source distribution: all of the code and data is in them, and they install in an empty environment.

torch takes five gigabytes, so nothing is installed beside stitchc but click, with which the command line says its help.
"""

import shutil
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {"passes": "stitchc/passes", "zoo": "stitchc/zoo", "stitchc": "stitchc"}
NO_DATA = {".pyc"}


def held(room):
    """The files of a room, but for what Python leaves there."""
    return {p.relative_to(ROOT) for p in (ROOT / room).rglob("*") if p.is_file() and p.suffix not in NO_DATA}


def test_every_package_is_listed():
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {path.parent for room in ROOMS for path in held(room) if path.name == "__init__.py"}
    there = {".".join((*ROOMS[folder.parts[0]].split("/"), *folder.parts[1:])) for folder in folders}
    assert there == {*stated}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with both, built from a copy: a build leaves files beside its sources."""
    folder = tmp_path_factory.mktemp("package")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / "src" / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "src")
    command = [sys.executable, "-m", "build", "--outdir", str(folder / "dist"), str(folder / "src")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "dist"


@pytest.mark.slow
def test_all_files_are_in_both(built):
    (wheel,), (source,) = built.glob("*.whl"), built.glob("*.tar.gz")
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    with tarfile.open(source) as file:
        in_source = {name.partition("/")[2] for name in file.getnames()}
    for room, package in ROOMS.items():
        names = {path.as_posix() for path in held(room)}
        assert names - in_source == set()
        assert {name.replace(room, package, 1) for name in names} - in_wheel == set()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".whl", ".tar.gz"])
def test_it_installs_in_an_empty_environment(built, suffix, tmp_path):
    (package,) = built.glob(f"*{suffix}")
    venv.create(tmp_path / "empty", with_pip=True)
    python, place = tmp_path / "empty" / "bin" / "python", {"cwd": tmp_path, "capture_output": True, "text": True}

    def run(*words):
        done = subprocess.run([*map(str, words)], **place)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(python, "-m", "pip", "install", "--quiet", "--no-deps", package)
    run(python, "-m", "pip", "install", "--quiet", "click>=8.3")
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    said = run(python, "-c", "from importlib.metadata import version; import stitchc; print(version('stitchc'), "
               "stitchc.__version__)")  # fmt: skip
    assert said.split() == [stated["version"]] * 2
    assert "Usage: stitchc [OPTIONS] VERB" in run(tmp_path / "empty" / "bin" / "stitchc", "--help")
    assert "--budget" in run(python, "-m", "stitchc", "compile", "--help")
    assert "resnet.safetensors" in run(python, "-c", "import importlib.resources as r; print(*(f.name for f in "
                                       "r.files('stitchc').joinpath('zoo/digits').iterdir()))")  # fmt: skip
