"""What is kept is found by what it depends on; what cannot be kept is no error."""

import json
import os

import pytest

from stitchc import cache
from stitchc.cache import Store, key_of
from stitchc.cli import main

K = key_of("k")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("STITCHC_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_what_was_kept_is_found_under_its_key_and_kind_only():
    store = Store("grams")
    assert store.read(K) is None
    store.write(K, b"first")
    store.write(K, b"again")
    assert store.read(K) == b"again"
    assert store.read(key_of("l")) is None and Store("latency").read(K) is None


def test_a_key_depends_on_every_part_and_on_where_parts_end():
    keys = [cache.key_of(*parts) for parts in (("ab", "c"), ("a", "bc"), ("ab", "d"), ("abc",), ("c", "ab"))]
    assert len(set(keys)) == len(keys)
    assert cache.key_of("ab", b"c") == cache.key_of(b"ab", "c")


def test_a_cache_that_cannot_be_written_is_no_error(place):
    place.write_text("a file where the folder would be")
    Store("grams").write(K, b"lost")
    assert Store("grams").read(K) is None
    assert cache.entries() == [] and cache.clean() == []


def test_cleaning_deletes_a_kind_or_all():
    for kind in ("grams", "latency"):
        Store(kind).write(K, b"12345")
    assert [(e.kind, e.size_bytes) for e in cache.entries()] == [("grams", 5), ("latency", 5)]
    assert [e.kind for e in cache.clean(["grams"])] == ["grams"]
    assert [e.kind for e in cache.entries()] == ["latency"]
    cache.clean()
    assert cache.entries() == []


def test_the_verbs_show_where_it_is_what_it_holds_and_empty_it(place, capsys):
    def document(*words):
        assert main(["cache", *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    Store("grams").write(K, b"12345")
    assert document("dir")["folder"] == str(place)
    found = document("ls")
    assert found["size_bytes"] == 5 and found["entries"][0]["kind"] == "grams"
    assert main(["cache", "ls"]) == 0
    assert "grams" in capsys.readouterr().out
    assert main(["cache", "clean", "gram"]) == 2
    assert "'grams'" in capsys.readouterr().err
    assert document("clean") == {"schema": 1, "deleted": 1, "size_bytes": 5}
    assert document("clean")["deleted"] == 0


def test_an_entry_that_was_altered_or_renamed_is_as_good_as_none(place):
    one, two = Store("grams"), Store("latency")
    for content in (b"12345", b""):
        one.write(K, content)
        path = place / "grams" / K
        whole = path.read_bytes()
        for index in range(len(whole)):
            path.write_bytes(whole[:index] + bytes([whole[index] ^ 1]) + whole[index + 1 :])
            assert one.read(K) is None, index
        for altered in (whole[:-1], whole + b"x", b"", content):
            path.write_bytes(altered)
            assert one.read(K) is None
    one.write(K, b"12345")
    (place / "latency").mkdir()
    for other in (place / "latency" / K, place / "grams" / key_of("l")):
        other.write_bytes((place / "grams" / K).read_bytes())
    assert one.read(K) == b"12345" and two.read(K) is None and one.read(key_of("l")) is None


def test_cleaning_deletes_nothing_that_is_not_ours(place):
    Store("grams").write(K, b"12345")
    theirs = [place / "thesis.docx", place / "grams" / "thesis.docx", place / "photos" / ("ab" * 32), place / "a" / "b"]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("years")
    (place / "grams" / ("cd" * 32)).symlink_to(place / "grams" / K)
    part = place / "grams" / f".0123abcd.{K}"
    part.write_bytes((place / "grams" / K).read_bytes())
    assert [entry.key for entry in cache.entries()] == [K]
    assert len(cache.clean()) == 1 and part.exists()  # perhaps somebody is writing it
    os.utime(part, (0, 0))
    cache.clean()
    assert not part.exists() and all(path.read_text() == "years" for path in theirs)
