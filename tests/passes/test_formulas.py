"""Multiply-adds by our own formulas: torch's registry is a cross-check, and says the same wherever it says anything."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import flop_registry

from stitchc.passes.cost.count import total
from stitchc.passes.graphs.formulas import formula_of, macs_of
from stitchc.passes.graphs.free import is_free

aten = torch.ops.aten


def meta(*shape, dtype=torch.float32):
    return torch.empty(shape, device="meta", dtype=dtype)


def drawn(seed):
    """Six sizes; the same seed gives the same."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(1, 9, (6,), generator=generator).tolist()


def convolution(seed, axes, transposed):
    """Arguments and result of aten.convolution, grouped, with strides and padding."""
    n, c, k, size, stride, groups = drawn(seed)
    x = meta(n, c * groups, *[size + 6] * axes)
    weight = meta(c * groups, k, *[3] * axes) if transposed else meta(k * groups, c, *[3] * axes)
    options = ([stride] * axes, [1] * axes, [1] * axes, transposed, [0] * axes, groups)
    return (x, weight, None, *options), aten.convolution(x, weight, None, *options)


def attention(seed, shared=1):
    """q [b, h, s, d] and k, v [b, h / shared, t, d], and a stand-in for the output."""
    b, h, s, d, t, _ = drawn(seed)
    return (meta(b, h * shared, s, d), meta(b, h, t, d), meta(b, h, t, d)), meta(b, h * shared, s, d)


def packed(seed, batch=False):
    """Sequences packed into one tensor: [positions, heads, d], and where each of them begins."""
    n, h, s, d, t, _ = drawn(seed)
    starts = meta(n + 1, dtype=torch.int32)
    q, k = (meta(*[1] * batch, n * length, h, d) for length in (s, t))
    return q, k, k, *[None] * batch, starts, starts, s, t


def cases(seed):
    """(operator, arguments, result) of every operator that some torch has a formula for."""
    n, k, m, b, *_ = drawn(seed)
    left, right, batch_left, batch_right = meta(n, k), meta(k, m), meta(b, n, k), meta(b, k, m)
    yield aten.mm, (left, right), meta(n, m)
    yield aten.addmm, (meta(m), left, right), meta(n, m)
    yield aten.bmm, (batch_left, batch_right), meta(b, n, m)
    yield aten.baddbmm, (meta(b, n, m), batch_left, batch_right), meta(b, n, m)
    yield aten._scaled_mm, (left, right, meta(), meta()), meta(n, m)
    for axes in (1, 2, 3):
        for transposed in (False, True):
            given, out = convolution(seed, axes, transposed)
            yield aten.convolution, given, out
            yield aten._convolution, (*given, False, False, False, False), out
            yield aten.convolution_overrideable, given, out
            if not transposed:
                yield aten.cudnn_convolution, (*given[:2], [1], [1], [1], 1, False, False, False), out
    for name in ("efficient_attention", "flash_attention", "cudnn_attention", "flash_attention_for_cpu"):
        given, out = attention(seed)
        yield getattr(aten, f"_scaled_dot_product_{name}"), given, (out,)
    yield aten._flash_attention_forward, packed(seed), (meta(1),)
    yield aten._efficient_attention_forward, packed(seed, batch=True), (meta(1),)


def ours(packet, given, out):
    return macs_of(getattr(packet, packet.overloads()[0]), given, {}, out)


@pytest.mark.parametrize("seed", range(20))
def test_torch_counts_the_same(seed):
    for packet, given, out in cases(seed):
        found = ours(packet, given, out)
        assert packet not in flop_registry or 2 * found == flop_registry[packet](*given, out_val=out), packet


def test_whatever_the_registry_knows_is_compared():
    """But for gradients, which no price has, and two whose entry there cannot take the operator's own arguments."""
    unusable = {"flex_attention", "_slow_conv2d_forward"}
    known = {packet for packet in flop_registry if "backward" not in str(packet)}
    rest = known - {packet for packet, *_ in cases(0)}
    assert {str(packet).rpartition(".")[2] for packet in rest} <= unusable


