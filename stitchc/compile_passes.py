"""The passes of a compile, in three parts: from models to a choice, from that to a network, and to verified files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .device import moving, resolve, timed_on
from .progress import Progress

if TYPE_CHECKING:
    from .options import CompareOptions, CompileOptions
    from .passes.data.model import Images
    from .passes.pipeline import Pass


def looking(options: CompileOptions | CompareOptions) -> list[Pass]:
    """The passes from models to their cuts."""
    from .passes import Partition, Trace

    return [options.make(Trace), options.make(Partition)]


def analysis(
    options: CompileOptions | CompareOptions, images: Images, progress: Progress, *, alone: bool = False,
    mixed_sizes: bool = True,
) -> list[Pass]:  # fmt: skip
    """The passes from cuts to ranked candidates, or to the chain that is stated. Each takes its own options by their
    names. alone: there is one model, to be stitched to itself. mixed_sizes: as of the pass `cost`; where they are not,
    similarity is that of the models at their own sizes."""
    from .cache import Store
    from .passes import Cost, Latency, Rank, Select, Shorten, Similarity, TimeCandidates

    cuts = [cut for cut in (getattr(options, "front", None), getattr(options, "back", None)) if cut is not None]
    told = progress.update
    if getattr(options, "chain", None) is not None:
        return [
            options.make(Cost, adapters=()),
            options.make(Select, budget=options.budget, adapter=options.adapters),
            *moving(options.device),
        ]
    direction = "given" if cuts else options.direction
    passes: list[Pass] = [
        options.make(Cost, adapters=(options.adapters,), direction=direction, mixed_sizes=mixed_sizes),
        *moving(options.device),
    ]
    timed_there = timed_on(options.device, options.backend)
    if len(cuts) < 2:
        store = Store("similarity")
        seen = {"metric": options.similarity, "one_size": not mixed_sizes, "store": store, "progress": told}
        passes.append(options.make(Similarity, **seen))
    if options.asks_latency:
        passes.append(options.make(Latency, device=timed_there, store=Store("latency"), progress=told))
    share = least_share(options, images)
    passes.append(options.make(Select, budget=options.budget, min_share=share))
    best: list[Pass] = []
    if options.rank != "cka" and len(cuts) < 2:
        best.append(options.make(Rank, min_share=share, progress=told))
    if options.asks_latency:
        best.append(options.make(TimeCandidates, device=timed_there, progress=told))
    if alone and not cuts and options.adapters in ("auto", "identity"):
        return [*passes, Shorten(otherwise=best)]
    return [*passes, *best]


def synthesis(options: CompileOptions, progress: Progress) -> list[Pass]:
    """The passes from the chosen candidate to a network."""
    from .passes import Fit, Heal, Polish, Recalibrate, Stitch, Unseen

    told = progress.update
    repair: list[Pass] = [
        options.make(Fit, progress=told),
        options.make(Heal, progress=told),
        *([options.make(Recalibrate, progress=told)] if options.recalibrate else []),
    ]
    if options.polish is not None:
        repair = [*map(Unseen, repair), options.make(Polish, progress=told)]
    return [options.make(Stitch), *repair]


def emission(options: CompileOptions, folder: Path) -> list[Pass]:
    """The passes from a network to verified files in `folder`."""
    from .passes import Codegen, ExportOnnx, Move, Verify

    away = moving(options.device)
    return [
        *([Move()] if away else []),
        options.make(Codegen, folder=folder),
        *([options.make(ExportOnnx)] if options.onnx else []),
        options.make(Verify, device=str(resolve(options.device))),
    ]


def least_share(options: CompileOptions | CompareOptions, images: Images) -> float:
    """`min_share`, or what suits the rank where nobody says: similarity alone prefers cuts where one model does all the
    work, so a minimum is set; where candidates are stitched and tested, none is needed."""
    from .passes.rank import cannot_probe
    from .passes.select import LEAST_SHARE

    if options.min_share is not None:
        return options.min_share
    return LEAST_SHARE if options.rank == "cka" or cannot_probe(images) else 0.0
