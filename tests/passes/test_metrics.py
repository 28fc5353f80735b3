"""The registry of metrics, and prices as mappings."""

import pickle
import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from stitchc.passes.data import metrics, plugins
from stitchc.passes.data.budget import format_quantity, parse_quantity
from stitchc.passes.data.errors import InputError, QuantityError
from stitchc.passes.data.metrics import BYTES, Metric, Unit
from stitchc.passes.data.records import decode, encode
from stitchc.passes.data.values import Price


def reads(name="reads", key="reads_bytes", **more):
    more = {"of_call": lambda call: call.weights_bytes} | more
    return Metric(name, key, BYTES, "20MiB", "weights read", "bytes of weights, one image", **more)


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    monkeypatch.setattr(metrics, "_ADDED", {})
    plugins.installed.cache_clear()
    metrics._loaded.cache_clear()
    yield
    plugins.installed.cache_clear()
    metrics._loaded.cache_clear()


def test_a_price_is_a_mapping_of_what_was_computed():
    price = Price(params=3, macs=5, latency=None)
    assert dict(price) == {"params": 3, "macs": 5} and "latency" not in price and price.get("size") is None
    assert price["flops"] == 10 and "flops" not in set(price)
    assert price | {"latency": 2.5} == Price(latency=2.5, macs=5, params=3)
    assert hash(price) == hash(Price(macs=5, params=3)) and pickle.loads(pickle.dumps(price)) == price
    assert decode(Price, encode(price)) == price
    with pytest.raises(TypeError):
        price["macs"] = 1


def test_only_what_adds_up_and_both_know_is_added():
    one, other = Price(params=3, macs=5, size=7, memory=11, latency=13.0), Price(params=1, macs=2, memory=1)
    assert one + other == Price(params=4, macs=7)
    assert one + other - other == Price(params=3, macs=5)
    assert one + Price() == Price()


def test_names_that_are_no_metrics_are_refused_everywhere():
    with pytest.raises(QuantityError, match="no metric") as caught:
        Price(parms=3)
    assert "'params'" in caught.value.hint
    with pytest.raises(QuantityError, match="no metric"):
        Price(params=3)["parms"]
    with pytest.raises(QuantityError, match="derived"):
        Price(flops=3)


def test_documents_have_every_metric_under_its_key_in_one_order():
    metrics.register(reads())
    known = Price(macs=5, reads=9).as_dict()
    assert list(known) == ["params", "macs", "flops", "size_bytes", "memory_bytes", "latency_ms", "reads_bytes"]
    assert known["flops"] == 10 and known["reads_bytes"] == 9 and known["params"] is None


def test_a_unit_says_how_quantities_are_read_and_written():
    joules = Unit("mJ", "mJ", {"mJ": 1.0, "J": 1e3})
    metrics.register(Metric("energy", "energy_mj", joules, "5mJ", "energy", "one image", combine="measured"))
    assert parse_quantity("2J", "energy").value == 2000 and parse_quantity("2", "energy").value == 2
    assert format_quantity(2000, "energy") == "2000 mJ"
    with pytest.raises(QuantityError, match="not counted in 'M'") as caught:
        parse_quantity("2M", "energy")
    assert "5mJ" in caught.value.hint


@pytest.mark.parametrize(
    "make",
    [
        lambda: reads("two words"),
        lambda: reads(combine="product"),
        lambda: reads(of_call=None),
        lambda: reads(of_tensor=lambda tensor: 1),
        lambda: reads(combine="peak"),
        lambda: reads(derive=lambda amounts: 1),
        lambda: reads(combine="derived", of_call=None),
    ],
)
def test_what_makes_no_metric_is_refused(make):
    with pytest.raises(InputError):
        make()


def test_no_two_metrics_have_one_name_or_key():
    metrics.register(reads())
    for other in (reads(key="other"), reads("other"), reads("params")):
        with pytest.raises(InputError, match="already"):
            metrics.register(other)


@pytest.mark.parametrize("of_call", [lambda call: call.joules, lambda call: None, lambda call: float("nan")])
def test_a_metric_that_says_no_number_is_named(of_call):
    with pytest.raises(InputError, match="metric reads says"):
        reads(of_call=of_call).amounts([metrics.CountedCall("Conv2d")], [])


def offer(monkeypatch, value):
    """As if a package were installed that offers `value` of this file as `reads`."""
    point = EntryPoint("reads", f"{__name__}:{value}", metrics.GROUP)
    monkeypatch.setattr(plugins, "entry_points", lambda group: EntryPoints([point]).select(group=group))


OFFERED, NO_METRIC, CALLED_OTHERWISE, KEY_OF_OURS = reads(), 3, reads("writes"), reads(key="macs")


def test_a_package_adds_a_metric_by_an_entry_point(monkeypatch):
    offer(monkeypatch, "OFFERED")
    assert metrics.names()[-1] == "reads" and metrics.get("reads") is metrics.sums()[-1] is OFFERED
    assert Price(reads=3).as_dict()["reads_bytes"] == 3
    with pytest.raises(InputError, match="already"):
        metrics.register(reads())


def test_nothing_is_imported_before_it_is_asked_for(monkeypatch):
    offer(monkeypatch, "MISSING")
    assert metrics.names()[-1] == "reads" and metrics.get("macs").name == "macs"
    with pytest.raises(InputError, match=r"'reads' .*cannot be loaded"):
        metrics.get("reads")


@pytest.mark.parametrize("value", ["NO_METRIC", "CALLED_OTHERWISE", "KEY_OF_OURS"])
def test_an_entry_point_that_is_no_metric_of_its_name_is_refused(monkeypatch, value):
    offer(monkeypatch, value)
    with pytest.raises(InputError):
        metrics.every()


def test_the_registry_loads_no_torch():
    import subprocess

    code = "import sys, stitchc.passes.data.metrics as m; m.names(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