def test_every_kernel_of_attention_in_torch_has_a_formula():
    kernels = [name for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::_scaled_dot_product_")]
    forward = [name.partition(".")[0] for name in kernels if "backward" not in name]
    assert len(forward) > 5 and all(formula_of(name) for name in forward)


def test_fused_kernels_of_attention_cost_the_two_products():
    b, h, s, d = 2, 3, 5, 7
    dense, heads_second = meta(b, s, h, d), meta(b, h, s, d)
    products = 2 * b * h * s * s * d
    assert ours(aten._flash_attention_forward, (dense,) * 3 + (None, None, s, s), None) == products
    assert ours(aten._efficient_attention_forward, (dense,) * 3 + (None, None, None, s, s), None) == products
    assert formula_of("aten::_cudnn_attention_forward")(*[heads_second] * 3, None, None, None, s, s) == products
    assert formula_of("flex_attention")(*[heads_second] * 3, "score_mod", "mask") == products
    assert formula_of("aten::_scaled_dot_product_flash_attention_for_cpu")(*[heads_second] * 3, out=None) == products
    assert formula_of("aten::_slow_conv2d_forward")(dense, meta(4, 5, 3, 3), [3, 3], out=meta(2, 4, 1, 5)) == 10 * 180


def test_heads_of_queries_may_share_keys_and_values():
    (q, k, v), out = attention(seed=3, shared=4)
    b, h, s, d = q.shape
    assert ours(aten._scaled_dot_product_flash_attention, (q, k, v), (out,)) == 2 * b * h * s * k.shape[2] * d


class Fused(nn.Module):
    """The operators of nn.MultiheadAttention's and nn.TransformerEncoderLayer's fast path, on 12 tokens of 16."""

    def forward(self, x):
        tokens, ones = x.reshape(1, 12, 16), torch.ones
        weights = ones(48, 16), ones(48), ones(16, 16), ones(16)
        y = torch._native_multi_head_attention(tokens, tokens, tokens, 16, 2, *weights)[0]
        norm, ffn = (ones(16),) * 4, (ones(32, 16), ones(32), ones(16, 32), ones(16))
        return y + torch._transformer_encoder_layer_fwd(tokens, 16, 2, *weights, True, True, 1e-5, *norm, *ffn)


class Bilinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.mix = nn.Bilinear(5, 7, 11)

    def forward(self, x):
        return self.mix(x.flatten(1)[:, :5], x.flatten(1)[:, :7])


class Unopened(nn.Module):
    """In inference mode, torch's dispatcher shows a product before it is decomposed."""

    def forward(self, x):
        with torch.inference_mode():
            y = torch.einsum("bchw,bdhw->bcd", x, x).sum() + torch.matmul(x, x).sum()
            return nn.functional.linear(x.flatten(1), torch.ones(3, 192)) + y


class Deformable(nn.Module):
    def __init__(self):
        super().__init__()
        from torchvision.ops import DeformConv2d

        self.offset, self.convolution = nn.Conv2d(3, 18, 3), DeformConv2d(3, 4, 3)

    def forward(self, x):
        return self.convolution(x, self.offset(x))


class Transposed(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(3, 6, 2, stride=2, groups=3)

    def forward(self, x):
        return self.up(x)


ATTENTION, PROJECTIONS = 2 * 12 * 12 * 16, 12 * 16 * (48 + 16)


@pytest.mark.parametrize(
    ("kind", "macs"),
    [
        (Fused, 2 * (ATTENTION + PROJECTIONS) + 12 * 16 * (32 + 32)),
        (Bilinear, 5 * 7 * 11 + 7 * 11),
        (Unopened, 9 * 64 + 3 * 8 * 8 * 8 + 3 * 192),
        (Deformable, 36 * 9 * 3 * (4 + 18)),
        (Transposed, 64 * 3 * 2 * 4),
    ],
)
def test_networks_of_rarer_operators_cost_their_products(kind, macs):
    price, uncounted = total(kind().eval(), (3, 8, 8))
    assert (price["macs"], uncounted) == (macs, {})


class Linear(nn.Module):
    def forward(self, x):
        return torch.ops.stitchc_test.sum(x)


@pytest.fixture(scope="module")
def custom():
    """An operator of a library's own, named like a free one of torch's."""
    library = torch.library.Library("stitchc_test", "FRAGMENT")
    library.define("sum(Tensor x) -> Tensor")
    library.impl("sum", lambda x: x * 2, "CompositeExplicitAutograd")
    yield torch.ops.stitchc_test.sum.default
    library._destroy()


def test_names_of_other_libraries_are_not_believed(custom):
    assert is_free(aten.sum.default) and not is_free(custom)
    assert total(Linear(), (3, 8, 8))[1] == {"stitchc_test::sum": 1}
