"""How every verb that works on models begins: models and images loaded, and a place to write to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from itertools import chain, product
from pathlib import Path
from string import ascii_lowercase
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from .device import with_memory
from .heads.put import with_heads
from .inputs import NOISE, load_all, probe
from .passes.data.float32 import in_full_precision
from .progress import Progress
from .shared_options import ArtifactOptions, HeadOptions, MeasuringOptions

# Images that are decoded at once to be compared.
_DECODED = 64

if TYPE_CHECKING:
    from .families.options import FamilyOptions
    from .options import CompareOptions, CompileOptions
    from .passes.data.model import Images, Model
    from .passes.data.plan import Plan
    from .searches.options import SearchOptions, SpaceOptions

    V = TypeVar("V", CompileOptions, SearchOptions, FamilyOptions)


@contextmanager
def opened(
    models: Sequence[str | Path | Model], given: V, progress: Progress
) -> Iterator[tuple[Plan, V, Images | None, Path]]:
    """The models and images of a verb that writes an artifact: the plan of them, the options with the memory there is,
    the images to measure accuracy on where that will be done, and a folder to make the artifact in.

    Raises:
        InputError: an operator set of ONNX that there is not, which is said before the work; or as `begin`.
    """
    if given.onnx and given.opset is not None:
        from .passes.emit.onnx import check_opset

        check_opset(given.opset)
    options = with_memory(given)
    with _folder_of(options) as folder, in_full_precision():
        plan: Plan = begin(models, options, progress)
        measured = None if options.dry_run else _measured_on(plan, options)
        told: Iterable[str] = () if measured is None else _seen_before(plan, measured)
        yield replace(plan, notes=(*plan.notes, *told)), options, measured, folder


def begin(
    models: Sequence[str | Path | Model],
    options: CompileOptions | CompareOptions | SearchOptions | SpaceOptions | FamilyOptions,
    progress: Progress,
) -> Plan:
    """The plan of the models, loaded, and of the images to compare them on."""
    from .passes import Plan

    loaded, said = load_all(models, options, progress), tuple[str, ...]()
    if isinstance(options, HeadOptions):  # a comparison looks at models as they are
        loaded, said = with_heads(loaded, options, progress)
    images, notes = probe(loaded, options.data, options.probe_images)
    for line in _unstated(loaded, images):
        progress.tell(line)
    return Plan(_named_apart(loaded), seed=options.seed, images=images, notes=(*notes, *said))


def _unstated(models: Sequence[Model], images: Images) -> Iterator[str]:
    """What nobody stated, told before the work rather than in the report: it may not be what was meant."""
    for model in models:
        if "size" in model.input.assumed:
            size = "x".join(map(str, model.input.size))
            yield f"{model.name} states no input size, so it is fed {size}; a name may end in ?input=3x32x32"
    if images.noise and images.name == NOISE:
        yield "no images are named: networks are compared on noise, by similarity alone, and nothing is healed"


@contextmanager
def _folder_of(options: ArtifactOptions) -> Iterator[Path]:
    """Where to make the artifact: it becomes `out` when all went well; without `out` it is made to be checked only."""
    if options.out is not None and not options.dry_run:
        from .artifact import staging

        with staging(options.out, force=options.force) as folder:
            yield folder
    else:
        with TemporaryDirectory(prefix="stitchc-") as scratch:
            yield Path(scratch)


def _measured_on(plan: Plan, options: MeasuringOptions) -> Images | None:
    """The images to measure on: those given, else some that were used neither to train the embedded zoo nor to fit.

    Raises:
        DataError: their classes are those of none of the models, which is said before the work.
    """
    from .classes import check
    from .inputs import images_of, test_split

    assert plan.images is not None
    data = options.evaluate or test_split(plan.images)
    if data is None:
        return None
    images = images_of(data, "to measure on", measuring=True)
    if options.evaluate:
        check(images, plan.models)
    return images


def _seen_before(plan: Plan, measured: Images) -> Iterator[str]:
    """A note where images to measure on are among those to fit on. Only sets of one source are looked at, since their
    pictures are decoded for it."""
    assert plan.images is not None
    if plan.images.noise or plan.images.name.partition("?")[0] != measured.name.partition("?")[0]:
        return
    spec = plan.models[0].input

    def digests(images: Images) -> list[bytes]:
        return [sha256(one.numpy().tobytes()).digest() for batch in images.batches(spec, _DECODED) for one in batch]

    known = set(digests(plan.images))
    shared = sum(digest in known for digest in digests(measured))
    if shared:
        yield (
            f"{shared} of the {len(measured)} images that accuracy is measured on are among those that stitches are "
            "fitted and chosen on, which flatters them. `evaluate` names others."
        )


def _named_apart(models: Sequence[Model]) -> tuple[Model, ...]:
    """Several models of one name would be one in every report."""
    same = [m.name for i, m in enumerate(models) if any(m.name == o.name and m.module is not o.module for o in models)]
    letters = map("".join, chain(ascii_lowercase, product(ascii_lowercase, repeat=2)))  # a ... z, aa ... zz
    return tuple(replace(m, name=f"{m.name} ({next(letters)})") if m.name in same else m for m in models)
