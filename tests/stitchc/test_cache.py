"""What is kept is found by what it depends on; what cannot be kept is no error."""

import json

import pytest

from stitchc import cache
from stitchc.cache import Store
from stitchc.cli import main


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("STITCHC_CACHE_DIR", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_what_was_kept_is_found_under_its_key_and_kind_only():
    store = Store("grams")
    assert store.read("k") is None
    store.write("k", b"first")
    store.write("k", b"again")
    assert store.read("k") == b"again"
    assert store.read("l") is None and Store("latency").read("k") is None


def test_a_key_depends_on_every_part_and_on_where_parts_end():
    keys = [cache.key_of(*parts) for parts in (("ab", "c"), ("a", "bc"), ("ab", "d"), ("abc",), ("c", "ab"))]
    assert len(set(keys)) == len(keys)
    assert cache.key_of("ab", b"c") == cache.key_of(b"ab", "c")


def test_a_cache_that_cannot_be_written_is_no_error(place):
    place.write_text("a file where the folder would be")
    Store("grams").write("k", b"lost")
    assert Store("grams").read("k") is None
    assert cache.entries() == [] and cache.clean() == []


def test_cleaning_deletes_a_kind_or_all():
    for kind in ("grams", "latency"):
        Store(kind).write("k", b"12345")
    assert [(e.kind, e.size_bytes) for e in cache.entries()] == [("grams", 5), ("latency", 5)]
    assert [e.kind for e in cache.clean(["grams"])] == ["grams"]
    assert [e.kind for e in cache.entries()] == ["latency"]
    cache.clean()
    assert cache.entries() == []


def test_the_verbs_show_where_it_is_what_it_holds_and_empty_it(place, capsys):
    def document(*words):
        assert main(["cache", *words, "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    Store("grams").write("k", b"12345")
    assert document("dir")["folder"] == str(place)
    found = document("ls")
    assert found["size_bytes"] == 5 and found["entries"][0]["kind"] == "grams"
    assert main(["cache", "ls"]) == 0
    assert "grams" in capsys.readouterr().out
    assert main(["cache", "clean", "gram"]) == 2
    assert "'grams'" in capsys.readouterr().err
    assert document("clean") == {"schema": 1, "deleted": 1, "size_bytes": 5}
    assert document("clean")["deleted"] == 0
