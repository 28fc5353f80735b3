"""Files of strangers are refused before they take time or memory: on the word of a header, of a size, of a kind."""

import io
import lzma
import os
import struct
import tarfile
import time
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image
from tiny_pictures import PLAIN, content, fill, labelled, values

from stitchc import zoo
from stitchc.passes.data.errors import DataError
from stitchc.passes.data.model import InputSpec
from stitchc.zoo import arrays
from stitchc.zoo.pictures import decoded
from stitchc.zoo.transforms import pixels

GIB = 1 << 30


@pytest.fixture(autouse=True)
def little():
    """Each within seconds and, of Python's and numpy's memory, a few hundred MB."""
    tracemalloc.start()
    start = time.perf_counter()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert time.perf_counter() - start < 10 and peak < 600e6


def png(width: int, height: int, rows: int | None = None) -> bytes:
    """A grey picture that says it is of that size; `rows` of it are there."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes((width + 1) * (height if rows is None else rows)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def refused(words: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        values(zoo.images(words))


def test_a_picture_is_refused_by_its_header_when_it_would_be_too_large(tmp_path):
    (tmp_path / "huge.png").write_bytes(png(40_000, 40_000, rows=1))
    refused(f"folder:{tmp_path}", "huge.png is no picture that can be read|huge.png has 40,000 x 40,000 pixels")
    (tmp_path / "huge.png").write_bytes(png(21_000, 20_000, rows=1))
    refused(f"folder:{tmp_path}", "no picture that can be read|huge.png has 21,000 x 20,000 pixels")


@pytest.mark.parametrize("content", [b"", b"hello"])
def test_what_is_no_picture_is_named_by_its_file_alone(tmp_path, content):
    (tmp_path / "broken.png").write_bytes(content)
    refused(f"folder:{tmp_path}", r"broken\.png is no picture that can be read: its format is not known\n")


def test_a_line_of_a_million_pixels_is_refused_before_it_is_resized(tmp_path):
    (tmp_path / "line.png").write_bytes(png(1, 1_000_000))
    with pytest.raises(DataError, match=r"line.png: a picture of 1 x 1,000,000 pixels would be resized to 224 x"):
        next(zoo.images(f"folder:{tmp_path}").batches(InputSpec((3, 224, 224), (0.0,) * 3, (1.0,) * 3), 1))


@pytest.mark.parametrize(
    "spec",
    [
        InputSpec((3, 224, 224), (0.0,) * 3, (1.0,) * 3, crop=1e-4),
        InputSpec((3, 100_000, 100_000), (0.0,) * 3, (1.0,) * 3),
    ],
)
def test_an_input_that_asks_for_a_huge_picture_is_refused(spec):
    with pytest.raises(DataError, match="would be resized to"):
        pixels(Image.new("RGB", (8, 8)), spec)


def test_a_file_of_gibibytes_is_refused_by_its_size(tmp_path):
    with (tmp_path / "big.png").open("wb") as file:
        file.truncate(8 * GIB)
    refused(f"folder:{tmp_path}", r"big.png has 8,589,934,592 bytes")


def test_pipes_and_devices_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.tar")
    for words in (f"tar:{tmp_path}/pipe.tar", f"npz:{tmp_path}/pipe.tar", "tar:/dev/zero", "npz:/dev/zero"):
        refused(words, "there is no file")
    os.mkfifo(tmp_path / "pipe.png")
    refused(f"folder:{tmp_path}", r"holds no pictures \(skipped: .*1 that cannot be read \(pipe.png\)")


def sparse(name: str, size: int) -> bytes:
    """The header of a GNU sparse member that unpacks to `size` bytes of nothing."""
    member = tarfile.TarInfo(name)
    member.type = tarfile.GNUTYPE_SPARSE
    block = bytearray(member.tobuf(tarfile.GNU_FORMAT))
    block[386:398], block[398:410] = b"%011o\0" % size, b"%011o\0" % 0
    block[483:495] = b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_a_sparse_tar_is_no_bomb(tmp_path):
    data = content(5)
    member = tarfile.TarInfo("ant/a.png")
    member.size = len(data)
    body = sparse("ant/zeros.png", 8 * GIB - 1) + member.tobuf() + data.ljust(-len(data) % 512 + len(data), b"\0")
    (tmp_path / "a.tar").write_bytes(body + bytes(1024))
    images = zoo.images(f"tar:{tmp_path}/a.tar")
    assert values(images) == [5] and "1 that cannot be read (ant/zeros.png)" in images.notes[0]
    (tmp_path / "a.tar.xz").write_bytes(lzma.compress(body + bytes(1024)))
    refused(f"tar:{tmp_path}/a.tar.xz", "unpacks to more than")


def test_a_member_of_gibibytes_and_an_archive_of_zeros_are_refused(tmp_path):
    member = tarfile.TarInfo("ant/a.png")
    member.size = 2 * GIB
    with (tmp_path / "a.tar").open("wb") as file:
        file.write(member.tobuf())
        file.truncate(2 * GIB + 2048)
    refused(f"tar:{tmp_path}/a.tar", r"ant/a.png has 2,147,483,648 bytes")
    bomb = lzma.compress(member.tobuf() + bytes(1 << 22))
    (tmp_path / "a.tar.xz").write_bytes(bomb)
    refused(f"tar:{tmp_path}/a.tar.xz", "200 times its own size")


def test_a_tar_header_of_gibibytes_is_not_read(tmp_path):
    member = tarfile.TarInfo("x")
    member.type, member.size = tarfile.XHDTYPE, 4 * GIB
    with (tmp_path / "a.tar").open("wb") as file:
        file.write(member.tobuf())
        file.truncate(4 * GIB + 2048)
    refused(f"tar:{tmp_path}/a.tar", "a header of 4,294,967,296 bytes")


def header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": dtype, "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def test_an_npz_of_zeros_is_refused_and_one_that_is_stored_is_mapped(tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "READ_BYTES", 1 << 16)
    numbers = np.arange(60, dtype=np.uint8).repeat(100 * 100).reshape(60, 100, 100)
    np.savez_compressed(tmp_path / "a.npz", images=numbers * 0)
    refused(f"npz:{tmp_path}/a.npz", "more than 100 times its size")
    np.savez(tmp_path / "b.npz", images=numbers, labels=np.arange(60))
    assert all(value == label for value, label in labelled(zoo.images(f"npz:{tmp_path}/b.npz")).items())


def test_an_npz_whose_header_lies_is_refused(tmp_path):
    for shape, dtype in (((1 << 40, 8, 8), "|u1"), ((4, 8, 8), "|O")):
        with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive, archive.open("images.npy", "w") as file:
            file.write(header(shape, dtype) + bytes(256))
        refused(f"npz:{tmp_path}/a.npz", r"cannot be read as \.npz")
    np.savez(tmp_path / "b.npz", images=np.zeros((2, 4, 4), np.uint8), labels=np.array([0, -1]))
    refused(f"npz:{tmp_path}/b.npz", "a label is -1")


def test_only_formats_of_pictures_are_opened_whatever_a_file_is_called():
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n"
    with pytest.raises(DataError, match=r"x\.png is no picture"):
        decoded(script, "x.png")
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        buffer = io.BytesIO()
        Image.new("RGB", (4, 4), (9, 9, 9)).save(buffer, kind)
        assert decoded(buffer.getvalue(), "x.png").size == (4, 4)


def test_a_number_of_hundreds_of_digits_and_a_name_of_thousands_are_refused(tmp_path):
    refused(f"digits?limit={'9' * 5000}", "limit is")
    refused("random?limit=999999999999", "images of noise were asked for")
    refused(f"folder:{'x' * 5000}", "there is no folder")
    refused("folder:~nobody-of-this-name/x", "there is no folder")


# Numbers whose range nobody stated


def test_pictures_of_32_bits_and_floats_are_refused_by_name(tmp_path):
    fill(tmp_path, {"a.png": 1})
    for kind, numbers in (("floats", np.full((8, 8), 0.5, "f4")), ("integers", np.full((8, 8), 70_000, "i4"))):
        buffer = io.BytesIO()
        Image.fromarray(numbers).save(buffer, "TIFF")
        (tmp_path / "b.tif").write_bytes(buffer.getvalue())
        with pytest.raises(DataError, match=rf"b\.tif holds {kind} of 32 bits") as caught:
            list(zoo.images(f"folder:{tmp_path}").batches(PLAIN, 4))
        assert "8 or 16 bits" in caught.value.hint
        with pytest.raises(DataError, match="32 bits"):
            pixels(Image.fromarray(numbers), PLAIN)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bits_of_every_format_are_scaled(kind):
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1024
    buffer = io.BytesIO()
    if kind == "PPM":  # whose 16 bits not every Pillow writes, and every one reads
        buffer.write(b"P5 8 8 65535\n" + deep.astype(">u2").tobytes())
    else:
        Image.fromarray(deep).save(buffer, kind)
    found = pixels(decoded(buffer.getvalue(), "x"), InputSpec((1, 8, 8), (0.0,), (1.0,)))
    assert np.array_equal(found[0], deep // 256)


def test_a_mode_that_cannot_be_converted_is_refused_in_a_sentence():
    with pytest.raises(DataError, match="mode LAB cannot be converted"):
        pixels(Image.new("LAB", (8, 8)), InputSpec((1, 8, 8), (0.0,), (1.0,)))
