"""The main job: trained models in, one verified hybrid out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .compile_passes import analysis, emission, looking, synthesis
from .device import moving
from .heads.put import check as check_head
from .inputs import name_of
from .keywords import with_options
from .options import CompileOptions
from .passes.data.errors import InputError
from .passes.data.model import Images, Model
from .passes.data.option_kinds import Work
from .passes.data.pass_options import VOTE
from .progress import Progress, Silent, stage
from .rivals import load_against, measure, rivals, with_winner
from .start import opened

if TYPE_CHECKING:
    from .passes.data.candidates import Candidate
    from .passes.data.hybrid import Hybrid
    from .passes.data.plan import Plan
    from .report.page.section import Section

SIMILAR_AT_OWN_SIZE = "Similarity was measured at the models' own input sizes; the stitch is made at a smaller one."


@with_options(CompileOptions)
def compile(*models: str | Path | Model, options: CompileOptions, progress: Progress | None = None) -> Plan:
    """Stitches models into one network within a budget, and writes it to `out` as an artifact.

    models: two, by their words or loaded; or one, which is stitched to itself with a part left out; with `chain`, as
    many as it names. data, evaluate: by their words, or as Images. budget: {"flops": 12e6}, {"params": "60%"}, "12M"
    with `metric`, or ["params=12M", "size=2MiB"]. With `front` or `back` given, the first model is the front and the
    second the back. Without `out` everything is done and verified, in a folder that is gone afterwards.

    Raises:
        InputError: something given cannot be used. Infeasible: nothing meets the budget. VerificationError: what was
        emitted does not agree with the stitched graph; nothing is left in `out`.
    """
    from .passes import Pipeline, Select

    watcher, given = progress or Silent(), options
    _check(models, options)
    with opened(models, given, watcher) as (plan, options, measured, folder):
        first, *others = members_of(options)
        plan = _analysed(plan, first, watcher)
        choices = [Pipeline([one.make(Select, adapter=one.adapters)], callback=watcher)(plan).choice for one in others]
        plan = _idle_told(plan, choices)
        if options.dry_run:
            return _settled(plan, options, watcher)
        plan, _ = complete(plan, models, options, given, measured, folder, watcher, choices)
        return plan


def members_of(options: CompileOptions) -> list[CompileOptions]:
    """The options of each chain that is stated, where several are to vote; else the options themselves."""
    chains = (options.chain or "").split(VOTE)
    return [replace(options, chain=chain) for chain in chains] if len(chains) > 1 else [options]


def complete(
    plan: Plan, models: Sequence[str | Path | Model], options: CompileOptions, given: CompileOptions,
    measured: Images | None, folder: Path, progress: Progress, choices: Sequence[tuple[Candidate, ...]] = (),
    shown: Callable[[Plan, Mapping[str, Any]], Sequence[Section]] | None = None,
) -> tuple[Plan, dict[str, Any]]:  # fmt: skip
    """From the choice of what is to be stitched to the artifact in `folder`, with its rivals; and what its plan.json
    holds.

    models, given: as the recipe states them. measured: labelled images to measure accuracy on, None where there are
    none. choices: of chains that are to vote with the plan's. shown: what the report shows beside all that, of
    the plan and what its plan.json holds.
    """
    from . import artifact, recipe
    from .documents import plan_document
    from .passes import Pipeline, Vote
    from .report.page.compiled import sections

    against = load_against(plan, options, progress)
    stitch, *repair = synthesis(options, progress)
    compared = rivals(options, plan, measured is not None, against, repair, progress)
    hybrids: list[Hybrid] = []
    for choice in (*choices, plan.choice):
        plan = Pipeline([stitch, *repair], callback=progress)(replace(plan, choice=choice))
        hybrids.append(plan.hybrid)
    plan = replace(plan, hybrids=(hybrids[-1], *hybrids[:-1]))
    plan = Pipeline([*([Vote()] if choices else []), *compared], callback=progress)(plan)
    found = measure(plan, measured, options.device, progress)
    written = with_winner(found) if options.best else found
    plan = Pipeline(emission(options, folder), callback=progress)(written.plan)
    record = plan_document(plan, accuracy=written.hybrid, parents=written.parents) | dict(written.document)
    said = recipe.dumps(models, _repeatable(given, plan, found.plan))
    with stage(progress, "writing the report"):
        return plan, artifact.write(
            folder,
            record,
            recipe=said,
            report=list(sections(plan, record, said, shown(plan, record) if shown else ())),
            seconds=plan.seconds,
        )


def _repeatable(options: CompileOptions, written: Plan, stitched: Plan) -> CompileOptions:
    """The options as a recipe states them: how many steps were made, where a time was asked for, so that it makes the
    same again on a machine of another speed. written: with what the artifact holds, which the stitch may not be."""
    polishing = written.hybrid.polishing or stitched.hybrid.polishing
    return options if polishing is None else replace(options, polish=f"{polishing.steps} steps")


def _analysed(plan: Plan, options: CompileOptions, progress: Progress) -> Plan:
    """The plan with its choice, and without the other sizes of models that nothing was chosen at."""
    from .input_sizes import tries_smaller, with_sizes, with_smaller, without_unused
    from .passes import Pipeline

    given, look = len(plan.models), looking(options)
    plan = Pipeline(look, callback=progress)(plan)
    asked = options.input_size
    if asked is None:
        if tries_smaller(options, plan):
            with stage(progress, "tracing at a smaller input size"):
                plan = with_smaller(plan, look)
    elif asked != "own":
        with stage(progress, "tracing at other input sizes"):
            plan = with_sizes(plan, asked, look)
    assert plan.images is not None
    passes = analysis(options, plan.images, progress, alone=given == 1, mixed_sizes=asked is not None)
    analysed = Pipeline(passes, callback=progress)(plan)
    _check_direction(analysed, options)
    if asked is None:
        measured = tuple(pair for pair in analysed.similarity if max(pair.a, pair.b) < given)
        analysed = replace(analysed, similarity=measured)  # that of models at smaller sizes was taken to be the same
        if any(fragment.model >= given for fragment in analysed.choice[0].chain.fragments):
            analysed = replace(analysed, notes=(*analysed.notes, SIMILAR_AT_OWN_SIZE))
    return without_unused(analysed, given)


def _check_direction(plan: Plan, options: CompileOptions) -> None:
    """Where a cut is chosen, the model that is named first comes first: a direction that was asked for must agree.

    Raises:
        InputError: it says that the other model comes first.
    """
    if (options.front is None and options.back is None) or options.direction not in ("slow-to-fast", "fast-to-slow"):
        return
    (a, a_macs), (b, b_macs) = ((m.name, p["macs"]) for m, p in zip(plan.models[:2], plan.prices[:2], strict=True))
    if (a_macs < b_macs) if options.direction == "slow-to-fast" else (a_macs > b_macs):
        raise InputError(
            f"`direction={options.direction!r}` puts {b} first, but with `front` or `back` the model that is named "
            f"first, {a}, comes first",
            "Leave `direction` out, or name the models the other way round.",
        )


def _check(models: Sequence[str | Path | Model], options: CompileOptions) -> None:
    """What can be refused before anything slow begins, is.

    Raises:
        InputError, CutError: it is refused.
    """
    from .passes import adapters

    if len(models) not in (1, 2) and options.chain is None:
        given = f"{len(models)} were given: {', '.join(map(name_of, models))}" if models else "none was given"
        raise InputError(
            f"compile chooses where to stitch two models, or what to leave out of one, and {given}",
            "Name one or two; or say with `chain` which fragments are to follow one another. "
            "`search` takes any number of them.",
        )
    if options.chain is not None and (options.front is not None or options.back is not None):
        raise InputError("`chain` says all cuts, and `front` or `back` was given too", "Leave them out.")
    if VOTE in (options.chain or "") and options.polish and Work().seconds("polish", options.polish) is not None:
        raise InputError(
            "chains that are to vote cannot be polished for a time: a recipe states steps, and each would have its own",
            "Say how many steps: `polish='200 steps'`.",
        )
    if options.rivals == "none" and (options.best or options.against):
        raise InputError(
            "nothing is compared to the stitch, and what is best, or another model, was asked for",
            "Leave `rivals='none'` out.",
        )
    if options.input_size not in (None, "own") and (len(models) == 1 or options.chain is not None):
        raise InputError(
            "`input_size` offers two models at other sizes, and "
            + ("one model was given" if len(models) == 1 else "the chain is stated"),
            "Name the model at the size that it shall have: MODEL?input=3x160x160.",
        )
    if options.rivals == "trained" and options.polish is None:
        raise InputError(
            "the rivals are to be trained as the stitched network is, and that is not trained",
            "Say with `polish` for how long, such as `polish='60s'`, or leave `rivals='trained'` out.",
        )
    moving(options.device)
    check_head(options)
    adapters.expand(options.adapters)


def _settled(plan: Plan, options: CompileOptions, progress: Progress) -> Plan:
    """The plan with the one candidate that would be stitched: between several adapters, the fit decides."""
    from .passes import Fit, Pipeline

    if len(plan.choice) == 1:
        return plan
    fitted = Pipeline([options.make(Fit, progress=progress.update)], callback=progress)(plan)
    chosen = tuple(candidate for candidate in plan.choice if candidate.chain == fitted.hybrid.chain)
    return replace(plan, choice=chosen, notes=fitted.notes)


def _idle_told(plan: Plan, choices: Sequence[tuple[Candidate, ...]]) -> Plan:
    """The plan, with a note on models that its choice, and those of other chains, have no fragment of."""
    chains = [choice[0].chain for choice in (plan.choice, *choices)]
    used = [plan.models[fragment.model].module for chain in chains for fragment in chain.fragments]
    idle = [model.name for model in plan.models if not any(model.module is module for module in used)]
    return replace(plan, notes=(*plan.notes, *(f"No fragment of the chain is of {name}." for name in idle)))
