"""One network for many budgets: members chosen together, healed together, written as one artifact."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .cache import Store
from .classes import check_alike
from .device import moving, resolve
from .families.budgets import budgets_of
from .families.devices import read_devices
from .families.options import FamilyOptions
from .heads.put import check as check_head
from .keywords import with_options
from .passes.data.errors import InputError
from .progress import Clock, Progress, Silent, stage
from .search import check_images, check_rank, looked_at
from .searches.methods import METHODS, SHARE, Words, nothing_to_join, said_words
from .start import opened

if TYPE_CHECKING:
    from .evaluate import Accuracy
    from .families.budgets import Wanted
    from .passes.data.chain import Chain
    from .passes.data.family import Family
    from .passes.data.hybrid import Hybrid
    from .passes.data.model import Images, Model
    from .passes.data.plan import Plan
    from .passes.data.values import Price
    from .passes.family.candidates import Network
    from .passes.family.judge import Judge
    from .passes.family.study import Study
    from .passes.search.probe import Probe

# Chains that are stitched for each budget, and how many for each are healed on few images before members are chosen.
_EACH, _TRIED = 4, 2
# What seams are scored by where no rule is asked for: it tells more from few images than accuracy does.
_SEAMS_BY = "cascade"
# Images that members are fitted and healed on, at most; the others say what they are worth.
_HEALED_ON = 512


@dataclass(frozen=True)
class FamilyResult:
    """What `family` gives. plan: of the models. family: the members, with their networks. record: what plan.json holds.
    After a dry run the latter two are None."""

    plan: Plan
    family: Family | None = None
    record: Mapping[str, Any] | None = None

    def _repr_html_(self) -> str:
        from .report.notebook import family_html

        return family_html(self)


@with_options(FamilyOptions)
def family(*models: str | Path | Model, options: FamilyOptions, progress: Progress | None = None) -> FamilyResult:
    """Makes one network that switches between budgets at run time, from two models or more, and writes it to `out`.

    models: by their words or loaded; they are members too. budget: ["20%", "35%", {"params": 1e6}], a member for each;
    without, as many as `members` along the front. data, evaluate: as `stitchc.compile` takes them.

    Raises:
        InputError: something given cannot be used. Infeasible: no chain meets any budget. VerificationError: what was
        emitted does not agree with a member; nothing is left in `out`.
    """
    watcher, given = progress or Silent(), options
    _check(models, options)
    devices = read_devices(options.devices) if options.devices else ()
    with opened(models, given, watcher) as (plan, options, measured, folder):
        check_alike(plan.models, "family")
        if options.dry_run:
            return FamilyResult(looked_at(plan, options, words(options), watcher))
        check_images(plan, options.rank or _SEAMS_BY)
        plan, unseen = _divided(plan)
        plan = looked_at(plan, options, words(options), watcher)
        wanted = budgets_of(plan, options, devices)
        return _made(plan, unseen, models, (options, given), wanted, measured, folder, watcher)


def _divided(plan: Plan) -> tuple[Plan, Images]:
    """The plan with the images that members are fitted and healed on, and those that say what they are worth."""
    from .passes.data.some_images import Part

    assert plan.images is not None
    count = len(plan.images)
    healed = min(_HEALED_ON, count // 2)
    return replace(plan, images=Part(plan.images, 0, healed)), Part(plan.images, healed, count)


def words(options: FamilyOptions) -> Words:
    """The options of the search, with the defaults of the exact one."""
    return said_words(options, METHODS["exact"].words)


def _check(models: Sequence[str | Path | Model], options: FamilyOptions) -> None:
    from .passes import adapters

    if len(models) < 2:
        raise InputError(
            f"a family is made of two models or more, and {len(models)} were given",
            "Name two: stitchc family digits/convnext digits/plain -o family/.",
        )
    if options.extra is not None and options.share == "healed":
        raise InputError(
            "`extra` limits what members add, and with `share='healed'` they add all that healing changes",
            "Take `share='auto'`.",
        )
    check_rank(options.rank or _SEAMS_BY)
    moving(options.device)
    check_head(options)
    if options.devices is not None:
        read_devices(options.devices)
    for name in options.adapters or ():
        adapters.get(name)


def _made(
    plan: Plan, unseen: Images, models: Sequence[str | Path | Model], options: tuple[FamilyOptions, FamilyOptions],
    wanted: Wanted, measured: Images | None, folder: Path, progress: Progress,
) -> FamilyResult:  # fmt: skip
    from . import recipe
    from .families.folder import write_family
    from .families.record import Told, family_record
    from .report.page.family import family_sections

    used, given = options
    clock = Clock()
    with clock("choose"):
        probe = _probe(plan, used, wanted.members)
        judge = _judge(plan, unseen, used, wanted, progress)
        found = _study(probe, judge, used, wanted, clock, progress)
    plan, made = _family(found, plan, wanted.metric)
    with clock("measure"):
        rivals = _rivals(found, used, measured, progress)
        accuracy = _measured(plan, made, measured, used, progress)
    plan = replace(plan, seconds={**plan.seconds, **clock.seconds})
    if moving(used.device):
        plan, made = _brought_back(plan, made)
    told = Told(plan, made, wanted, found, accuracy, rivals)
    said = recipe.dumps(models, given, "family")
    record = write_family(
        plan, made, folder, more=family_record(told, used), recipe=said,
        report=lambda record: list(family_sections(record, said)), onnx=used.onnx, opset=used.opset, accuracy=accuracy,
        device=str(resolve(used.device)), progress=progress,
    )  # fmt: skip
    return FamilyResult(plan, made, record)


def _brought_back(plan: Plan, made: Family) -> tuple[Plan, Family]:
    """The plan and the members on the processor, where they are written."""
    from .passes import Move, Pipeline

    plan = Pipeline([Move()])(replace(plan, hybrids=tuple(member.hybrid for member in made.members)))
    back = zip(made.members, plan.hybrids, strict=True)
    return replace(plan, hybrids=()), replace(made, members=tuple(replace(m, hybrid=one) for m, one in back))


def _judge(plan: Plan, unseen: Images, options: FamilyOptions, wanted: Wanted, progress: Progress) -> Judge:
    """What says what networks are worth; its plan has the models on smaller images too, down to the first within the
    least budget, unless those are left out."""
    from .passes import Cost, Partition, Trace
    from .passes.family.judge import Judge
    from .passes.family.smaller import with_smaller

    with stage(progress, "the models on smaller images"):
        if options.rivals != "none":
            look = [
                options.make(Trace),
                Partition(rule=words(options).rule),
                Cost(adapters=()),
                *moving(options.device),
            ]
            least = min(budget.get(wanted.metric, 0.0) for budget in wanted.budgets)
            plan = with_smaller(plan, look, wanted.metric, least)
        return Judge(plan, unseen, options.rank, options.max_memory)


def _study(
    probe: Probe, judge: Judge, options: FamilyOptions, wanted: Wanted, clock: Clock, progress: Progress
) -> Study:
    """The members, chosen among chains that were healed, as they are and on smaller images, and the models."""
    from .passes.family.candidates import Looking
    from .passes.family.study import study

    said, plan = words(options), probe.pool.plan
    looking = Looking(
        wanted.budgets, wanted.metric, _EACH, 0.0, said.fragments, said.repeats, _TRIED * wanted.members,
        None if options.heal == "none" else options.heal, options.max_memory, progress.update,
    )  # fmt: skip
    with stage(progress, "choosing members"):
        return study(
            probe, judge, looking, lambda chains: _repaired(plan, chains, options, clock, progress),
            price=options.price, most=wanted.most, wanted=wanted.members, timed=wanted.timed,
            room=_room(plan, options),
        )  # fmt: skip


def _room(plan: Plan, options: FamilyOptions) -> float:
    """Bytes of weights that members may add: the option `extra` is of the models' files, and the header of a family's
    file is taken to be twice as long as theirs."""
    from .passes.family.weights import contents

    if options.extra is None:
        return inf
    files = sum(price["size"] for price in plan.prices)
    return max(0.0, options.extra * files - (files - sum(contents(plan.graphs).values())))


def _probe(plan: Plan, options: FamilyOptions, members: int) -> Probe:
    """What chains of the models are scored with."""
    from .passes.search.effort import SearchEffort
    from .passes.search.pool import Pool
    from .passes.search.probe import Probe

    said = words(options)
    share = SHARE if options.min_share is None else options.min_share
    pool = Pool.of(plan, said.adapters, repeats=said.repeats == "loops", min_share=share, max_memory=options.max_memory)
    if not len(pool):
        raise nothing_to_join(said.adapters)
    effort = SearchEffort.of(options.effort)
    effort = replace(effort, chains=max(effort.chains, _EACH * members))
    return Probe(pool, effort, options.rank or _SEAMS_BY, options.max_memory, Store("seams"))


def _repaired(
    plan: Plan, chains: Sequence[tuple[Chain, Price]], options: FamilyOptions, clock: Clock, progress: Progress
) -> list[Hybrid]:
    """Chains as networks, fitted and healed on all images of the plan, one after the other."""
    from .passes.data.healing import healing_options
    from .passes.family.fit import hybrids
    from .passes.family.heal import Healer
    from .passes.family.weights import contents

    if not chains:
        return []
    with clock("fit"), stage(progress, "fitting members"):
        made = hybrids(plan, chains, options.max_memory, progress.update)
    if options.heal == "none":
        return made
    total = sum(contents(plan.graphs).values())
    with clock("heal"):
        healer = Healer(
            plan, options.heal, healing_options(options, options.max_memory), options.share, options.price / total,
            made, _room(plan, options),
        )  # fmt: skip
        for k, hybrid in enumerate(made):
            with stage(progress, f"healing member {k + 1} of {len(made)}"):
                made[k] = healer.heal(hybrid, progress.update)
    return made


def _family(found: Study, plan: Plan, metric: str) -> tuple[Plan, Family]:
    """The members under their names; and the plan of the models, with those on smaller images that members are made of
    behind them."""
    from .passes.data.family import Family, Member
    from .passes.family.smaller import moved, with_only

    given = range(len(plan.models))
    used = {one.model for network in found.chosen() for one in network.chain.fragments}
    plan, place = with_only(found.plan, [*given, *sorted(used - set(given))])
    made = [replace(one.hybrid, chain=moved(one.chain, place)) for one in found.chosen()]
    named = zip(names_of(made, plan, metric), made, strict=True)
    members = (
        Member(name, one, None if one.adapters else plan.models[one.chain.front.model].name) for name, one in named
    )
    return plan, Family(tuple(members), found.input)


def names_of(hybrids: Sequence[Hybrid], plan: Plan, metric: str) -> list[str]:
    """A Python identifier for each: of a model its own name, of a stitched network what it takes of the metric, in
    percent of the dearest model; with a number behind where that is taken."""
    from .report.table import short

    most = max(price[metric] for price in plan.prices)
    models = short([model.name for model in plan.models])
    found: list[str] = []
    for one in hybrids:
        assert one.price is not None
        name = f"{metric}_{round(100 * one.price[metric] / most)}"
        if not one.adapters:
            name = re.sub(r"\W+", "_", models[one.chain.front.model].lower()).strip("_")
            name = f"model_{name}" if not name[:1].isalpha() or keyword.iskeyword(name) else name
        taken = sum(other == name or other.startswith(f"{name}_v") for other in found)
        found.append(f"{name}_v{taken + 1}" if taken else name)
    return found


def _measured(
    plan: Plan, made: Family, images: Images | None, options: FamilyOptions, progress: Progress
) -> dict[str, Accuracy | None]:
    """Accuracy of each member on the same images, by its name, as the family runs it: on the family's own input, of
    which a member makes its own where it wants another; None where it was not measured."""
    from torch import nn

    from .evaluate import accuracy_if_matched
    from .passes.emit.conversion import conversions, input_of

    found: dict[str, Accuracy | None] = {}
    first, spec = conversions(plan, made), input_of(plan, made)
    for member in made.members:
        found[member.name] = None
        if images is not None:
            owner = replace(plan.models[member.hybrid.chain.back.model], name=member.name)
            network: nn.Module = member.hybrid.network
            if member.name in first:
                network = nn.Sequential(first[member.name], network).eval()
            with stage(progress, f"measuring {member.name}"):
                found[member.name], _ = accuracy_if_matched(
                    network, spec, images, owner, device=options.device, progress=progress
                )
    return found


def _rivals(
    found: Study, options: FamilyOptions, images: Images | None, progress: Progress
) -> list[tuple[Model, Network, Accuracy | None]]:
    """The models on smaller images that are no members, with their accuracy."""
    from .evaluate import accuracy_if_matched

    rivals: list[tuple[Model, Network, Accuracy | None]] = []
    with stage(progress, "measuring the models on smaller images"):
        for one in found.rivals():
            model, accuracy = found.plan.models[one.chain.front.model], None
            if images is not None:
                accuracy, _ = accuracy_if_matched(
                    one.hybrid.network, model.input, images, model, device=options.device, progress=progress
                )
            rivals.append((model, one, accuracy))
    return rivals
