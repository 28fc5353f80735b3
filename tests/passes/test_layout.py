import random

import pytest
import timm
import torch
import torch.nn.functional as F
from builders import graph_of, node_of
from nets import Tokens, Windows
from torch import Tensor, nn

from stitchc.passes.data.values import Cuts, Value
from stitchc.passes.graphs.conventions import result
from stitchc.passes.graphs.layouts import layouts
from stitchc.passes.partition import partition
from stitchc.passes.trace.record import record


def last(forward, size=(3, 8, 8), **parts) -> Value | str:
    """The layout of what `forward` returns."""
    graph = graph_of(forward, size, **parts)
    return layouts(graph)[result(graph.graph)]


def patches(x: Tensor) -> Tensor:
    """[N, C, H, W] to tokens [N, H * W, C]."""
    return x.flatten(2).transpose(1, 2)


def windows(x: Tensor, s: int = 4) -> Tensor:
    """[N, H, W, C] to [N * windows, s * s, C], as Swin does."""
    n, h, w, c = x.shape
    return x.view(n, h // s, s, w // s, s, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, s * s, c)


# -- layouts -------------------------------------------------------------------------------------------------


def test_a_convolution_gives_maps():
    assert last(lambda m, x: m.c(x), c=nn.Conv2d(3, 8, 3, stride=2)) == Value((8, 3, 3), "NCHW", grid=(3, 3))


def test_channels_last_follow_the_permute_even_where_all_sizes_are_equal():
    got = last(lambda m, x: m.c(x).permute(0, 2, 3, 1), c=nn.Conv2d(3, 8, 1))
    assert got == Value((8, 8, 8), "NHWC", grid=(8, 8))


def test_patches_are_tokens_on_their_grid():
    got = last(lambda m, x: patches(m.c(x)), (3, 8, 16), c=nn.Conv2d(3, 6, 4, 4))
    assert got == Value((8, 6), "NLC", grid=(2, 4))


def test_patches_cut_out_by_a_reshape_are_tokens_too():
    def embed(m, x):
        n = x.shape[0]
        return m.norm(m.l(x.reshape(n, 3, 2, 4, 4, 2).permute(0, 2, 4, 3, 5, 1).reshape(n, 8, 24)))

    assert last(embed, l=nn.Linear(24, 6), norm=nn.LayerNorm(6)) == Value((8, 6), "NLC", grid=(2, 4))


def test_unfold_gives_tokens_on_a_grid():
    got = last(lambda m, x: m.l(F.unfold(x, 3, padding=1, stride=2).mT), (3, 8, 12), l=nn.Linear(27, 5))
    assert got == Value((24, 5), "NLC", grid=(4, 6))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_tokens_put_before_the_positions_are_counted(count):
    def forward(m, x):
        return m.l(torch.cat([m.token.expand(x.shape[0], -1, -1), patches(x)], 1) + m.position)

    parts = {"token": nn.Parameter(torch.zeros(1, count, 3)), "position": nn.Parameter(torch.zeros(1, 64 + count, 3))}
    assert last(forward, l=nn.Linear(3, 6), **parts) == Value((64 + count, 6), "NLC", count, (8, 8))


def with_tokens(m, x: Tensor) -> Tensor:
    tokens = [m.cls.expand(x.shape[0], -1, -1), m.registers.expand(x.shape[0], -1, -1)]
    return torch.cat([*tokens, patches(m.c(x))], 1)


def token_parts() -> dict:
    registers = nn.Parameter(torch.zeros(1, 4, 6))
    return {"cls": nn.Parameter(torch.zeros(1, 1, 6)), "registers": registers, "c": nn.Conv2d(3, 6, 2, 2)}


@pytest.mark.parametrize(
    ("take", "value"),
    [
        (lambda t: t, Value((21, 6), "NLC", 5, (4, 4))),
        (lambda t: t[:, 1:], Value((20, 6), "NLC", 4, (4, 4))),
        (lambda t: t[:, 5:], Value((16, 6), "NLC", 0, (4, 4))),
        (lambda t: t[:, -16:], Value((16, 6), "NLC", 0, (4, 4))),
        (lambda t: t.split([5, 16], 1)[1], Value((16, 6), "NLC", 0, (4, 4))),
        (lambda t: t.narrow(1, 5, 16), Value((16, 6), "NLC", 0, (4, 4))),
        (lambda t: t[:, 0], Value((6,), "NC")),
        (lambda t: t.select(1, 0), Value((6,), "NC")),
        (lambda t: t[:, 5:].mean(1), Value((6,), "NC")),
        (lambda t: t[:, :1], Value((1, 6), "NLC", 0, (1, 1))),
        (lambda t: t[:, 5:].mT.unflatten(2, (4, 4)), Value((6, 4, 4), "NCHW", grid=(4, 4))),
        (lambda t: torch.cat([t[:, :1], t[:, 5:] * 2], 1), Value((17, 6), "NLC", 1, (4, 4))),
    ],
)
def test_prefix_tokens_through_slices(take, value):
    assert last(lambda m, x: take(with_tokens(m, x)), **token_parts()) == value


def test_attention_keeps_the_tokens_of_the_query():
    def forward(m, x):
        t = with_tokens(m, x)
        n, length, c = t.shape
        q, k, v = m.qkv(t).reshape(n, length, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        plain = ((q @ k.transpose(-2, -1)).softmax(-1) @ v).transpose(1, 2).reshape(n, length, c)
        fused = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        torchs = m.mha(t, t, t, need_weights=False)[0]
        return m.proj(plain) + fused + torchs

    parts = {"qkv": nn.Linear(6, 18), "proj": nn.Linear(6, 6), "mha": nn.MultiheadAttention(6, 2, batch_first=True)}
    assert last(forward, **parts, **token_parts()) == Value((21, 6), "NLC", 5, (4, 4))


def test_torchs_attention_layer_keeps_the_query_too():
    mha = nn.MultiheadAttention(3, 1, batch_first=True)
    assert last(lambda m, x: m.mha(t := patches(x), t, t)[0], mha=mha) == Value((64, 3), "NLC", 0, (8, 8))


def test_einsum_moves_axes_by_their_letters():
    got = last(lambda m, x: torch.einsum("nchw,cd->nhwd", x, m.w), w=nn.Parameter(torch.zeros(3, 8)))
    assert got == Value((8, 8, 8), "NHWC", grid=(8, 8))


def test_windows_and_their_reverse_cancel():
    def forward(m, x):
        x = m.c(x).permute(0, 2, 3, 1)
        n, h, w, c = x.shape
        inside = m.l(windows(torch.roll(x, (-2, -2), (1, 2))))
        return inside.view(n, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)

    graph = graph_of(forward, c=nn.Conv2d(3, 4, 1), l=nn.Linear(4, 4))
    assert layouts(graph)[result(graph.graph)] == Value((8, 8, 4), "NHWC", grid=(8, 8))
    assert layouts(graph)[node_of(graph, "l")] == "batch folded with windows: shape (4*N, 16, 4)"


def test_a_dilated_grid_is_not_taken_for_windows():
    def forward(m, x):
        n = x.shape[0]
        grid = m.c(x).view(n, 4, 4, 2, 4, 2).permute(0, 3, 5, 2, 4, 1)  # every second row and column together
        return grid.reshape(n, 8, 8, 4)

    assert last(forward, c=nn.Conv2d(3, 4, 1)) == "positions split into windows: shape (N, 8, 8, 4)"


def test_padding_and_cropping_keep_rows_and_columns():
    got = last(lambda m, x: F.pad(x.permute(0, 2, 3, 1), (0, 0, 0, 4, 0, 2))[:, 1:9, :10, :])
    assert got == Value((8, 10, 3), "NHWC", grid=(8, 10))


def test_merging_patches_makes_channels_of_positions():
    def forward(m, x):
        x = x.permute(0, 2, 3, 1)
        return m.l(torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1))

    assert last(forward, l=nn.Linear(12, 6)) == Value((4, 4, 6), "NHWC", grid=(4, 4))
    swapped = last(lambda m, x: x.unflatten(3, (4, 2)).unflatten(2, (4, 2)).permute(0, 2, 4, 3, 5, 1).flatten(3))
    assert swapped == Value((4, 4, 12), "NHWC", grid=(4, 4))


@pytest.mark.parametrize(
    ("forward", "value"),
    [
        (lambda m, x: F.adaptive_avg_pool2d(x, 1), Value((3, 1, 1), "NCHW", grid=(1, 1))),
        (lambda m, x: F.interpolate(F.adaptive_avg_pool2d(x, 1), size=(4, 2)), Value((3, 4, 2), "NCHW", grid=(4, 2))),
        (lambda m, x: F.pixel_shuffle(F.pixel_unshuffle(x, 4), 2), Value((12, 4, 4), "NCHW", grid=(4, 4))),
        (lambda m, x: x.mean((2, 3)), Value((3,), "NC")),
        (lambda m, x: x.mean((2, 3), keepdim=True), Value((3, 1, 1), "NCHW", grid=(1, 1))),
        (lambda m, x: x.amax(-1).max(-1)[0], Value((3,), "NC")),
        (lambda m, x: x.flatten(1), Value((192,), "NC")),
        (lambda m, x: torch.cat([x, x * 2], 1), Value((6, 8, 8), "NCHW", grid=(8, 8))),
        (lambda m, x: x.movedim(1, -1), Value((8, 8, 3), "NHWC", grid=(8, 8))),
        (lambda m, x: x[:, [2, 0, 1]], Value((3, 8, 8), "NCHW", grid=(8, 8))),
        (lambda m, x: torch.stack(x.unbind(1), 1).square(), Value((3, 8, 8), "NCHW", grid=(8, 8))),
    ],
)
def test_resizing_pooling_and_selecting(forward, value):
    assert last(forward) == value


# -- what only a later value tells ---------------------------------------------------------------------------


def test_mixing_tokens_is_understood_where_it_meets_the_residual_stream():
    """MLP-Mixer: a Linear over positions makes an axis of which only the addition tells that it is positions."""

    def forward(m, x):
        t = patches(m.c(x))
        mixed = m.b(m.a(t.mT).relu()).mT
        return mixed + t

    graph = graph_of(forward, c=nn.Conv2d(3, 5, 1), a=nn.Linear(64, 7), b=nn.Linear(7, 64))
    assert layouts(graph)[result(graph.graph)] == Value((64, 5), "NLC", grid=(8, 8))
    assert layouts(graph)[node_of(graph, "b")] == "channels before positions: shape (N, 5, 64)"
    assert layouts(graph)[node_of(graph, "a")] == "channels over axes 1 and 2: shape (N, 5, 7)"


def test_a_norm_says_what_are_channels():
    def forward(m, x):
        n = x.shape[0]
        return m.norm(m.tokens.expand(n, -1, -1) + x.mean((1, 2, 3)).reshape(n, 1, 1))

    parts = {"tokens": nn.Parameter(torch.zeros(1, 7, 6))}
    assert last(forward, norm=nn.LayerNorm(6), **parts) == Value((7, 6), "NLC")
    assert "nothing tells" in last(forward, norm=nn.Tanh(), **parts)


# -- refusals ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda m, x: windows(x.permute(0, 2, 3, 1)), "batch folded with windows: shape (4*N, 16, 3)"),
        (lambda m, x: x.flatten(0, 1), "batch folded with channels: shape (3*N, 8, 8)"),
        (lambda m, x: x.transpose(0, 1), "the batch is not the first axis: shape (3, N, 8, 8)"),
        (lambda m, x: x.mean((1, 2, 3)), "fewer than two axes of meaning: shape (N)"),
        (lambda m, x: x.mT, "columns before rows: shape (N, 3, 8, 8)"),
        (lambda m, x: x.flatten(2), "channels before positions: shape (N, 3, 64)"),
        (lambda m, x: x.mT.flatten(2).mT, "positions in an order of no grid (W8 H8): shape (N, 64, 3)"),
        (lambda m, x: x.unflatten(1, (1, 3)), "5 axes: shape (N, 1, 3, 8, 8)"),
        (lambda m, x: x.mean(3).mT, "positions of rows alone: shape (N, 8, 3)"),
        (lambda m, x: torch.cat([p := patches(x), p.mean(1, True)], 1), "tokens after the positions: shape (N, 65, 3)"),
        (
            lambda m, x: torch.cat([patches(x), patches(F.max_pool2d(x, 2))], 1),
            "tokens of 2 grids in one axis: shape (N, 80, 3)",
        ),
        (
            lambda m, x: patches(x.repeat(1, 2, 1, 1)).unflatten(2, (2, 3)).transpose(1, 2),
            "channels over axes 1 and 3: shape (N, 2, 64, 3)",
        ),
        (
            lambda m, x: windows(x.permute(0, 2, 3, 1)).unflatten(0, (-1, 4)),
            "positions split into windows: shape (N, 4, 16, 3)",
        ),
        (
            lambda m, x: windows(x.permute(0, 2, 3, 1)).unflatten(0, (-1, 4)).flatten(1, 2),
            "positions in an order of no grid (H2 W2 H4 W4): shape (N, 64, 3)",
        ),
    ],
)
def test_what_cannot_be_stitched_is_refused_with_its_reason(forward, reason):
    assert last(forward) == reason


