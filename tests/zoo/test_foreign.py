"""Documents of others: what is typed, and how the place of a fault is told."""

import random
import time

import pytest

from stitchc.passes.data.errors import BadCheckpoint
from stitchc.zoo.foreign import (
    Fault,
    choice,
    either,
    flag,
    json_of,
    listed,
    mapping,
    number,
    optional,
    read,
    table,
    text,
    toml_of,
    whole,
)

INNER = table({"size": listed(whole(1, 100), 2, 2), "crop": number(0, 1, above=True)}, required=("size",))
DOCUMENT = table({
    "name": text(10), "how": choice("a", "b"), "on": flag, "more": optional(INNER), "many": mapping(INNER),
    "either": either(whole(0, 9), listed(whole(0, 9))),
})  # fmt: skip


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"name": 3}, "name is 3, not a text"),
        ({"name": "x" * 11}, "name is a text of 11 characters"),
        ({"name": "a\x1b[0m"}, "name is not one line of printable"),
        ({"how": "c"}, "how is 'c', not one of a, b"),
        ({"on": 1}, "on is 1, not true or false"),
        ({"more": {}}, "more.size is missing"),
        ({"more": {"size": [1, 2, 3]}}, "more.size has 3 items, not 2"),
        ({"more": {"size": [1, 200]}}, r"more.size\[1\] is 200, not between 1 and 100"),
        ({"many": {"x": {"size": [1, 1.5]}}}, r"many.x.size\[1\] is 1.5, not a whole number"),
        ({"many": {"x": {"size": [1, 1], "crop": float("inf")}}}, "many.x.crop is not a finite number"),
        ({"many": {"x": {"size": [1, 1], "crop": 0}}}, "many.x.crop is 0, not above 0"),
        ({"many": {"a b": {}}}, "many has the key 'a b'"),
        ({"either": [1, 10]}, r"either\[1\] is 10"),
        ({"nmae": 1}, "'nmae' is no key that is known here. Did you mean 'name'"),
        ({"name": 10**5000}, "name is a number of more than 128 bits"),
        ([], "it is a list, not a table"),
    ],
)
def test_a_fault_is_told_with_its_place(value, place):
    with pytest.raises(BadCheckpoint, match=f"a.pt: {place}"):
        read(DOCUMENT, value, "a.pt", BadCheckpoint)


def test_what_is_right_comes_back_typed():
    value = {"name": "x", "more": {"size": [1, 2.0], "crop": 1}, "either": [3]}
    assert read(DOCUMENT, value, "a.pt") == {"name": "x", "more": {"size": (1, 2), "crop": 1.0}, "either": (3,)}
    assert read(DOCUMENT, {"more": None}, "a.pt") == {"more": None}


def test_a_reader_takes_anything_at_all():
    """It types, or raises a fault: never another error."""
    draw = random.Random(0)

    def made(depth):
        kinds = [
            None,
            True,
            draw.randint(-9, 300),
            draw.random() * 1e3,
            float("nan"),
            float("-inf"),
            "a",
            "x\ny",
            b"x",
            2**70,
        ]
        if depth == 0 or draw.random() < 0.3:
            return draw.choice(kinds)
        inner = [made(depth - 1) for _ in range(draw.randint(0, 3))]
        keys = [draw.choice(["name", "how", "on", "more", "many", "either", "size", "crop", "z", 3]) for _ in inner]
        return dict(zip(keys, inner, strict=True)) if draw.random() < 0.7 else inner

    for _ in range(2000):
        value = made(4)
        try:
            read(DOCUMENT, value, "a.pt", BadCheckpoint)
        except BadCheckpoint as error:
            assert len(error.message) < 300 and error.message.isprintable()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (b"\xff", "no text in UTF-8"),
        ("{", "no JSON"),
        ('{"a": NaN}', "holds NaN"),
        ('{"a": -Infinity}', "holds -Infinity"),
        ('{"a": 1, "a": 2}', "has the key 'a' twice"),
        ("[" * 100_000 + "]" * 100_000, "nested more than"),
        ('{"a":' * 1000 + "1" + "}" * 1000, "nested more than"),
        ("1" * 100_000, "no JSON"),
        (" " * 2**25, "bytes long"),
    ],
)
def test_json_that_cannot_be_read_is_a_fault(given, reason):
    begun = time.perf_counter()
    with pytest.raises(Fault, match=reason):
        json_of(given)
    assert time.perf_counter() - begun < 2


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("a = ", "no TOML"),
        (".".join("a" * 50_000) + " = 1", "line 1 has a key of more than"),
        ("x = 1\n[" + ".".join("a" * 50_000) + "]", "line 2 has a key of more than"),
        ("a = " + "[" * 5000 + "]" * 5000, "nested more than"),
        ("a = 1\na = 2", "no TOML"),
    ],
)
def test_toml_that_cannot_be_read_is_a_fault(given, reason):
    begun = time.perf_counter()
    with pytest.raises(Fault, match=reason):
        toml_of(given)
    assert time.perf_counter() - begun < 2


def test_a_byte_order_mark_is_passed_over():
    assert toml_of(b"\xef\xbb\xbfa = 'x.y.z' # a.b.c") == {"a": "x.y.z"}
    assert json_of('{"a": "[[[", "b": [1e3]}') == {"a": "[[[", "b": [1000.0]}
