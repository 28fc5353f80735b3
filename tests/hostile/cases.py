"""Hostile inputs: what each is called, the files that make it, and the command that meets them.

See `values` for what a case is.
"""

from __future__ import annotations

import json
import marshal
import random
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from crafted import crafted
from documents import documents
from safetensors.torch import save_file
from sources import ARTIFACTS
from strangers import strangers
from values import CANARY, EVIL, TEXTS, VALUES, VERBS, Case, command

ARCHITECTURES = (
    "digits/evil.py:make", "timm/../digits/evil.py:make", "torchvision/evil.py:make", "evil.py:make", "./evil.py:make",
    "timm/hf-hub:owner/name", "timm/local-dir:/", "./program.pt2", "/etc/passwd.pt", "digits/plain/../../x",
)  # fmt: skip


def every(sources: Path) -> dict[str, Case]:
    """All cases by name. sources: the folder that `sources.py` filled."""
    artifact, checkpoint = sources / ARTIFACTS[0], sources / "a.pt"
    found: dict[str, Case] = {}
    for name, case in (
        *_checkpoints(checkpoint), *_artifacts(artifact), *_recipes(artifact), *_data(), *_words(),
        *crafted(artifact, checkpoint), *documents(sources, ARTIFACTS),
        *strangers(sources),
    ):  # fmt: skip
        assert name not in found, name
        found[name] = case
    return found


def _checkpoints(checkpoint: Path) -> Iterator[tuple[str, Case]]:
    state = torch.load(checkpoint, weights_only=True)
    weights = next(value for value in state.values() if isinstance(value, dict) and "features.0.0.weight" in value)
    for suffix in ("pt", "safetensors"):
        for arch in ARCHITECTURES:
            yield f"checkpoint.{suffix} of {arch}", partial(_saved, suffix, {"arch": arch}, weights, "inspect")
    fields = ("name", "licence", "data", "mean", "size", "notes", "classes", "accuracy", "crop")
    for index, (field, value) in enumerate((f, v) for f in fields for v in (*VALUES[:9], *TEXTS[:6])):
        record = {"arch": "digits/plain", field: value}
        yield f"checkpoint with {field} {index}", partial(_saved, "pt", record, weights, VERBS[index % 2 * 2])
    content = checkpoint.read_bytes()
    spots = random.Random(0)
    for index in range(40):
        place = spots.randrange(len(content))
        changed = content[:place] + bytes([content[place] ^ (1 << index % 8)]) + content[place + 1 :]
        yield f"checkpoint with a flipped bit at {place}", partial(_written, "a.pt", changed, "inspect")
    for size in (0, 1, 100, len(content) // 2, len(content) - 1):
        yield f"checkpoint of {size} bytes", partial(_written, "a.pt", content[:size], "inspect")
    header = struct.pack("<Q", 2**40) + b"{}"
    yield "safetensors with a header of 1 TiB", partial(_written, "a.safetensors", header, "inspect")


def _saved(suffix: str, record: dict[str, Any], weights: dict[str, Any], verb: str, folder: Path) -> list[str]:
    path = folder / f"a.{suffix}"
    if suffix == "pt":
        torch.save({**record, "state_dict": weights}, path)
    else:
        save_file(weights, path, {key: str(value) for key, value in record.items()})
    return command(verb, path.name)


def _written(name: str, content: bytes, verb: str, folder: Path) -> list[str]:
    (folder / name).write_bytes(content)
    return command(verb, name)


def _artifacts(artifact: Path) -> Iterator[tuple[str, Case]]:
    changes = {
        "a changed model.py": lambda path: (path / "model.py").write_text(CANARY),
        "no files in plan.json": partial(_in_plan, lambda plan: plan.update(files={})),
        "part of the files in plan.json": partial(_in_plan, lambda plan: plan["files"].pop("model.py")),
        "a file of another name": partial(_in_plan, lambda plan: plan["files"].update({"../thesis.docx": "0" * 64})),
        "no model.safetensors": lambda path: (path / "model.safetensors").unlink(),
        "a damaged model.safetensors": lambda path: (path / "model.safetensors").write_bytes(b"x"),
        "a model.onnx that is not listed": lambda path: (path / "model.onnx").write_bytes(b"x"),
        "a model.py that is a folder": _as_folder,
    }
    for name, change in changes.items():
        for verb in VERBS:
            yield f"artifact with {name}: {verb}", partial(_artifact, artifact, change, verb)
    for verb in VERBS:  # the text is what was written, so that this runs; the bytecode beside it must not
        yield f"artifact with bytecode beside it: {verb}", partial(_artifact, artifact, _bytecode, verb)


def _artifact(artifact: Path, change: Callable[[Path], Any], verb: str, folder: Path) -> list[str]:
    shutil.copytree(artifact, folder / "h")
    change(folder / "h")
    return command(verb, "./h")


def _in_plan(change: Callable[[dict[str, Any]], Any], path: Path) -> None:
    plan = json.loads((path / "plan.json").read_text())
    change(plan)
    (path / "plan.json").write_text(json.dumps(plan))
    (path / "model.py").write_text(CANARY)


def _as_folder(path: Path) -> None:
    (path / "model.py").unlink()
    (path / "model.py").mkdir()


def _bytecode(path: Path) -> None:
    import importlib.util

    cached = Path(importlib.util.cache_from_source(str(path / "model.py")))
    cached.parent.mkdir()
    flags, anything = 0b01, bytes(8)  # of a hash that is not checked
    code = marshal.dumps(compile(CANARY, "model.py", "exec"))
    cached.write_bytes(importlib.util.MAGIC_NUMBER + struct.pack("<I", flags) + anything + code)


def _recipes(artifact: Path) -> Iterator[tuple[str, Case]]:
    texts = [
        'a = "digits/evil.py:make"\nb = "digits/plain"', 'a = "evil.py:make"\nb = "digits/plain"',
        'a = "./evil"\nb = "digits/plain"', 'a = "digits/resnet"\nb = "digits/plain"\ndata = "folder:/"',
        'a = "digits/resnet"\nb = "digits/plain"\nevaluate = "folder:/etc"', 'a = "/etc/passwd.pt"\nb = "digits/plain"',
        'a = "digits/resnet"\nb = "digits/plain"\nout = "/elsewhere"', "trust = true", "a = 1", "schema = 7",
        'a = "timm/hf-hub:owner/name"\nb = "digits/plain"', "a = nan", "x = [" + "[" * 10_000,
        ".".join("a" * 50_000) + " = 1", "probe_images = 1e400", "= 1",
        'a = "digits/resnet"\nb = "digits/plain"\nbudget = "9e999M"',
        'a = "digits/resnet"\nb = "digits/plain"\ntop = -1',
        'a = "\\u001b[2J"\nb = "digits/plain"', 'arch = ["evil.py:make"]\na = "x.pt"\nb = "y.pt"',
        "\ufeff", "a" * 2_000_000, 'a = "digits/resnet"\na = "digits/plain"',
    ]  # fmt: skip
    for index, text in enumerate(texts):
        yield f"recipe {index}: compile", partial(_recipe, text)
    tunings = [
        'out = "/elsewhere"',
        'data = "folder:/"',
        'evaluate = "folder:/etc"',
        "epochs = -1",
        "lr = nan",
        "trust = true",
    ]
    for text in tunings:
        yield f"recipe with {text}: tune", partial(_tuning, artifact, text)


def _recipe(text: str, folder: Path) -> list[str]:
    (folder / "r").mkdir()
    (folder / "r" / "recipe.toml").write_text(text)
    return ["compile", "--recipe", "r/recipe.toml", "--dry-run", "--rank", "cka"]


def _tuning(artifact: Path, text: str, folder: Path) -> list[str]:
    shutil.copytree(artifact, folder / "h")
    (folder / "recipe.toml").write_text(f"[[tune]]\n{text}\n")
    return ["tune", "./h", "--recipe", "recipe.toml", "-o", "tuned"]


def _data() -> Iterator[tuple[str, Case]]:
    def images(name: str, content: bytes, folder: Path) -> list[str]:
        (folder / "images" / "a").mkdir(parents=True)
        (folder / "images" / "a" / name).write_bytes(content)
        return ["eval", "digits/plain", "--data", "folder:images"]

    png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 1_000_000, 1_000_000) + b"\x08\x02\0\0\0\0\0\0\0"
    for name, content in {
        "a.png": png,
        "b.png": png[:20],
        "c.jpg": b"\xff\xd8\xff",
        "d.gif": b"GIF89a",
        "e.bmp": b"BM",
    }.items():
        yield f"picture {name}", partial(images, name, content)

    def archive(arrays: dict[str, Any], folder: Path) -> list[str]:
        np.savez(folder / "a.npz", **arrays)
        return ["eval", "digits/plain", "--data", "npz:a.npz"]

    for index, arrays in enumerate((
        {}, {"images": np.array([object()], object)}, {"images": np.zeros(3)},
        {"images": np.full((2, 1, 8, 8), np.nan)},
        {"images": np.zeros((2, 1, 8, 8)), "labels": np.array(["x", "y"])},
        {"images": np.zeros((2, 1, 8, 8)), "labels": np.array([-1, 2**62])},
    )):  # fmt: skip
        yield f"npz {index}", partial(archive, arrays)

    def inflating(folder: Path) -> list[str]:
        with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as made:
            header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (200000000, 1, 8, 8), }"
            made.writestr("images.npy", b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + bytes(10**7))
        return ["eval", "digits/plain", "--data", "npz:a.npz"]

    yield "npz of zeros", inflating


