"""`stitchc eval`."""

from __future__ import annotations

from pathlib import Path

from ..options import EvaluateOptions
from .parts import model_argument, option
from .run import Outcome, Run, verb


@verb("eval", example="stitchc eval hybrid/ --data 'digits?split=test'", record=EvaluateOptions)
@model_argument("model", metavar="MODEL", artifact=True)
@option("--member", metavar="NAME", multiple=True, help="Of a family, this member alone. May be given several times.")
def command(run: Run, model: str, member: tuple[str, ...]) -> Outcome:
    """Measure top-1 and top-5 accuracy on labelled images; of a family, of each member."""
    import stitchc

    from ..families.members import is_family
    from ..inputs import is_artifact, model_of
    from ..progress import stage

    if member or is_family(model):
        return _members(run, model, member)
    given = dict(run.given)
    how = {"trust": given.pop("trust", False), "arch": given.pop("arch", None)}
    with stage(run.progress, f"loading {model}"):
        loaded = model_of(model, **how)
    found = stitchc.evaluate(loaded, **given, progress=run.progress)
    from ..documents import eval_document
    from ..passes.data.records import encode
    from ..report.accuracy import AccuracyLine
    from ..report.notes import Inputs, Notes

    name = Path(model).name if is_artifact(model) else model
    said = (*loaded.notes, *found.notes)
    notes = [Notes(said)] if said else []
    report = [*notes, Inputs({loaded.name: encode(loaded.input)}), AccuracyLine(name, found)]
    return Outcome(eval_document(name, loaded, found), report)


def _members(run: Run, folder: str, names: tuple[str, ...]) -> Outcome:
    import stitchc

    from ..documents import SCHEMA, eval_document
    from ..families.members import members_of
    from ..passes.data.records import encode
    from ..progress import stage
    from ..report.members import MemberAccuracies
    from ..report.notes import Inputs, Notes

    given = dict(run.given)
    given.pop("arch", None)
    with stage(run.progress, f"loading {folder}"):
        models = members_of(folder, names, trust=given.pop("trust", False))
    found = {one.name: stitchc.evaluate(one, **given, progress=run.progress) for one in models}
    documents = [{"name": one.name} | eval_document(one.name, one, found[one.name]) for one in models]
    notes = list(dict.fromkeys(note for document in documents for note in document["notes"]))
    report = [*([Notes(notes)] if notes else []), Inputs({Path(folder).name: encode(models[0].input)})]
    return Outcome(
        {"schema": SCHEMA, "model": Path(folder).name, "members": documents}, [*report, MemberAccuracies(found)]
    )
