"""A disk that fills up during the work fails the run with a sentence, and leaves what was there."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from small_hybrid import IMAGES, compile

import stitchc
from stitchc import stale, zoo
from stitchc.cache import Store, key_of
from stitchc.check.record import append, read
from stitchc.passes.data.errors import OutputError
from stitchc.report.html import write_page

resource = pytest.importorskip("resource", reason="limits of Unix stand for a full disk")
FULL = "cannot be written: .*File too large"


@contextmanager
def limit(size_bytes: int) -> Iterator[None]:
    """No file may grow beyond this: the system's own error, as of a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(autouse=True)
def told_by_an_error(monkeypatch):
    monkeypatch.setattr(stale, "_TRIED", 1)  # so that the work begins
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGXFSZ, before)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    compile(tmp_path_factory.mktemp("whole") / "out")
    return tmp_path_factory.getbasetemp() / "whole0" / "out"


@pytest.mark.parametrize("largest", range(6))
def test_whichever_file_of_an_artifact_it_is(largest, whole, tmp_path):
    sizes = sorted(path.stat().st_size for path in whole.iterdir())
    assert len(sizes) == 6
    with limit(int(0.95 * sizes[largest])), pytest.raises(OutputError, match=FULL):
        compile(tmp_path / "new" / "out")
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_and_is_replaced_when_there_is_room(tmp_path):
    compile(tmp_path / "out")
    (tmp_path / "out" / "thesis.docx").write_text("years")
    before = files(tmp_path)
    with limit(3000), pytest.raises(OutputError, match=FULL):
        compile(tmp_path / "out", force=True, seed=1)
    assert files(tmp_path) == before
    compile(tmp_path / "out", force=True, seed=1)
    assert files(tmp_path).keys() == before.keys() and files(tmp_path) != before


def test_a_training_that_cannot_be_saved(whole, tmp_path):
    before = files(whole)
    with limit(1000), pytest.raises(OutputError, match=FULL):
        stitchc.tune(whole, IMAGES, epochs=1, batch=8, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == [] and files(whole) == before
    stitchc.tune(whole, IMAGES, epochs=1, batch=8, out=tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: zoo.pack("digits/plain", folder / "a.pt"),
        lambda folder: zoo.pack("digits/plain", folder / "a.safetensors"),
        lambda folder: write_page(folder / "a.html", "title", ["text" * 1000]),
    ],
)
def test_single_files(write, tmp_path):
    with limit(1000), pytest.raises(OutputError, match=FULL):
        write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_cache_without_room_is_no_error(tmp_path, monkeypatch):
    monkeypatch.setenv("STITCHC_CACHE_DIR", str(tmp_path))
    with limit(1000):
        Store("grams").write(key_of("k"), bytes(5000))
    assert Store("grams").read(key_of("k")) is None and files(tmp_path) == {}


@pytest.mark.parametrize("room", [30, 45, 70])
def test_a_record_keeps_its_whole_lines(room, tmp_path):
    path = tmp_path / "record.jsonl"
    append(path, {"model": "a", "params": 1})
    with limit(room), pytest.raises(OutputError, match=FULL):
        append(path, {"model": "b", "reason": "x" * 50})
    assert list(read(path).models) == ["a"] and path.read_bytes().endswith(b"\n")
    append(path, {"model": "b"})
    assert list(read(path).models) == ["a", "b"]
