"""The pass `verify`: the stitched graph, the generated module and the ONNX file must compute the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from ..data.budget import format_apart
from ..data.errors import InputError, ModelError, VerificationError, first_line
from ..data.hybrid import Verified
from ..data.model import Images, InputSpec
from ..data.plan import Plan
from ..data.scores import scores
from ..emit.load import load_module, load_onnx
from ..graphs.operators import peak_bytes
from ..graphs.placement import exactly, on_device
from ..pipeline import Pass

Network = Callable[[Tensor], Tensor]

# What another order of summation does to the outputs of a deep float32 network, relative to the largest.
ROUNDING = 1e-5
_DEFECT = "This is a defect of stitchc; please report it with the command that led here."


@dataclass(frozen=True)
class Verify(Pass):
    """Compares what was emitted with what was meant, on probe images (where the plan has any) and on random ones.

    `model.py` is run from its folder, as a user would, on the processor and on `device` too. batches: the batch sizes
    tried. tolerance: the largest difference allowed, relative to the largest absolute output of the graph; on another
    device, whose kernels sum in another order, ten times that. Where `model.py` misses a budget of memory, because a
    variable keeps its value until it is set again, a note says so.

    Raises:
        InputError: no batch sizes, or a tolerance that is none. VerificationError: a file differs by more, or gives
        another class. Says which, at what batch, by how much.
    """

    name: ClassVar[str] = "verify"
    requires: ClassVar[tuple[str, ...]] = ("hybrids", "folder")
    changes: ClassVar[tuple[str, ...]] = ("hybrids",)

    batches: tuple[int, ...] = (1, 3)
    tolerance: float = 1e-4
    device: str = "cpu"

    def run(self, plan: Plan) -> Plan:
        assert plan.folder is not None
        hybrid = plan.hybrid
        spec = plan.input_of(hybrid.chain)
        inputs = list(inputs_of(spec, self.batches, plan.seed, plan.images))
        emitted = _emitted(plan.folder)
        verified = compare(hybrid.network, emitted, inputs, self.batches, self.tolerance)
        if torch.device(self.device).type != "cpu":
            found = difference_on(self.device, emitted["model.py"], inputs, 10 * self.tolerance)
            verified = replace(verified, device=self.device, device_max_rel=found)
        plan = replace(plan, notes=(*plan.notes, *_over_memory(plan, emitted["model.py"], spec.size)))
        return plan.with_hybrid(replace(hybrid, verified=verified))


def _over_memory(plan: Plan, network: Network, size: Sequence[int]) -> tuple[str, ...]:
    """That a module, run as Python runs it, holds more than the budget of memory; it is not counted otherwise than here
    how long variables keep their values."""
    limit = plan.budget.get("memory")
    if limit is None:
        return ()
    assert isinstance(network, nn.Module)
    image = torch.empty((1, *size), dtype=torch.float32, device="meta")
    held = image.nbytes + peak_bytes(network, size)
    if held <= limit:
        return ()
    said, asked = format_apart(held, limit, "memory")
    return (
        f"Run as Python runs it, model.py holds {said} of activations at one moment, more than the {asked} of the "
        "budget: a variable keeps its value until it is set again or its function returns, where peak activations are "
        "counted as if each value were freed after its last use.",
    )


@torch.no_grad()
def difference_on(device: str, network: Network, inputs: list[Tensor], tolerance: float) -> float:
    """The largest difference of a module's outputs on a device from those on the processor, relative to the largest of
    an input's outputs.

    Raises:
        VerificationError: it fails there, or the difference is larger than `tolerance`.
    """
    assert isinstance(network, nn.Module)
    place, largest = exactly(device), 0.0
    there = on_device(network, place)
    for images in inputs:
        want = _run("model.py", network, images)
        got = _run(f"model.py on {device}", there, images.to(place)).cpu()
        largest = max(largest, float((got - want).abs().max() / want.abs().max().clamp_min(1e-12)))
    if not largest <= tolerance:
        raise VerificationError(
            f"model.py on {device} differs from model.py on the processor by {largest:.3g} (relative, allowed "
            f"{tolerance:g})"
        )
    return largest


def verify_folder(
    folder: Path,
    size: Sequence[int] | None = None,
    batches: tuple[int, ...] = (1, 3),
    tolerance: float = 1e-4,
    seed: int = 0,
) -> Verified:
    """Compare the files of an artifact with each other: `model.onnx`, if there is one, with `model.py`.

    size: (channels, height, width) of the input; by default what the ONNX file says.

    Raises:
        VerificationError: a file is missing or cannot be run, or they differ.
    """
    folder = Path(folder)
    emitted = _emitted(folder)
    if size is None:
        size = _size_of(folder / "model.onnx")
    spec = InputSpec(tuple(size), (0.0,) * size[0], (1.0,) * size[0])  # type: ignore[arg-type]
    inputs = list(inputs_of(spec, batches, seed, None))
    return compare(emitted["model.py"], emitted, inputs, batches, tolerance)


@torch.no_grad()
def compare(
    reference: Network, emitted: dict[str, Network], inputs: list[Tensor], batches: tuple[int, ...], tolerance: float
) -> Verified:
    """Run `reference` and every emitted network (by file name) on every input, and compare.

    Two networks agree on an image's class when their largest output is the same one, or when the reference's first and
    second class are so near each other that float32 cannot tell them apart (`ROUNDING`): then neither is wrong.

    Raises:
        InputError: a tolerance that is negative or no number. VerificationError: they differ.
    """
    if not 0 <= tolerance < math.inf:
        raise InputError(f"`tolerance` is {tolerance}", "Give a share of the largest output: `tolerance=1e-4`.")
    absolute = dict.fromkeys(emitted, 0.0)
    relative = dict.fromkeys(emitted, 0.0)
    for images in inputs:
        want = _run("the network", reference, images)
        if not torch.isfinite(want).all():
            raise VerificationError(
                f"the network itself gives infinite or undefined outputs at batch {len(images)}",
                "Measure each of its models alone, with stitchc eval: are the weights of one damaged?",
            )
        for name, network in emitted.items():
            got = _run(name, network, images)
            if got.shape != want.shape:
                shapes = f"{tuple(got.shape)} where the network gives {tuple(want.shape)}"
                raise VerificationError(f"{name} gives {shapes}, at batch {len(images)}", _DEFECT)
            difference = (got - want).abs().max().item()
            share = difference / max(want.abs().max().item(), 1e-12)
            if not share <= tolerance:
                raise VerificationError(
                    f"{name} differs from the network by {difference:.3g} ({share:.3g} relative, "
                    f"allowed {tolerance:g}) at batch {len(images)}",
                    _DEFECT,
                )
            wrong = _disagreements(want, got)
            if wrong:
                raise VerificationError(
                    f"{name} gives another class for {wrong} of {len(images)} images of a batch", _DEFECT
                )
            absolute[name] = max(absolute[name], difference)
            relative[name] = max(relative[name], share)
    return Verified(
        module_max_abs=absolute["model.py"],
        module_max_rel=relative["model.py"],
        onnx_max_abs=absolute.get("model.onnx"),
        onnx_max_rel=relative.get("model.onnx"),
        argmax_agreement=1.0,
        batches=batches,
    )


def _emitted(folder: Path) -> dict[str, Network]:
    networks: dict[str, Network] = {"model.py": load_module(folder)}
    if (folder / "model.onnx").exists():
        networks["model.onnx"] = load_onnx(folder / "model.onnx")
    return networks


def _run(name: str, network: Network, images: Tensor) -> Tensor:
    try:
        return scores(network, images.clone(), name) if isinstance(network, nn.Module) else network(images.clone())
    except ModelError as error:
        raise VerificationError(error.message, error.hint) from error
    except Exception as error:
        raise VerificationError(f"{name} fails on a batch of {len(images)}: {first_line(error)}", _DEFECT) from error


def inputs_of(spec: InputSpec, batches: tuple[int, ...], seed: int, images: Images | None) -> Iterator[Tensor]:
    """For each batch size that many random images, and as many of the probe images where there are enough.

    Raises:
        InputError: there are no batch sizes, by which nothing would be compared, or one is no number of images.
    """
    if not batches or not all(isinstance(batch, int) and batch > 0 for batch in batches):
        raise InputError(
            f"`batches` is {batches!r}: nothing can be compared on it", "Give numbers of images: `batches=(1, 3)`."
        )
    generator = torch.Generator().manual_seed(seed)
    for batch in batches:
        yield torch.randn(batch, *spec.size, generator=generator)
    for batch in batches:
        if images is not None and len(images) >= batch:
            yield next(iter(images.batches(spec, batch, 0, batch)))


def _disagreements(want: Tensor, got: Tensor) -> int:
    want, got = want.flatten(1), got.flatten(1)
    if want.shape[1] < 2:
        return 0
    top = want.topk(2, dim=1).values
    tied = top[:, 0] - top[:, 1] <= ROUNDING * want.abs().amax(dim=1)
    return int(((want.argmax(1) != got.argmax(1)) & ~tied).sum())


def _size_of(path: Path) -> tuple[int, ...]:
    if not path.exists():
        raise VerificationError(
            f"{path} does not exist, and nothing else says how large the input is", "Compile again with model.onnx."
        )
    import onnx

    (given,) = [i for i in onnx.load(str(path), load_external_data=False).graph.input if i.name == "input"]
    return tuple(d.dim_value for d in given.type.tensor_type.shape.dim[1:])
