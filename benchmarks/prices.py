"""The tables of docs/prices.md: `python benchmarks/prices.py published|counters|memory|written [--skip N]`.

published   our MACs of torchvision's classification models against the `_ops` in its weights' metadata
counters    our reproduction of thop and fvcore against the tools themselves (`pip install fvcore`), on twelve networks
memory      peak activations against those of the emitted code, tensor by tensor, and what torch.profiler sees, on
            sixteen
written     what twenty pairs of networks were priced at, against the files that are written for them

Networks have random weights. Tables are Markdown; one line for each network as soon as it is known.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import gc
import logging
import random
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import timm
import torch
import torchvision
from torch import Tensor, nn

from stitchc.passes import Codegen, Cost, Partition, Pipeline, Plan, Stitch, Trace
from stitchc.passes.cost.conventions import conventions
from stitchc.passes.cost.count import count, total
from stitchc.passes.cost.fragments import fragment_prices
from stitchc.passes.data.errors import TraceError
from stitchc.passes.data.hybrid import Hybrid
from stitchc.passes.emit.load import load_module
from stitchc.passes.graphs.operators import Operators
from stitchc.passes.trace import trace

SIZE = (3, 224, 224)
COUNTED = (
    *("resnet18", "resnet50", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_b0"),
    *("regnet_y_400mf", "inception_v3", "vit_b_32", "swin_t", "convnext_tiny", "timm/vit_small_patch16_224"),
)
REMEMBERED = (
    *("resnet50", "vgg11", "densenet121", "mobilenet_v3_large", "efficientnet_b0", "swin_t", "convnext_tiny"),
    *("vit_b_32", "timm/vit_small_patch16_224", "timm/regnety_016"),
    *("timm/vit_srelpos_small_patch16_224", "timm/res2net50_14w_8s", "timm/vovnet39a", "timm/mvitv2_tiny"),
    *("timm/convit_tiny", "timm/coat_tiny"),
)
PAIRS = (
    *(("resnet18", "mobilenet_v2"), ("resnet50", "swin_t"), ("timm/vit_small_patch16_224", "resnet34")),
    *(("densenet121", "timm/regnety_016"), ("convnext_tiny", "swin_t"), ("efficientnet_b0", "mobilenet_v3_small")),
    *(("timm/mixer_s32_224", "resnet18"), ("timm/deit_tiny_patch16_224", "squeezenet1_1")),
    *(("shufflenet_v2_x1_0", "vgg11"), ("googlenet", "timm/poolformer_s12"), ("timm/levit_128s", "timm/mobilevit_s")),
    *(("mnasnet1_0", "alexnet"), ("regnet_x_400mf", "timm/convmixer_768_32"), ("vit_b_32", "efficientnet_v2_s")),
    *(("timm/pit_ti_224", "timm/swin_tiny_patch4_window7_224"), ("timm/coat_lite_tiny", "resnet18")),
    *(("timm/resmlp_12_224", "timm/deit_tiny_patch16_224"), ("timm/edgenext_small", "timm/ghostnet_100")),
    *(("timm/xcit_nano_12_p16_224", "mobilenet_v3_large"), ("timm/hrnet_w18_small", "timm/res2net50_26w_4s")),
)


def make(name: str, **options: int) -> nn.Module:
    if name.startswith("timm/"):
        return timm.create_model(name.removeprefix("timm/")).eval()
    return torchvision.models.get_model(name, weights=None, **options).eval()


def without_numbers(name: str, side: int) -> nn.Module:
    """The network with whatever lies in memory for weights: the largest have 2.5 GB of them, and none is read."""
    options = {"image_size": side} if name.startswith("vit_") else {}
    try:
        with torch.device("meta"):
            return make(name, **options).to_empty(device="cpu")
    except NotImplementedError:  # it looks at a number while it is made
        return make(name, **options)


def published(skip: int) -> Iterator[str]:
    yield "| model | size | torchvision's GMACs | ours | apart |"
    yield "|---|---:|---:|---:|---:|"
    for name in torchvision.models.list_models(module=torchvision.models)[skip:]:
        sizes = {entry.transforms().crop_size[0]: entry for entry in torchvision.models.get_model_weights(name)}
        for side, entry in sizes.items():
            try:
                graph = trace(without_numbers(name, side), (3, side, side))
            except TraceError as error:
                yield f"| {name} | {side} | {entry.meta['_ops']} | {error.message} | |"
                continue
            macs = sum(cost.macs for cost in count(graph, (3, side, side)).costs) / 1e9
            theirs = entry.meta["_ops"]
            yield f"| {name} {entry.name} | {side} | {theirs:.3f} | {macs:.3f} | {macs / theirs - 1:+.2%} |"
            del graph


def counters(skip: int) -> Iterator[str]:
    from fvcore.nn import FlopCountAnalysis
    from thop import profile

    yield "| network | macs | thop | thop itself | fvcore | fvcore itself |"
    yield "|---|---:|---:|---:|---:|---:|"
    for name in COUNTED[skip:]:
        network, image = make(name), torch.zeros(1, *SIZE)
        found = {key: sum(kinds.values()) for key, kinds in conventions(trace(network, SIZE), SIZE).items()}
        with contextlib.redirect_stdout(None):
            thop, _ = profile(copy.deepcopy(network), inputs=(image,), verbose=False)
        analysis = FlopCountAnalysis(copy.deepcopy(network), image)
        fvcore = analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total()
        figures = (found["macs"], found["thop"], int(thop), found["fvcore"], int(fvcore))
        yield f"| {name} | {' | '.join(f'{n:,}' for n in figures)} |"


def memory(skip: int) -> Iterator[str]:
    yield "| network | predicted, MiB | tensors of the emitted code | apart | with kernels' workspace |"
    yield "|---|---:|---:|---:|---:|"
    for name in REMEMBERED[skip:]:
        plan = Trace(check=())(Plan.of(make(name), images=torch.zeros(1, *SIZE)))
        said = fragment_prices(count(plan.graphs[0], SIZE), []).whole["memory"]
        with TemporaryDirectory(prefix="stitchc-") as folder:
            Codegen(Path(folder))(replace(plan, hybrids=(Hybrid.whole(plan.graphs[0]),)))
            emitted = load_module(Path(folder))
            tensors, everything = tracked(emitted, torch.zeros(1, *SIZE)), profiled(emitted, torch.zeros(1, *SIZE))
        figures = (said / 2**20, tensors / 2**20)
        yield (
            f"| {name} | {figures[0]:.2f} | {figures[1]:.2f} | {said / tensors - 1:+.1%} | {everything / 2**20:.2f} |"
        )


def tracked(network: nn.Module, image: Tensor) -> int:
    """Bytes of the tensors that live at one moment at most, while the network really runs; the image is one."""
    stored = [*network.parameters(), *network.buffers()]
    operators = Operators()
    with torch.no_grad(), operators.following(image, *stored):
        network(image)
    return image.nbytes + operators.peak_bytes


def profiled(network: nn.Module, image: Tensor) -> int:
    """Bytes that torch allocates at one moment at most by its own profiler, workspaces of kernels included."""
    from torch.profiler import ProfilerActivity, profile

    with torch.inference_mode():
        network(image)
        gc.collect()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
            network(image)
    now = most = 0
    for event in found.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return image.nbytes + most


def written(skip: int, each: int = 2) -> Iterator[str]:
    """Differences between a candidate's price and the artifact that is written for it, counted on its own code."""
    yield "| front | cut | adapter | back | cut | params | MACs | size, B | memory, B |"
    yield "|---|---|---|---|---|---:|---:|---:|---:|"
    for index, names in enumerate(PAIRS[skip:], start=skip):
        images = torch.zeros(1, *SIZE)
        plan = Plan.of(*map(make, names), images=images)
        plan = Pipeline([Trace(check=()), Partition(), Cost(direction="both")])(plan)
        assert plan.candidates is not None
        for row in random.Random(index).sample(range(len(plan.candidates)), each):
            candidate = plan.candidates[row]
            with TemporaryDirectory(prefix="stitchc-") as folder:
                Codegen(Path(folder))(Stitch()(replace(plan, choice=(candidate,))))
                size_bytes = (Path(folder) / "model.safetensors").stat().st_size
                module = load_module(Path(folder))
                own = fragment_prices(count(trace(module, SIZE), SIZE), []).whole
                run, _ = total(module, SIZE)
            price, ((a, i), (b, j)) = candidate.price, (candidate.front, candidate.back)
            apart = [price["params"] - run["params"], price["macs"] - run["macs"], price["size"] - size_bytes]
            apart.append(price["memory"] - own["memory"])
            cuts = plan.cuts[a][i].node, plan.cuts[b][j].node
            yield (
                f"| {names[a]} | `{cuts[0]}` | {candidate.adapter} | {names[b]} | `{cuts[1]}` "
                f"| {' | '.join(map(str, apart))} |"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tables = {"published": published, "counters": counters, "memory": memory, "written": written}
    parser.add_argument("table", choices=tables)
    parser.add_argument("--skip", type=int, default=0, metavar="N", help="go on behind the first N networks or pairs")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    for line in tables[given.table](given.skip):
        print(line, flush=True)


if __name__ == "__main__":
    main()
