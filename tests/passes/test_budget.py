"""Budgets mean one thing, and what means nothing is refused with what to try."""

import pytest

from stitchc.passes.data.budget import Limit, as_limits, format_apart, format_quantity, parse_budget, parse_quantity
from stitchc.passes.data.errors import QuantityError
from stitchc.passes.data.values import Price

SMALL, LARGE = Price(params=100, macs=1000, size=450), Price(params=50, macs=4000, size=900)


@pytest.mark.parametrize(
    ("text", "metric", "value"),
    [
        ("12M", "flops", 12e6),
        ("1.5G", "macs", 1.5e9),
        ("600k", "params", 600e3),
        ("600K", "params", 600e3),
        ("4500", "params", 4500),
        ("1.2e7", "flops", 12e6),
        (" 12 M ", "flops", 12e6),
        ("5ms", "latency", 5.0),
        ("5", "latency", 5.0),
        ("200us", "latency", 0.2),
        ("20MiB", "size", 20 * 2**20),
        ("20MB", "size", 20e6),
        ("20M", "size", 20e6),
        ("64KiB", "memory", 65536),
    ],
)
def test_a_quantity_is_read_in_the_unit_of_its_metric(text, metric, value):
    assert parse_quantity(text, metric) == Limit(metric, pytest.approx(value))


def test_a_share_is_of_the_model_that_takes_more_of_that_metric():
    assert parse_quantity("60%", "macs").resolve([SMALL, LARGE]) == pytest.approx(2400)
    assert parse_quantity("60%", "flops").resolve([SMALL, LARGE]) == pytest.approx(4800)
    assert parse_quantity("60%", "params").resolve([SMALL, LARGE]) == pytest.approx(60)
    assert parse_quantity("10", "params").resolve([SMALL, LARGE]) == 10


def test_a_share_of_what_was_not_priced_is_refused():
    assert SMALL.get("latency") is None
    with pytest.raises(QuantityError, match="60% of latency"):
        parse_quantity("60%", "latency").resolve([SMALL])


@pytest.mark.parametrize(
    ("text", "metric", "says", "hint"),
    [
        ("12M", "flop", "no metric", "Did you mean 'flops'"),
        ("12M", "FLOPS", "no metric", "Did you mean 'flops'"),
        ("12M", "watts", "no metric", "Metrics are params, macs"),
        ("twelve", "flops", "no quantity", "1.5G"),
        ("", "flops", "no quantity", "60%"),
        ("-3M", "flops", "no quantity", "1.5G"),
        ("nan", "flops", "no quantity", "1.5G"),
        ("12m", "flops", "not counted in 'm'", "try 12M"),
        ("5ms", "flops", "not counted in 'ms'", "unit of latency"),
        ("20MiB", "params", "not counted in 'MiB'", "unit of size and memory"),
        ("5M", "latency", "not counted in 'M'", "5ms"),
        ("macs", "flops", "a metric, and no limit on one", "macs="),
        ("5x", "flops", "not counted in 'x'", "Units of flops are k"),
        ("0", "flops", "more than nothing", "1.5G"),
        ("0%", "flops", "more than nothing", "60%"),
        ("1e999", "flops", "finite", "1.5G"),
        ("0.6", "flops", "less than one", "Did you mean 60%"),
        (".125", "size", "less than one", "Did you mean 12.5%"),
        ("0.5B", "memory", "less than one", "64MiB"),
    ],
)
def test_what_means_nothing_is_refused_with_what_to_try(text, metric, says, hint):
    with pytest.raises(QuantityError, match=says) as caught:
        parse_quantity(text, metric)
    assert hint in caught.value.hint


def test_several_budgets_each_name_their_metric():
    assert parse_budget(["params=12M", "size=60%"]) == {
        "params": Limit("params", 12e6),
        "size": Limit("size", 0.6, relative=True),
    }
    assert parse_budget(["12M"], metric="flops") == {"flops": Limit("flops", 12e6)}
    assert parse_budget(["12M", "params=1M"], metric="flops").keys() == {"flops", "params"}
    assert parse_budget(["latency=5ms", "memory=64KiB"]) == {
        "latency": Limit("latency", 5.0),
        "memory": Limit("memory", 65536),
    }
    assert parse_budget([]) == {}


def test_a_budget_without_metric_or_twice_given_is_refused():
    with pytest.raises(QuantityError, match="does not say of what"):
        parse_budget(["12M"])
    with pytest.raises(QuantityError, match="two budgets"):
        parse_budget(["params=1M", "params=2M"])
    with pytest.raises(QuantityError, match="two budgets"):
        as_limits([Limit("params", 1), Limit("params", 2)])


def test_the_forms_of_a_budget_agree():
    limit = Limit("flops", 12e6)
    assert as_limits({"flops": 12e6}) == as_limits({"flops": "12M"}) == as_limits({"flops": limit}) == (limit,)
    assert as_limits([limit]) == (limit,)
    assert as_limits(parse_budget(["flops=60%"])) == (Limit("flops", 0.6, relative=True),)


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (12e6, "flops", "12.0 MFLOPs"),
        (4.0892e9, "macs", "4.09 GMACs"),
        (269_722, "params", "270 k params"),
        (999_999, "params", "1.00 M params"),
        (25.56e6, "params", "25.6 M params"),
        (412, "params", "412 params"),
        (412, "macs", "412 MACs"),
        (1_090_000, "size", "1.04 MiB"),
        (512, "size", "512 B"),
        (5, "latency", "5.00 ms"),
    ],
)
def test_a_value_is_written_with_its_unit(value, metric, text):
    assert format_quantity(value, metric) == text


def test_what_takes_a_moment_is_not_written_as_nothing():
    assert format_quantity(0.003, "latency") == "0.00300 ms"
    assert format_quantity(0.06346, "latency") == "0.0635 ms"


@pytest.mark.parametrize(
    ("value", "other", "metric", "said"),
    [
        (15184, 15183, "macs", ("15.184 kMACs", "15.183 kMACs")),
        (1626, 1500, "params", ("1.63 k params", "1.50 k params")),
        (1_000_000, 999_999, "flops", ("1.00000 MFLOPs", "999.999 kFLOPs")),
        (5.004, 5.0, "latency", ("5.004 ms", "5.000 ms")),
        (15184, 15184, "macs", ("15.2 kMACs", "15.2 kMACs")),
    ],
)
def test_two_amounts_that_differ_are_written_differently(value, other, metric, said):
    assert format_apart(value, other, metric) == said