def _words() -> Iterator[tuple[str, Case]]:
    """Odd words of the user's own: whatever they mean, they must not end in an internal error."""
    words = random.Random(1)
    alphabet = "abdigts/timm.:?=&*[]()\"'\\\u00e9\u202e\x1b \t-0123456789"
    for index in range(40):
        text = "".join(words.choice(alphabet) for _ in range(words.randrange(1, 60)))
        yield f"words {index}", partial(lambda text, folder: ["inspect", "--", text], text)
    for index, text in enumerate(
        ("digits/resnet?input=1x99999999x8", "digits/resnet?mean=nan", "timm/", "x.py:", "a" * 5000)
    ):
        yield f"odd words {index}", partial(lambda text, folder: ["inspect", text], text)
    for text in ("9" * 400, "1e999", "nan", "-1M", "12%%", "macs=" * 1000, "\x1b[2J", "0x10", "१२M"):
        arguments = ["compare", "digits/plain", "digits/plain", "--budget", text, "--data", "digits?limit=8"]
        yield f"budget {text[:20]!r}", partial(lambda arguments, folder: arguments, arguments)


def set_up(folder: Path) -> None:
    """What lies in the folder of every case: code that no file may choose, and a file that nobody may touch."""
    (folder / "digits").mkdir(parents=True)
    (folder / "evil").mkdir()
    for path in (folder / "digits" / "evil.py", folder / "evil.py", folder / "evil" / "model.py"):
        path.write_text(EVIL)
    (folder / "thesis.docx").write_text("years")
