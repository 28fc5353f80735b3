"""The main job: two models in, one verified hybrid out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from .inputs import PROBE_IMAGES, arch_for, model_of, probe
from .passes.data.errors import InputError
from .passes.data.model import Images, Model
from .progress import Progress, Silent, stage

if TYPE_CHECKING:
    from .evaluate import Accuracy
    from .passes.data.budget import Limit
    from .passes.data.plan import Plan
    from .passes.pipeline import Pass

Budget = str | Iterable[str] | Mapping[str, float | str]


def compile(
    a: str | Path | Model,
    b: str | Path | Model,
    *,
    budget: Budget | None = None,
    metric: str | None = None,
    backend: str = "eager",
    data: str | Images | None = None,
    evaluate: str | Images | None = None,
    out: str | Path | None = None,
    direction: str = "slow-to-fast",
    adapter: str = "auto",
    chain: bool = False,
    recalibrate: bool = False,
    heal: str = "back",
    heal_layers: int | None = None,
    heal_sweeps: int = 2,
    heal_target: str = "back",
    rank: str = "cascade",
    effort: str | float = "medium",
    min_share: float | None = None,
    similarity: str = "cka-unbiased",
    max_memory: int | None = None,
    front: str | int | None = None,
    back: str | int | None = None,
    probe_images: int = PROBE_IMAGES,
    onnx: bool = True,
    opset: int | None = None,
    dry_run: bool = False,
    seed: int = 0,
    device: str = "auto",
    arch: str | None = None,
    frontend: str = "auto",
    trust_pickle: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """Stitches the front of one model to the back of another within a budget, and writes the artifact to `out`.

    a, b: models by their words, or loaded. budget: {"flops": 12e6}, {"params": "60%"}, "12M" with
    `metric`, or ["params=12M", "size=2MiB"]; None for no limit. backend: what latency is measured with, where a budget
    or `metric` asks for it: "eager", "compile" or "onnxruntime". data: the probe images; by default what the models'
    own records name, else noise. evaluate: labelled images to measure hybrid and parents on; by default the test
    split of `digits` when that is the data, else nothing is measured. front, back: a cut by node, path or index; with
    either, a is the front and b the back. adapter: words such as "conv3x3?resize=before" (docs/adapters.md). chain: one
    of them a scale step over a gap of several stages. heal: what is repaired in closed form once the adapter is fitted:
    "back", "adapter", "all" or "none"; on noise nothing is. heal_layers, heal_sweeps, heal_target: see the pass.
    recalibrate: estimate the back's BatchNorms anew, after that. rank: "cascade" stitches and probes the most promising
    candidates, with `effort` "low", "medium", "high" or seconds; "cka" goes by similarity (see the passes `rank` and
    `select`). min_share: what each parent must give of the MACs; None for nothing where candidates are probed, 10 %
    where they are not. max_memory: bytes that comparing may take beside the models, and that healing keeps in memory.
    frontend: "record", "export", or "auto" for the first that works. dry_run: stop once the candidates are ranked, and
    write nothing.
    Without `out` everything is done and verified, in a folder that is gone afterwards.

    Raises:
        InputError: something given cannot be used. Infeasible: nothing meets the budget. VerificationError: what was
        emitted does not agree with the stitched graph; nothing is left in `out`.
    """
    from .artifact import write
    from .passes import Pipeline, Plan, adapters

    watcher = progress or Silent()
    limits = read_budget(budget, metric)
    _check_device(device)
    joint = _chained(adapter) if chain else adapter
    adapters.expand(joint)  # words that mean nothing are refused before anything slow begins
    options = {
        "a": _words(a), "b": _words(b), "budget": budget_words(limits), "data": _words(data),
        "backend": None if backend == "eager" else backend, "evaluate": _words(evaluate), "direction": direction,
        "adapter": adapter, "chain": chain or None, "heal": heal,
        "heal_layers": heal_layers, "heal_sweeps": heal_sweeps, "heal_target": heal_target,
        "recalibrate": recalibrate or None, "rank": rank, "effort": effort,
        "min_share": min_share, "similarity": similarity, "max_memory": max_memory, "front": front, "back": back,
        "probe_images": probe_images, "onnx": onnx,
        "opset": opset, "seed": seed, "device": device, "arch": arch,
        "frontend": frontend,
    }  # fmt: skip
    healing: dict[str, Any] = {
        "heal": heal,
        "heal_layers": heal_layers,
        "heal_sweeps": heal_sweeps,
        "heal_target": heal_target,
    }
    with _folder(None if dry_run else out, force) as folder:
        models = []
        for given in (a, b):
            with stage(watcher, f"loading {given.name if isinstance(given, Model) else given}"):
                models.append(model_of(given, trust_pickle=trust_pickle, arch=arch_for(given, arch)))
        images, notes = probe(models, data, probe_images)
        chosen = None if front is None and back is None else "given"
        plan = Plan(_named_apart(models), seed=seed, images=images, notes=notes)
        plan = Pipeline(
            analysis(
                limits,
                direction=chosen or direction,
                adapter=joint,
                rank=rank,
                effort=effort,
                min_share=least_share(min_share, rank, images),
                healing={} if dry_run else healing,
                frontend=frontend,
                similarity=None if front is not None and back is not None else similarity,
                max_memory=max_memory,
                front=front,
                back=back,
                latency=backend if asks_latency(limits, metric) else None,
                progress=watcher,
            ),
            callback=watcher,
        )(plan)
        if dry_run:
            return plan
        healing["max_memory"] = max_memory
        passes = synthesis(folder, healing, recalibrate=recalibrate, onnx=onnx, opset=opset, progress=watcher)
        plan = Pipeline(passes, callback=watcher)(plan)
        hybrid, parents = _measure(plan, folder, evaluate or _test_split(images), device, watcher)
        write(plan, folder, options=options, accuracy=hybrid, parents=parents)
        return plan


def analysis(
    limits: Iterable[Limit],
    *,
    direction: str,
    adapter: str,
    rank: str,
    effort: str | float,
    min_share: float,
    similarity: str | None,
    max_memory: int | None = None,
    confidence: float | None = None,
    healing: Mapping[str, Any] | None = None,
    front: str | int | None = None,
    back: str | int | None = None,
    rule: str = "single-tensor",
    frontend: str = "auto",
    latency: str | None = None,
    progress: Progress,
) -> list[Pass]:
    """The passes from models to ranked candidates. similarity: the metric, None to do without. healing: options of the
    pass `heal` that are to be reckoned with. latency: the backend to time networks with, None to time none."""
    from .cache import Store
    from .passes import Cost, Latency, Partition, Rank, Select, Shortlist, Similarity, Trace

    probes: list[Pass] = []
    if rank != "cka" and similarity is not None:
        probes.append(Rank(rank=rank, effort=effort, min_share=min_share, progress=progress.update, **(healing or {})))
    compare = Similarity(
        metric=similarity or "",
        max_memory=max_memory,
        confidence=confidence,
        store=Store("similarity"),
        progress=progress.update,
    )
    return [
        Trace(frontend=frontend),
        Partition(rule=rule),
        Cost(adapters=(adapter,), direction=direction),
        *([compare] if similarity else []),
        *([Latency(backend=latency, store=Store("latency"), progress=progress.update)] if latency else []),
        Select(budget=tuple(limits), front=front, back=back, min_share=min_share),
        *probes,
        *([Shortlist(backend=latency, progress=progress.update)] if latency else []),
    ]


def least_share(given: float | None, rank: str, images: Images) -> float:
    """`min_share`, or what suits the rank where nobody says: likeness alone prefers cuts where one parent does all the
    work, and is told to look elsewhere; a probe has seen what such a stitch is worth."""
    from .passes.rank import cannot_probe

    if given is not None:
        return given
    return 0.1 if rank == "cka" or cannot_probe(images) else 0.0


def synthesis(
    folder: Path,
    healing: Mapping[str, Any],
    *,
    recalibrate: bool = False,
    onnx: bool,
    opset: int | None,
    progress: Progress,
) -> list[Pass]:
    """The passes from the chosen candidate to verified files in `folder`. healing: the options of the pass `heal`."""
    from .passes import Codegen, ExportOnnx, Fit, Heal, Recalibrate, Stitch, Verify

    return [
        Stitch(),
        Fit(progress=progress.update),
        Heal(**healing, progress=progress.update),
        *([Recalibrate(progress=progress.update)] if recalibrate else []),
        Codegen(folder=folder),
        *([ExportOnnx(opset=opset)] if onnx else []),
        Verify(),
    ]


def _chained(adapter: str) -> str:
    """The words of an adapter that joins by a chain."""
    return adapter if "steps=" in adapter else f"{adapter}{'&' if '?' in adapter else '?'}steps=yes"


@contextmanager
def _folder(out: str | Path | None, force: bool) -> Iterator[Path]:
    """Where to make the artifact: it becomes `out` when all went well; without `out` it is made to be checked only."""
    if out is not None:
        from .artifact import staging

        with staging(out, force=force) as folder:
            yield folder
    else:
        with TemporaryDirectory(prefix="stitchc-") as scratch:
            yield Path(scratch)


def read_budget(budget: Budget | None, metric: str | None) -> tuple[Limit, ...]:
    """A budget in any of the forms that `compile` takes, as limits.

    Raises:
        QuantityError: a quantity, a unit or a metric that means nothing.
    """
    from .passes.data.budget import as_limits, check_metric, parse_budget

    if metric is not None:
        check_metric(metric)
    if budget is None:
        return ()
    if isinstance(budget, Mapping):
        return as_limits(budget)
    return tuple(parse_budget([budget] if isinstance(budget, str) else budget, metric).values())


def asks_latency(limits: Iterable[Limit], metric: str | None) -> bool:
    """Whether anything asks for latency, which has to be measured."""
    return metric == "latency" or any(limit.metric == "latency" for limit in limits)


def budget_words(limits: Iterable[Limit]) -> list[str]:
    """The limits as the words that `--budget` takes."""
    return [f"{x.metric}={x.value * 100:g}%" if x.relative else f"{x.metric}={x.value:.15g}" for x in limits]


def _words(given: Any) -> str | None:
    """What a recipe can say of an argument: words as they are, things by their names."""
    if given is None or isinstance(given, str):
        return given
    return str(given) if isinstance(given, Path) else getattr(given, "source", "") or given.name


def _check_device(device: str) -> None:
    from .device import resolve

    if device != "auto" and resolve(device).type != "cpu":
        raise InputError(f"compile computes on the processor only, not on '{device}'", "Leave --device out.")


def _test_split(probe: Images) -> str | None:
    """Images that were used neither to train the embedded zoo nor to fit."""
    return "digits?split=test" if probe.name.split("?")[0] == "digits" else None


def _named_apart(models: list[Model]) -> tuple[Model, ...]:
    """Two models of one name would be one in every report."""
    from dataclasses import replace

    first, second = models
    if first.name == second.name and first.module is not second.module:
        return replace(first, name=f"{first.name} (a)"), replace(second, name=f"{second.name} (b)")
    return first, second


def _measure(
    plan: Plan, folder: Path, data: str | Images | None, device: str, progress: Progress
) -> tuple[Accuracy | None, tuple[Accuracy | None, ...]]:
    """Accuracy of the hybrid and of its parents on the same images."""
    if data is None:
        return None, (None,) * len(plan.models)
    from .evaluate import accuracy
    from .inputs import images_of

    images = images_of(data, "to measure on")
    spec = plan.input_of(plan.hybrid.chain)
    with stage(progress, "measuring the hybrid"):
        hybrid = accuracy(plan.hybrid.network, spec, images, device=device, progress=progress)
    parents = []
    for model in plan.models:
        with stage(progress, f"measuring {model.name}"):
            assert model.module is not None
            parents.append(accuracy(model.module, model.input, images, device=device, progress=progress))
    return hybrid, tuple(parents)
