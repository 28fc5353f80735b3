"""Many candidates are fitted as each would be alone, in as few sweeps over the images as memory allows."""

import itertools
import re
from dataclasses import dataclass, replace

import pytest
import torch
from memory import following
from nets import Small, Tokens, randomised

from stitchc.passes import Cost, Partition, Pipeline, Plan, TensorImages, Trace
from stitchc.passes.data.chain import End, Seam
from stitchc.passes.data.errors import InputError
from stitchc.passes.fit.closed_form import fit_all
from stitchc.passes.graphs.compose import fragment, values_at

SHOWN = torch.randn(80, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Counted(TensorImages):
    """Says how often it was gone through."""

    sweeps: tuple = ()

    def batches(self, spec, size, start=0, stop=None):
        self.seen.append(size)
        return super().batches(spec, size, start, stop)

    @property
    def seen(self) -> list:
        return self.__dict__.setdefault("_seen", [])


@pytest.fixture(scope="module")
def plan() -> Plan:
    models = randomised(Small(4)), randomised(Small(6))
    return Pipeline([Trace(), Partition(), Cost(adapters=("linear", "conv3x3"))])(Plan.of(*models, images=SHOWN))


@pytest.fixture(scope="module")
def seams(plan) -> list[Seam]:
    """Every third pair of cuts that has pixels on both sides, with both adapters."""
    spatial = [[i for i, cut in enumerate(cuts.cuts) if cut.value.layout == "NCHW"] for cuts in plan.cuts]
    pairs = itertools.product(spatial[0][::3], spatial[1][::3])
    return [
        Seam(End(0, i), name, End(1, j))
        for i, j in pairs
        for name in ("linear", "conv3x3")
        if plan.cuts[0][i].value.grid is not None and plan.cuts[1][j].value.grid is not None
    ]


def same(one, other) -> None:
    assert one.seam == other.seam and one.ridge == other.ridge
    assert one.residual == pytest.approx(other.residual, rel=1e-6, abs=1e-9)
    for key, value in one.adapter.state_dict().items():
        torch.testing.assert_close(value, other.adapter.state_dict()[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rows", [200_000, 640])
def test_each_is_fitted_as_it_would_be_alone(plan, seams, rows):
    together = fit_all(plan, seams, rows=rows)
    assert len(together) == len(seams) >= 8
    for found, seam in list(zip(together, seams, strict=True))[:: max(1, len(seams) // 6)]:
        same(found, fit_all(plan, [seam], rows=rows)[0])
        assert found.r2 == 1 - found.residual


def test_one_sweep_serves_all_and_less_memory_takes_more_of_them(plan, seams):
    once, often = Counted(SHOWN), Counted(SHOWN)
    together = fit_all(replace(plan, images=once), seams)
    apart = fit_all(replace(plan, images=often), seams, max_memory=160_000)
    assert len(once.seen) == 2  # one view for each parent
    assert len(often.seen) > 2
    for one, other in zip(together, apart, strict=True):
        same(one, other)


def test_the_residual_is_of_images_that_the_weights_were_not_fitted_on(plan, seams):
    """Solved from four images of five with the ridge that was chosen, and held against the fifth."""
    seam = next(s for s in seams if s.adapter == "linear")
    found = fit_all(plan, [seam])[0]
    held = torch.arange(len(SHOWN)) % 5 == 4
    (front, i), _, (back, j) = seam
    with torch.no_grad():
        x, y = (fragment(plan.graphs[m], end=plan.cuts[m][c].node)(SHOWN) for m, c in ((front, i), (back, j)))
    rows = [v.permute(0, 2, 3, 1).double() for v in (x, y)]
    (xf, yf), (xh, yh) = ([v[mask].flatten(0, 2) for v in rows] for mask in (~held, held))
    xc, yc = xf - xf.mean(0), yf - yf.mean(0)
    gram = xc.T @ xc
    penalty = found.ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
    weight = torch.linalg.solve(gram + penalty, xc.T @ yc)
    error = (yh - yf.mean(0) - (xh - xf.mean(0)) @ weight).square().sum()
    assert found.residual == pytest.approx(float(error / (yh - yh.mean(0)).square().sum()), rel=1e-5)


def test_values_are_taken_before_what_follows_writes_over_them():
    """Every second cut of `Small` is overwritten by the in-place ReLU or sum after it."""
    (plan,) = [Pipeline([Trace(), Partition()])(Plan.of(randomised(Small()), images=SHOWN))]
    nodes = [cut.node for cut in plan.cuts[0].cuts]
    together = values_at(plan.graphs[0], nodes)(SHOWN)
    for node, value in zip(nodes, together, strict=True):
        assert torch.equal(value, fragment(plan.graphs[0], end=node)(SHOWN))


def test_tokens_and_maps_are_fitted_side_by_side():
    models = randomised(Small()), randomised(Tokens())
    plan = Pipeline([Trace(), Partition(), Cost(adapters=("linear",), direction="given")])(
        Plan.of(*models, images=SHOWN)
    )
    table = plan.candidates
    found = fit_all(plan, [table[row].chain.seams()[0] for row in range(0, len(table), 3)])
    assert len(found) > 5 and all(0 <= f.residual < 1.5 for f in found)


@pytest.mark.parametrize("through", [False, True])
def test_fitting_takes_no_more_memory_than_it_is_given(plan, seams, through):
    limit = 250_000
    fit_all(plan, seams[:1])  # what is made once in a process
    with following() as free:
        expected = fit_all(plan, seams, through=through)
    with following() as memory:
        found = fit_all(plan, seams, max_memory=limit, through=through)
    assert memory.peak_bytes <= limit < free.peak_bytes
    for one, other in zip(expected, found, strict=True):
        same(one, other)


def test_an_adapter_whose_system_does_not_fit_is_refused_with_what_it_takes(plan, seams):
    seam = max((s for s in seams if s.adapter == "conv3x3"), key=lambda s: plan.value_at(s.leaves).channels)
    with pytest.raises(InputError, match=r"(?s)'conv3x3' have 36 features .* a max_memory of") as caught:
        fit_all(plan, [seam], max_memory=50_000)
    enough = int(re.search(r"max_memory of (\d+) MiB", str(caught.value))[1]) << 20
    fit_all(plan, [seam], max_memory=enough)


def test_residuals_that_nobody_reads_are_not_measured_and_the_weights_are_the_same(plan):
    seam = Seam(End(0, 1), "conv3x3-relu", End(1, 1))
    seen = Counted(SHOWN), Counted(SHOWN)
    (measured,), (fitted,) = (
        fit_all(replace(plan, images=images), [seam], measured=which)
        for images, which in zip(seen, (True, False), strict=True)
    )
    for key, value in measured.adapter.state_dict().items():
        assert torch.equal(value, fitted.adapter.state_dict()[key])
    assert len(seen[1].seen) == len(seen[0].seen) // 2
    assert fitted.residual != measured.residual, "that of the linear map alone"


def test_the_residual_of_some_channels_is_that_of_a_target_that_has_no_others(plan, seams):
    whole, all_of_them, some = (fit_all(plan, seams, final=False, channels=channels) for channels in (None, 64, 2))
    assert [one.residual for one in whole] == [one.residual for one in all_of_them]
    differ = [abs(one.residual - other.residual) for one, other in zip(whole, some, strict=True)]
    assert 0 < max(differ) < 0.5 and all(one.ridge for one in some)
