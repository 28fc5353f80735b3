"""Numbers in reports have three digits that count, and the unit that these ask for."""

import pytest

from stitchc.report.numbers import count, significant, size


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (0, "0"),
        (678, "678"),
        (999.6, "1.00 k"),
        (999_400, "999 k"),
        (999_600, "1.00 M"),
        (12_345_678, "12.3 M"),
        (None, "-"),
    ],
)
def test_a_number_of_things(value, said):
    assert count(value) == said


@pytest.mark.parametrize(
    ("value", "said"), [(1023, "1023 B"), (1 << 10, "1.00 KiB"), ((1 << 20) - 1, "1.00 MiB"), (1_047_000, "1022 KiB")]
)
def test_bytes(value, said):
    assert size(value) == said


@pytest.mark.parametrize(("value", "said"), [(9.994, "9.99"), (9.996, "10.0"), (99.96, "100"), (0.0012345, "0.00123")])
def test_digits_are_those_of_the_rounded_value(value, said):
    assert significant(value) == said
