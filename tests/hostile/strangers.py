"""Hostile inputs of kinds that came later: tensors of files that say one thing and hold another, names that look like
others, words of the command line and of the environment, and places to write to. See `values` for what a case is."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from documents import REMOVED, altered, places
from sources import UNFINISHED
from values import TEXTS, VALUES, Case, command

#: Characters that are not seen, turn the line around, look like others, or are longer in another case.
UNSEEN = (
    "\u200b",
    "\u2066x\u2069",
    "\ufeff",
    "\u00ad",
    "\u0000",
    "\u2028",
    "\udcff",
    "p\u0430lain",
    "\ufb03" * 50,
    "\U000e0041",
)
LARGE = ("9" * 400, "1e309", "-1", "0", "1e-400", "nan", "inf", "0x7fffffff", "9223372036854775808", "1_0", "٣", " ")


def strangers(sources: Path) -> Iterator[tuple[str, Case]]:
    """sources: the folder that `sources.py` filled."""
    yield from _safetensors(sources / "a.pt")
    yield from _arrays()
    yield from _names(sources)
    yield from _options(sources / "h")
    yield from _places(sources / "h")
    yield from _trainings(sources)
    yield from _lists(sources)


def _safetensors(checkpoint: Path) -> Iterator[tuple[str, Case]]:
    """Headers whose offsets, shapes and kinds of numbers contradict each other."""
    one = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    headers: dict[str, Any] = {
        "overlapping": {"a": one, "b": {**one, "data_offsets": [8, 24]}}, "the same bytes": {"a": one, "b": one},
        "a gap": {"a": one, "b": {**one, "data_offsets": [20, 36]}}, "backwards": {"a": {**one, "data_offsets": [16,
        0]}},
        "beyond the end": {"a": {**one, "data_offsets": [0, 2**62]}},
        "a shape that overflows": {"a": {**one, "shape": [2**32, 2**32]}},
        "a negative shape": {"a": {**one, "shape": [-4]}}, "another kind": {"a": {**one, "dtype": "C64"}},
        "an odd kind": {"a": {**one, "dtype": "\x1b[2J"}}, "numbers below a byte": {"a": {**one, "dtype": "F4"}},
        "metadata of numbers": {"__metadata__": {"arch": 1}, "a": one},
        "metadata that is a list": {"__metadata__": [], "a": one},
        "names that chase each other": {"__metadata__": {"b": "a", "c": "b", "d": "d"}, "a": one},
        "a long name": {"x" * 10**6: one}, "a name without letters": {"": one},
        "an index of others": {"__metadata__": {"arch": "digits/plain", "stitchc": "1", "record": "[" * 10**5},
        "a": one},
        "a shape of many": {"a": {**one, "shape": [1] * 100_000 + [4]}},
    }  # fmt: skip
    for name, header in headers.items():
        yield f"safetensors with {name}", partial(_header, json.dumps(header).encode())
    for length in (0, 1, 2**23 + 1, 2**31, 2**63, 2**64 - 1):
        yield f"safetensors whose header says {length} bytes", partial(_header, b'{"a": 1}', length=length)
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    for name, factor in (("NaN", float("nan")), ("infinity", float("inf")), ("the largest number", 3e38)):
        altered = {key: value * factor if value.is_floating_point() else value for key, value in weights.items()}
        for verb in ("eval", "compile"):
            yield f"checkpoint of {name} everywhere: {verb}", partial(_weights, altered, verb)


def _header(header: bytes, folder: Path, length: int | None = None) -> list[str]:
    said = len(header) if length is None else length
    (folder / "a.safetensors").write_bytes(struct.pack("<Q", said) + header + bytes(64))
    return ["inspect", "a.safetensors", "--arch", "digits/plain"]


def _weights(weights: dict[str, Any], verb: str, folder: Path) -> list[str]:
    torch.save({"arch": "digits/plain", "state_dict": weights}, folder / "a.pt")
    return command(verb, "a.pt")


def _arrays() -> Iterator[tuple[str, Case]]:
    """Members of an npz whose header says more, or other, than they hold."""
    whole = bytes(2 * 8 * 8)
    headers = {
        "Fortran's order": "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 8, 8), }",
        "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (2, 8, 8), }",
        "a shape that overflows": f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({2**62}, 4, 1), }}",
        "a shape of many": f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({'1, ' * 2000}), }}",
        "a negative shape": "{'descr': '|u1', 'fortran_order': False, 'shape': (-2, 8, 8), }",
        "records": "{'descr': [('a', '|u1', (64,))], 'fortran_order': False, 'shape': (2,), }",
        "records in records": "{'descr': " + "[('a', " * 50
        + "'|u1'" + ")]" * 50 + ", 'fortran_order': False, 'shape': (128,), }",
        "texts": "{'descr': '<U1073741823', 'fortran_order': False, 'shape': (0,), }",
        "numbers of no bytes": "{'descr': '|V0', 'fortran_order': False, 'shape': (10000000000,), }",
        "code": "open('canary', 'w')", "deep brackets": "(" * 5000,
        "truth for a shape": "{'descr': '|u1', 'fortran_order': False, 'shape': True, }",
        "a long number": "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "9" * 5000 + ",), }",
    }  # fmt: skip
    for name, header in headers.items():
        yield f"npz with {name}", partial(_npz, {"images.npy": _npy(header, whole)})
        yield f"npz with labels of {name}", partial(_npz, {
            "images.npy": _npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 8, 8), }", whole),
            "labels.npy": _npy(header, whole),
        })  # fmt: skip
    for version in (b"\x02\0", b"\x03\0", b"\x09\x09"):
        yield f"npz of version {version[0]}", partial(_npz, {"images.npy": b"\x93NUMPY" + version + b"\xff" * 100})
    twice = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 8, 8), }"
    yield "npz with a name twice", partial(_npz, {"images.npy": _npy(twice, whole), "images": _npy(twice, whole)})
    yield (
        "npz whose names are unseen",
        partial(
            _npz, {f"{name}.npy": _npy(twice, whole) for name in UNSEEN if "\0" not in name and "\udcff" not in name}
        ),
    )


def _npy(header: str, content: bytes) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", min(len(text), 65_535)) + text[:65_535] + content


def _npz(members: dict[str, bytes], folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "a.npz", "w") as made:
        for name, content in members.items():
            made.writestr(name, content)
    return ["eval", "digits/plain", "--data", "npz:a.npz"]


def _names(sources: Path) -> Iterator[tuple[str, Case]]:
    """Characters that nobody sees, in every place where a file may say a name."""
    for index, text in enumerate((*UNSEEN, *TEXTS)):
        yield f"npz in a file of an odd name {index}", partial(_odd_file, text)
        yield f"class names that are odd {index}", partial(_classes, text)
        yield f"model called oddly {index}", partial(_said, ["inspect", f"digits/plain?name={text}"])
    for index, text in enumerate(UNSEEN):
        for field in ("name", "licence", "source"):
            yield f"plan.json whose {field} is unseen {index}", partial(_in_models, sources / "h", field, text)


def _odd_file(text: str, folder: Path) -> list[str]:
    name = text.replace("/", "").replace("\0", "")[:60] or "x"
    with suppress(OSError, UnicodeError):
        np.savez(folder / f"{name}.npz", images=np.zeros((2, 8, 8), np.uint8))
    return ["eval", "digits/plain", "--data", f"npz:{name}.npz"]


def _classes(text: str, folder: Path) -> list[str]:
    for index in range(2):
        name = f"{index}{text}".replace("/", "").replace("\0", "")[:60]
        place = folder / "images" / name
        try:
            place.mkdir(parents=True)
        except (OSError, UnicodeError):
            continue
        from PIL import Image

        Image.new("L", (8, 8)).save(place / "a.png")
    return ["eval", "digits/plain", "--data", "folder:images"]


def _said(arguments: list[str], folder: Path) -> list[str]:
    return arguments


def _in_models(artifact: Path, field: str, text: str, folder: Path) -> list[str]:
    shutil.copytree(artifact, folder / "h")
    plan = json.loads((folder / "h" / "plan.json").read_text())
    plan["models"][0][field] = text
    if field == "name":
        for link in plan["chain"]:
            link.update({"model": text} if "model" in link else {})
    (folder / "h" / "plan.json").write_text(json.dumps(plan))
    return command("tune", "./h")


def _some(values: Sequence[str], turn: int) -> Sequence[str]:
    """Every fourth, from another one at each turn: all pairs of them and what they are given to would take as long as
    all other cases together."""
    return values[turn % 4 :: 4]


def _options(artifact: Path) -> Iterator[tuple[str, Case]]:
    """Numbers and names on the command line that overflow, mean nothing, or name what is not there."""
    pair, few = ["digits/plain", "digits/plain"], ["--data", "digits?limit=8", "--dry-run", "--rank", "cka"]
    compiled = ("--probe-images", "--seed", "--top", "--opset", "--max-memory", "--budget", "--input-size", "--polish",
                "--heal-sweeps", "--min-share", "--steps", "--recalibrate", "--effort")  # fmt: skip
    for turn, flag in enumerate(compiled):
        for number in _some(LARGE, turn):
            yield f"{flag} {number[:20]!r}", partial(_said, ["compile", *pair, *few, f"{flag}={number}"])
    for turn, key in enumerate(("input", "mean", "std", "num_classes", "weights", "crop")):
        for number in _some(LARGE, turn):
            yield f"?{key}={number[:20]!r}", partial(_said, ["cost", f"digits/plain?{key}={number}"])
    for size in ("0x8x8", "1x0x8", "1x-8x8", "1x8", "1x8x8x8", "1x16385x8", "2147483648x8x8", "1xax8", "xx", "1x1x1"):
        yield f"?input={size}", partial(_said, ["cost", f"digits/plain?input={size}"])
    for turn, key in enumerate(("limit", "seed", "split", "labels")):
        for number in _some(LARGE, turn):
            yield (
                f"data ?{key}={number[:20]!r}",
                partial(_said, ["eval", "digits/plain", "--data", f"digits?{key}={number}"]),
            )
    trained = ("--lr", "--epochs", "--batch", "--warmup", "--weight-decay", "--checkpoint-seconds", "--smoothing")
    for turn, flag in enumerate(trained):
        for number in _some(LARGE, turn):
            yield f"tune {flag} {number[:20]!r}", partial(_tune, artifact, [f"{flag}={number}"])
    for index, text in enumerate((*TEXTS, *UNSEEN)):
        flags = ("--against", "--adapter", "--front", "--chain", "--arch", "--head", "--recipe", "--metric")
        for flag in _some(flags, index):
            yield f"{flag} of odd words {index}", partial(_said, ["compile", *pair, *few, f"{flag}={text}"])
        yield f"verb of odd words {index}", partial(_said, [text])
        yield f"cache of odd words {index}", partial(_said, ["cache", "clean", text])
    variables = ("STITCHC_CACHE_DIR", "XDG_CACHE_HOME", "HOME", "TMPDIR", "COLUMNS", "LANG", "PYTHONIOENCODING", "TERM")
    values = ("", "\n", "thesis.docx", "/dev/null", "~nobody-of-that-name", "x" * 5000, "-1", "\x1b[2J", "loop")
    for index, value in enumerate(values):
        for name in _some(variables, index):
            yield f"{name} that is odd {index}", partial(_said, [f"{name}={value}", *command("eval", "digits/plain")])
    deep = "A:.. + " * 3000 + "B:.."
    yield "chain of thousands", partial(_said, ["compile", *pair, *few, f"--chain={deep}"])
    yield "very many models", partial(_said, ["compile", *["digits/plain"] * 500, *few])
    yield "very many budgets", partial(_said, ["compile", *pair, *few, *["--budget=macs=1M"] * 3000])
    yield (
        "a head of millions of ranges",
        partial(_said, ["compile", *pair, *few, "--head=classes=" + ",".join(f"{k}=a{k}" for k in range(20_000))]),
    )


def _tune(artifact: Path, more: list[str], folder: Path) -> list[str]:
    shutil.copytree(artifact, folder / "h")
    return [*command("tune", "./h"), *more]


def _places(artifact: Path) -> Iterator[tuple[str, Case]]:
    """Places to write to: each run must end in `tuned`, or leave nothing."""
    for index, out in enumerate((
        "a\nb", "x" * 256, "x/" * 3000, "\x1b[2J", "\u202e", "thesis.docx", "thesis.docx/x", "/dev/null", "/dev/null/x",
        "/proc/self/x", "", " ", ".", "..", "/", "~", "-", "h", "h/x", "./h/../h", "loop/x", "tuned/\0", "\udcff" * 200,
        "https://a.b/c", "hf://a/b", "con", "tuned\\x",
    )):  # fmt: skip
        yield f"written to an odd place {index}", partial(_out, artifact, out)
    for index, out in enumerate(
        ("a\nb.pt", "x" * 300 + ".pt", "/dev/null", "thesis.docx", "evil/x/", "\x1b.pt", "a.pt\0")
    ):
        yield f"packed to an odd place {index}", partial(_said, ["zoo", "pack", "digits/plain", out])


def _out(artifact: Path, out: str, folder: Path) -> list[str]:
    shutil.copytree(artifact, folder / "h")
    (folder / "loop").symlink_to("loop")
    return ["tune", "./h", "--data", "digits?limit=8", "--epochs", "0", "--batch", "8", "-o", out]


def _trainings(sources: Path) -> Iterator[tuple[str, Case]]:
    """Checkpoints of this very training, of which one thing was altered."""
    half = sources / ".half.tuning" / "checkpoint.pt"
    content = torch.load(half, weights_only=True)
    yield "training that goes on", partial(_resumed, sources / "h", half, (), None)
    for place, value in places(content):
        if place[0] in ("schema", "identity"):
            continue
        tensor = isinstance(value, torch.Tensor)
        odd = (
            TENSORS
            if tensor
            else (*VALUES, float("inf"), 10**11, REMOVED, -1, (), {"x": 1}, [[1, 2, 3]], torch.zeros(3))
        )
        number = (len(str(place)) * 3) % len(odd)
        yield (
            f"training with {'.'.join(map(str, place))} as {number}",
            partial(_resumed, sources / "h", half, place, odd[number]),
        )


#: What a tensor is altered to.
TENSORS: tuple[Callable[[torch.Tensor], Any], ...] = (
    lambda given: given.flatten()[:1].expand(10**6, 10**5), lambda given: given.double() * float("nan"),
    lambda given: given.to(torch.complex64), lambda given: given.to("meta"), lambda given: given.to_sparse(),
    lambda given: given > 0, lambda given: given[None], lambda given: given.flatten()[:0], lambda given: "x",
)  # fmt: skip


def _resumed(artifact: Path, half: Path, place: tuple[Any, ...], value: Any, folder: Path) -> list[str]:
    shutil.copytree(artifact, folder / "h")
    content = torch.load(half, weights_only=True)
    if place:
        given = content
        for key in place:
            given = given[key]
        altered(content, place, value(given) if value in TENSORS else value)
    (folder / ".tuned.tuning").mkdir()
    torch.save(content, folder / ".tuned.tuning" / "checkpoint.pt")
    return ["tune", "./h", *UNFINISHED, "-o", "tuned"]


def _lists(sources: Path) -> Iterator[tuple[str, Case]]:
    """Plans that are large, and say what nobody asked for."""
    for name, more in {
        "15 MiB of another's words": {"later": "x" * 15 * 2**20},
        "a million of another's keys": {f"k{k}": 0 for k in range(10**6)},
        "notes of 16 MiB": {"notes": ["x" * 99_999] * 160},
    }.items():  # fmt: skip
        for verb in ("tune", "verify"):
            yield f"plan.json with {name}: {verb}", partial(_more, sources / "h", more, verb)


def _more(artifact: Path, more: dict[str, Any], verb: str, folder: Path) -> list[str]:
    shutil.copytree(artifact, folder / "h")
    plan = json.loads((folder / "h" / "plan.json").read_text()) | more
    (folder / "h" / "plan.json").write_text(json.dumps(plan))
    return command(verb, "./h")
