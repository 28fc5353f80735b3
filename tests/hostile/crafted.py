"""Hostile inputs that somebody thought out, each for one reader: what asks for more than it holds, what never ends,
what leads elsewhere. See `values` for what a case is."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from values import Case

MANY = 10**10  # of anything: more than there is memory for


def crafted(artifact: Path, checkpoint: Path) -> Iterator[tuple[str, Case]]:
    """artifact: a whole one. checkpoint: one of digits/plain."""
    yield from _documents(artifact)
    yield from _pickles()
    yield from _tensors(checkpoint)
    yield from _zips()
    yield from _programs(checkpoint)
    yield from _archives()
    yield from _pictures()
    yield from _folders(artifact)
    yield from _records()


def _written(files: dict[str, str | bytes], arguments: list[str], folder: Path) -> list[str]:
    for name, content in files.items():
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return arguments


def _documents(artifact: Path) -> Iterator[tuple[str, Case]]:
    unended = '"' + '\\"' * 10**6
    listed = "[" + "[]," * 5_500_000 + "[]]"
    for name, text in {
        "a text that does not end": unended, "millions of lists": listed, "a long number": "[" + "9" * 10**6 + "]",
        "halves of characters": '{"schema": "\\ud800"}',
    }.items():  # fmt: skip
        yield f"plan.json with {name}", partial(_with_file, artifact, "plan.json", text)
    parts = ".".join("a" * 300_000)
    long = "x = [1\n" * 100_000
    options = '\nprobe_images = 16\ntop = 3\nseed = 1\nopset = 17\nrank = "cka"\nheal = "none"\ntrust = true'
    recipes = {
        "a text that does not end": f"a = {unended}",
        "a key of many parts in a table": f"a = {{{parts} = 1}}",
        "a header of many parts": f"[{parts}]",
        "a long text before its options": f'front = """\n{long}"""{options}',
        "a class of very many": 'a = "digits/plain"\nb = "digits/vit"\nhead = "classes=0-99999999999=a,1=b"',
        "neighbours without end": f'a = "digits/plain"\nb = "digits/vit"\nhead = "knn={"9" * 5000}"',
        "a long path": f'a = "{"a" * 5000}"\nb = "digits/plain"',
        "a long path of images": f'a = "digits/plain"\nb = "digits/vit"\ndata = "folder:{"a" * 5000}"',
        "a path with a null": 'a = "\\u0000.pt"\nb = "digits/plain"',
        "a long path to measure against": f'a = "digits/plain"\nb = "digits/vit"\nagainst = ["{"a" * 5000}"]',
        "code to measure against": 'a = "digits/plain"\nb = "digits/vit"\nagainst = ["evil.py:make"]',
        "an artifact to measure against": 'a = "digits/plain"\nb = "digits/vit"\nagainst = ["./evil"]',
    }
    for name, text in recipes.items():
        yield f"recipe with {name}", partial(_written, {"r.toml": text}, ["compile", "--recipe", "r.toml", "--dry-run"])
    devices = {
        "an escape in a name": '["\\u001b[2J\\u202e"]\nmacs = "50%"', "a long number": f"[a]\nmacs = {'9' * 5000}",
        "nothing in it": "", "no number": "[a]\nmacs = nan", "a list": 'a = ["50%"]',
        "times of nothing": '[a]\nlatency = "1ms"\n[a.ms]\n"digits/plain" = {}',
        "many parts": f"[a]\nx = {{{parts} = 1}}",
    }  # fmt: skip
    for name, text in devices.items():
        yield f"devices with {name}", partial(
            _written, {"d.toml": text},
            ["family", "digits/plain", "digits/vit", "--for", "d.toml", "--dry-run", "--data", "digits?limit=16"],
        )  # fmt: skip


def _with_file(artifact: Path, name: str, text: str, folder: Path) -> list[str]:
    shutil.copytree(artifact, folder / "h")
    (folder / "h" / name).write_text(text)
    return ["verify", "./h"]


class _Call:
    """What a pickle makes by calling a function."""

    def __init__(self, function: Any, *arguments: Any, state: Any = None):
        self.said = (function, arguments) if state is None else (function, arguments, state)

    def __reduce__(self) -> Any:
        return self.said


def _pickles() -> Iterator[tuple[str, Case]]:
    import _codecs

    rebuild = np.zeros(0).__reduce__()[0]  # its module has another name in numpy 1
    doubled: Any = _Call(_codecs.encode, "x" * 100, "latin1")
    for _ in range(30):
        doubled = _Call(_codecs.encode, doubled, "hex")
    hidden = _Call(torch._tensor._rebuild_from_type_v2, bytearray, torch.Tensor, (MANY,), {})
    forged = _Call(np.dtype, "f8", False, True, state=(3, "<", None, None, None, -1, -1, 63))
    array = _Call(rebuild, np.ndarray, (0,), b"b", state=(1, (MANY,), forged, False, [0.0]))
    for name, value in {
        "bytes by their number": _Call(bytearray, MANY), "a text that doubles": doubled,
        "bytes by their number, called by another": hidden,
        "an array by its shape": _Call(rebuild, np.ndarray, (MANY,), b"O"),
        "numbers of a forged kind": array, "a tensor by its size": _Call(torch.FloatTensor, MANY),
    }.items():  # fmt: skip
        yield f"pickle with {name}", partial(_pickled, value)
    deep = b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."
    yield "pickle with lists in lists", partial(_zipped, {"a/data.pkl": deep, "a/version": b"3\n"}, "a.pt")
    steps = b"\x80\x02" + b"N0" * 5_000_000 + b"N."
    yield "pickle of very many steps", partial(_zipped, {"a/data.pkl": steps, "a/version": b"3\n"}, "a.pt")
    yield "plain pickle of very many steps", partial(_written, {"a.pt": steps}, ["inspect", "a.pt"])
    yield (
        "pickle of very many steps, packed",
        partial(_zipped, {"a/data.pkl": steps * 3, "a/version": b"3\n", "a/x": os.urandom(2**21)}, "a.pt"),
    )


def _pickled(value: Any, folder: Path) -> list[str]:
    """A checkpoint with `value` in it, beside a tensor."""
    content = pickle.dumps({"arch": "digits/plain", "x": value}, protocol=2)
    return _zipped({"a/data.pkl": content, "a/version": b"3\n", "a/byteorder": b"little"}, "a.pt", folder)


def _zipped(members: dict[str, bytes], name: str, folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_DEFLATED) as made:
        for member, content in members.items():
            made.writestr(member, content)
    return ["inspect", name]


def _tensors(checkpoint: Path) -> Iterator[tuple[str, Case]]:
    weights = torch.load(checkpoint, weights_only=True)["state_dict"]
    name = next(iter(weights))
    real = weights[name]
    odd = {
        "no numbers": real.to("meta"), "few numbers": real.to_sparse(), "complex numbers": real.to(torch.complex64),
        "codes": torch.quantize_per_tensor(real, 0.1, 0, torch.qint8), "small floats": real.to(torch.float8_e4m3fn),
        "truths": real > 0, "one number seen everywhere": torch.zeros(()).expand(10**6, 10**6),
        "no elements": torch.zeros(0, 10**9),
    }  # fmt: skip
    for said, tensor in odd.items():
        yield f"checkpoint with a tensor of {said}", partial(_saved, {**weights, name: tensor}, {})
    yield (
        "checkpoint of ten million classes",
        partial(_saved, weights, {"stitchc": 1, "record": {"name": "a", "classes": 10**7}}),
    )
    for arch in ("digits/plain?num_classes=10000000", "timm/vit_giant_patch14_clip_224", "torchvision/vit_h_14"):
        yield f"checkpoint of {arch}", partial(_saved, weights, {"arch": arch})
    yield (
        "checkpoint of large images",
        partial(_saved, weights, {"stitchc": 1, "record": {"size": [1, 65536, 65536]}}, verb="eval"),
    )
    yield "safetensors of very many tensors", _many_tensors
    yield "safetensors of tensors named twice", _repeated


def _saved(weights: dict[str, Any], said: dict[str, Any], folder: Path, verb: str = "inspect") -> list[str]:
    torch.save({"arch": "digits/plain", **said, "state_dict": weights}, folder / "a.pt")
    return [verb, "a.pt", *(["--data", "digits?limit=4"] if verb == "eval" else [])]


def _many_tensors(folder: Path) -> list[str]:
    header = json.dumps({f"{k}": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for k in range(1_000_000)})
    (folder / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header.encode())
    return ["inspect", "a.safetensors", "--arch", "digits/plain"]


def _repeated(folder: Path) -> list[str]:
    entry = '"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}'
    header = f"{{{entry}, {entry}}}"
    (folder / "a.safetensors").write_bytes(struct.pack("<Q", len(header)) + header.encode() + b"x")
    return ["inspect", "a.safetensors", "--arch", "digits/plain"]


def _zips() -> Iterator[tuple[str, Case]]:
    for name in ("a.pt", "a.pt2", "a.npz"):
        yield f"zip of very many members: {name}", partial(_of_many, name)
        yield f"zip with a null in a name: {name}", partial(_renamed, "a/data.pkl", "a/dat\0.pkl", name)
        yield f"zip with a member outside: {name}", partial(_renamed, "a/data.pkl", "../../b.pkl", name)


def _command(name: str) -> list[str]:
    return ["eval", "digits/plain", "--data", f"npz:{name}"] if name.endswith("npz") else ["inspect", name]


def _of_many(name: str, folder: Path) -> list[str]:
    """A directory of members that all are the one empty file at the beginning."""
    count = 1_000_000
    local = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 0, 0, 1, 0) + b"x"
    entry = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0)
    central = b"".join(entry + b"%07d" % number for number in range(count))
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(central), len(local))
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(local) + len(central), 1)
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    (folder / name).write_bytes(local + central + end64 + locator + end)
    return _command(name)


def _renamed(before: str, after: str, name: str, folder: Path) -> list[str]:
    _zipped({before: pickle.dumps({}, protocol=2)}, name, folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(
        content.replace(before.encode(), after.encode()[: len(before)].ljust(len(before), b"x"))
    )
    return _command(name)


def _programs(checkpoint: Path) -> Iterator[tuple[str, Case]]:
    class Small(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x + 1).flatten(1) @ torch.ones(64, 10)

    made = io.BytesIO()
    torch.export.save(torch.export.export(Small().eval(), (torch.zeros(2, 1, 8, 8),)), made)
    content = made.getvalue()
    operator = b'"torch.ops.aten.add.Tensor"'
    for target in (
        "torch.ops.aten.__dict__.clear", "torch.ops.aten.__class__", "torch.ops.aten.__setattr__",
        "torch.ops.aten._dir.clear", "torch.ops.aten.add.__init__", "torch.ops.aten.from_file", "torch.ops.aten.no",
    ):  # fmt: skip
        yield f"program that calls {target}", partial(_program, content, operator, json.dumps(target).encode())
    yield (
        "program of millions of lists",
        partial(_program, content, b'"schema_version"', b'"x": [' + b"[]," * 30_000_000 + b'[]], "schema_version"'),
    )
    yield "program with a text that does not end", partial(_program, content, operator, b'"' + b'\\"' * 10**6)


def _program(content: bytes, before: bytes, after: bytes, folder: Path) -> list[str]:
    """The program with a piece of its graph replaced."""
    found = 0
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(folder / "a.pt2", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            member = old.read(name)
            if "/models/" in name:
                found += member.count(before)
                member = member.replace(before, after, 1)
            new.writestr(name, member)
        new.writestr("archive/extra/x", os.urandom(10**7 if len(after) > 10**7 else 1))
    assert found
    return ["inspect", "a.pt2"]


def _archives() -> Iterator[tuple[str, Case]]:
    deep = "a/" * 100_000 + "x.png"
    members = {
        "a folder in a folder in a folder": [(deep, tarfile.REGTYPE, "")],
        "a device": [("a/x.png", tarfile.CHRTYPE, "")],
        "a pipe": [("a/x.png", tarfile.FIFOTYPE, "")],
        "a link outside": [("a/x.png", tarfile.SYMTYPE, "../../../thesis.docx")],
        "a hard link outside": [("a/x.png", tarfile.LNKTYPE, "../thesis.docx")],
        "hard links in a circle": [("a/x.png", tarfile.LNKTYPE, "a/y.png"), ("a/y.png", tarfile.LNKTYPE, "a/x.png")],
        "a folder that is a link to itself": [("a", tarfile.SYMTYPE, "a"), ("a/x.png", tarfile.REGTYPE, "")],
        "a name outside": [("../x.png", tarfile.REGTYPE, ""), ("/x.png", tarfile.REGTYPE, "")],
        "an escape in a name": [("\x1b[2J\u202e/x.png", tarfile.REGTYPE, "")],
        "a file that is a folder too": [("a/x.png", tarfile.REGTYPE, ""), ("a/x.png/y.png", tarfile.REGTYPE, "")],
    }
    for name, held in members.items():
        yield f"tar with {name}", partial(_tar, held, {})
    for key, value in {
        "size": "-1", "path": "\0", "mtime": "nan", "GNU.sparse.map": "0,1,2", "linkpath": "x" * 10**5,
        "uid": "9" * 5000,
    }.items():  # fmt: skip
        yield f"tar whose header says {key}", partial(_tar, [("a/x.png", tarfile.REGTYPE, "")], {key: value})
    yield "tar of very many files", _many_files
    yield "tar of very many folders in folders", partial(_many_folders)


def _tar(members: list[tuple[str, bytes, str]], more: dict[str, str], folder: Path) -> list[str]:
    with tarfile.open(folder / "a.tar", "w", format=tarfile.PAX_FORMAT) as made:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.pax_headers = kind, link, more
            made.addfile(info)
    return ["eval", "digits/plain", "--data", "tar:a.tar"]


def _many_files(folder: Path) -> list[str]:
    block = b"".join(tarfile.TarInfo(f"{k:06}.png").tobuf() for k in range(1000))
    with gzip.open(folder / "a.tar", "wb", 9) as made:
        for _ in range(520):
            made.write(block)
    return ["eval", "digits/plain", "--data", "tar:a.tar"]


def _many_folders(folder: Path) -> list[str]:
    with tarfile.open(folder / "a.tar", "w:gz", format=tarfile.PAX_FORMAT) as made:
        for letter in "abcdefghijklmnopqrstuvwxyz":
            made.addfile(tarfile.TarInfo(f"{letter}/" * 400_000 + "x.png"))
    return ["eval", "digits/plain", "--data", "tar:a.tar"]


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(side: int, kind: int, *chunks: bytes, depth: int = 8, per_pixel: int = 1) -> bytes:
    head = _chunk(b"IHDR", struct.pack(">2I5B", side, side, depth, kind, 0, 0, 0))
    row = bytes(1 + side * per_pixel * depth // 8)
    packer, packed = zlib.compressobj(9), b""
    for _ in range(side):
        packed += packer.compress(row)
    return (
        b"\x89PNG\r\n\x1a\n" + head + b"".join(chunks) + _chunk(b"IDAT", packed + packer.flush()) + _chunk(b"IEND", b"")
    )


def _pictures() -> Iterator[tuple[str, Case]]:
    bomb = zlib.compress(bytes(2**27), 9)
    palette = _chunk(b"PLTE", bytes(768)) + _chunk(b"tRNS", bytes(256))
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(canary) (w) file closefile\nshowpage\n"
    named = {
        "texts that unpack": _png(8, 2, _chunk(b"zTXt", b"a\0\0" + bomb), per_pixel=3),
        "a profile that unpacks": _png(8, 2, _chunk(b"iCCP", b"a\0\0" + bomb), per_pixel=3),
        "many texts": _png(8, 2, *[_chunk(b"tEXt", b"a\0" + bytes(10**6))] * 70, per_pixel=3),
        "a chunk of 4 GiB": b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">2I5B", 8, 8, 8, 2, 0, 0, 0))
        + b"\xff\xff\xff\xff" + b"IDAT" + b"x",
        "the largest size": _png(8192, 0), "the largest size, and a palette": _png(8192, 3, palette),
        "the largest size of 16 bits": _png(8191, 0, depth=16, per_pixel=2),
        "the largest size, and transparency": _png(8191, 6, per_pixel=4),
        "PostScript in it": eps, "a number of pixels that is long": b"P6 " + b"9" * 5000 + b" 9 255\n",
        "a long header": b"P6\n" + b"# x\n" * 10**6, "a name of a format alone": b"II*\0\xff\xff\xff\xff",
    }  # fmt: skip
    for name, content in named.items():
        yield (
            f"picture with {name}",
            partial(_written, {"images/a/x.png": content}, ["eval", "digits/plain", "--data", "folder:images"]),
        )
    for name, make in {
        "a device": lambda place: place.symlink_to("/dev/zero"), "a pipe": os.mkfifo,
        "itself": lambda place: place.symlink_to(place), "a folder": Path.mkdir,
    }.items():  # fmt: skip
        yield f"picture that is {name}", partial(_placed, make)
    yield (
        "folder in which it lies itself",
        partial(_placed, lambda place: place.symlink_to("..", True), name="images/a/b"),
    )
    yield (
        "folder of a name that a terminal obeys",
        partial(_written, {"images/\x1b[2J\u202e/x.png": b"x"}, ["eval", "digits/plain", "--data", "folder:images"]),
    )
    yield (
        "class of a large number",
        partial(
            _written,
            {f"images/{'9' * 200}.png": b"x"},
            ["eval", "digits/plain", "--data", "folder:images?labels=prefix"],
        ),
    )
    for form, files in {
        "pets": {
            "annotations/trainval.txt": "x 1 1 1\n", "annotations/test.txt": "../../../x 1 1 1\n", "images/x.jpg": eps,
        },
        "dtd": {f"labels/{split}1.txt": "a/x.jpg\n" for split in ("train", "val", "test")} | {"images/a/x.jpg": eps},
        "food101": {"meta/train.json": '{"a": ["a/x"]}', "meta/test.json": "[" * 100_000, "images/a/x.jpg": eps},
        "imagenette": {"train/a/x.jpg": eps},
    }.items():  # fmt: skip
        root = {"pets": "oxford-iiit-pet/", "dtd": "dtd/dtd/", "food101": "food-101/", "imagenette": ""}[form]
        for split in ("train", "test"):
            yield f"{form} with a picture that is a program, {split}", partial(
                _written, {f"d/{root}{name}": content for name, content in files.items()},
                ["eval", "digits/plain", "--data", f"{form}:d?split={split}"],
            )  # fmt: skip
    yield "npz of a quarter of a thousand million labels", _many_labels


def _placed(make: Callable[[Path], Any], folder: Path, name: str = "images/a/x.png") -> list[str]:
    (folder / "images" / "a").mkdir(parents=True)
    make(folder / name)
    return ["eval", "digits/plain", "--data", "folder:images"]


def _many_labels(folder: Path) -> list[str]:
    count = 15 * 2**24
    with zipfile.ZipFile(folder / "a.npz", "w", zipfile.ZIP_DEFLATED) as made:
        for name, shape in (("images", (count, 1, 1)), ("labels", (count,))):
            with made.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
                for _ in range(0, count, 2**24):
                    file.write(bytes(2**24))
    return ["eval", "digits/plain", "--data", "npz:a.npz"]


def _folders(artifact: Path) -> Iterator[tuple[str, Case]]:
    for name in ("plan.json", "recipe.toml", "model.py", "model.safetensors", "README.md", "report.html"):
        for said, make in {
            "a pipe": os.mkfifo, "a device": lambda place: place.symlink_to("/dev/zero"),
            "a file of the user": lambda place: place.symlink_to("../thesis.docx"),
            "itself": lambda place: place.symlink_to(place.name),
        }.items():  # fmt: skip
            verb = "verify" if name != "recipe.toml" else "tune"
            yield f"artifact whose {name} is {said}", partial(_relinked, artifact, name, make, verb)
            yield f"artifact whose {name} is {said}, replaced", partial(_relinked, artifact, name, make, "compile")
    for said, make in {
        "a link to a folder of the user": lambda place: place.symlink_to("mine"),
        "a link to itself": lambda place: place.symlink_to(place.name),
        "a file": lambda place: place.write_text("x"),
    }.items():  # fmt: skip
        yield f"training in a folder that is {said}", partial(_training, artifact, make)
    for said, make in {
        "a pipe": os.mkfifo, "a device": lambda place: place.symlink_to("/dev/zero"), "a folder": Path.mkdir,
        "another training": lambda place: torch.save({"schema": 1, "identity": {}}, place),
        "a training without steps": lambda place: torch.save({"schema": 1, "identity": {"x": 1}, "state": {}}, place),
        "a training of words": lambda place: torch.save({"schema": "\x1b[2J", "identity": {"\x1b[2J": "x"}}, place),
    }.items():  # fmt: skip
        yield f"training whose checkpoint is {said}", partial(_begun, artifact, make)


def _relinked(artifact: Path, name: str, make: Callable[[Path], Any], verb: str, folder: Path) -> list[str]:
    shutil.copytree(artifact, folder / "h")
    (folder / "h" / name).unlink()
    make(folder / "h" / name)
    data = ["--data", "digits?limit=8"]
    return {
        "verify": ["verify", "./h"],
        "tune": ["tune", "./h", *data, "--epochs", "1", "--batch", "8", "-o", "tuned"],
        "compile": ["compile", "no.pt", "digits/plain", "-o", "h", "--force", *data],
    }[verb]


_TUNE = ["tune", "./h", "--data", "digits?limit=32", "--epochs", "1", "--batch", "8", "-o", "tuned"]


def _training(artifact: Path, make: Callable[[Path], Any], folder: Path) -> list[str]:
    shutil.copytree(artifact, folder / "h")
    (folder / "mine").mkdir()
    (folder / "mine" / "checkpoint.pt").write_text("years")
    make(folder / ".tuned.tuning")
    return [*_TUNE, "--restart"]


def _begun(artifact: Path, make: Callable[[Path], Any], folder: Path) -> list[str]:
    shutil.copytree(artifact, folder / "h")
    (folder / ".tuned.tuning").mkdir()
    make(folder / ".tuned.tuning" / "checkpoint.pt")
    return _TUNE


def _records() -> Iterator[tuple[str, Case]]:
    whole = {"model": "digits/plain", "steps": {"load": 0.1}, "failed": "load", "reason": "\x1b[2J\u202e|<b>"}
    lines: dict[str, bytes] = {
        "no text": b"\xff\xfe\n", "a name that a terminal obeys": json.dumps(whole).encode() + b"\n",
        "a long line that does not end": b'"' + b'\\"' * 10**6 + b"\n", "deep lists": b"[" * 100_000 + b"\n",
        "a run of nothing": b'{"run": 1}\n', "a run": b'{"run": {"date": [], "machine": 1, "versions": 2}}\n',
        "a list": b"[]\n", "halves of characters": json.dumps(whole | {"reason": "\ud800"}).encode() + b"\n",
        **{
            f"{key} of another kind": json.dumps(whole | {key: value}).encode() + b"\n"
            for key, value in {
                "steps": "x", "layouts": 5, "differences": {"graph": "x"}, "params": "many", "notes": 1, "model": 1,
                "failed": 1, "nodes": [], "macs": 10**400,
            }.items()
        },
    }  # fmt: skip
    for name, content in lines.items():
        yield f"record of a check with {name}", partial(
            _written, {"r.jsonl": content},
            ["zoo", "check", "digits/plain", "--out", "r.jsonl", "--table", "tuned", "--until", "load"],
        )  # fmt: skip