# -- against numbers -----------------------------------------------------------------------------------------


def shuffle(x: Tensor, rng: random.Random, stray: bool) -> Tensor:
    """Reshapes and permutes there and back again, and then a layout; with `stray`, one permute is another one."""
    undo = []
    for _ in range(rng.randint(1, 4)):
        shape = list(x.shape)
        place = rng.choice([i for i in range(1, x.dim()) if shape[i] in (4, 8)] or [0])
        if place and x.dim() < 7:
            x = x.unflatten(place, (2, shape[place] // 2))
            undo.append(("flatten", place))
        order = [0, *rng.sample(range(1, x.dim()), x.dim() - 1)]
        x = x.permute(order)
        undo.append(("permute", [order.index(i) for i in range(x.dim())]))
    strayed = rng.randrange(len(undo)) if stray else -1
    for i, (step, how) in enumerate(reversed(undo)):
        if step == "flatten":
            x = x.flatten(how, how + 1)
            continue
        if i == strayed:
            how = [0, *rng.sample(how[1:], len(how) - 1)]
        x = x.permute(how)
    return [x, x.permute(0, 2, 3, 1), x.flatten(2).mT, x.flatten(1)][rng.randrange(4)] if x.dim() == 4 else x


@pytest.mark.parametrize("stray", [False, True])
@pytest.mark.parametrize("seed", range(30))
def test_axes_agree_with_numbers(seed, stray):
    """Whatever the reshapes and permutes, a layout that is given is where the numbers are. All sizes are equal, so that
    guessing from sizes would fail."""
    image = torch.arange(2 * 8 * 8 * 8.0).reshape(2, 8, 8, 8)
    graph = graph_of(lambda m, x: shuffle(x, random.Random(seed), stray), (8, 8, 8))
    value, y = layouts(graph)[result(graph.graph)], graph(image)
    if isinstance(value, str):
        assert stray
    elif value.layout != "NC":
        maps = {"NCHW": image, "NHWC": image.permute(0, 2, 3, 1), "NLC": image.flatten(2).mT}[value.layout]
        assert sorted(value.grid) == [8, 8]
        assert torch.equal(y, maps)


# -- networks ------------------------------------------------------------------------------------------------


def test_small_nets():
    tokens = record(Tokens().eval(), (3, 8, 8))
    assert layouts(tokens)[node_of(tokens, "add_1")] == Value((5, 8), "NLC", 1, (2, 2))
    folded = record(Windows().eval(), (3, 8, 8))
    assert layouts(folded)[node_of(folded, "reshape_1")] == Value((8, 8, 6), "NHWC", grid=(8, 8))


NETWORKS = {
    "mobilenetv3_small_050": {("NCHW", 0), ("NC", 0)},
    "swin_tiny_patch4_window7_224": {("NCHW", 0), ("NHWC", 0), ("NLC", 0), ("NC", 0)},
    "deit_tiny_distilled_patch16_224": {("NCHW", 0), ("NLC", 0), ("NLC", 2), ("NC", 0)},
    "levit_128s": {("NCHW", 0), ("NLC", 0), ("NC", 0)},
}
MORE = [
    *("mixer_s32_224", "mobilevit_xxs", "coat_tiny", "convit_tiny", "twins_svt_small", "pvt_v2_b0", "poolformer_s12"),
    *("edgenext_xx_small", "xcit_nano_12_p16_224", "cait_xxs24_224", "beit_base_patch16_224", "eva02_tiny_patch14_224"),
    *("gcvit_xxtiny", "nest_tiny", "davit_tiny", "volo_d1_224", "visformer_tiny", "resmlp_12_224", "gmlp_ti16_224"),
    *("sequencer2d_s", "focalnet_tiny_srf", "repvit_m0_9", "efficientformer_l1", "tnt_s_patch16_224", "csatv2"),
]


def cuts_of(name: str) -> Cuts:
    net = timm.create_model(name, pretrained=False).eval()
    return partition(record(net, net.default_cfg["input_size"]))


@pytest.mark.parametrize(("name", "kinds"), NETWORKS.items())
def test_layouts_at_the_cuts_of_real_networks(name, kinds):
    found = cuts_of(name)
    assert {(cut.value.layout, cut.value.tokens) for cut in found.cuts} == kinds
    assert not [r for r in found.rejected if "nothing tells" in r.reason]


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_no_value_of_a_real_network_is_unknown(name):
    found = cuts_of(name)
    assert len(found) > 5
    assert not [r for r in found.rejected if "nothing tells" in r.reason]
    assert all(cut.value.grid or cut.value.layout == "NC" for cut in found.cuts)
