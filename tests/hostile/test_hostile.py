"""No hostile input runs code, hangs, takes all memory, ends in an internal error or leaves files behind."""

import contextlib
import io
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest
from attempt import MEBIBYTES, SECONDS, attempt
from cases import every, set_up
from documents import altered, places
from sources import ARTIFACTS

from stitchc.documents.schema import plan
from stitchc.zoo.foreign import Fault

SAMPLE = 12  # cases of the default run
PARTS = 6  # that the cases are dealt out to, so that processes can share them
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="a run is watched in a copy of the process")


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """Made once for all processes that share the tests."""
    import fcntl

    alone = "PYTEST_XDIST_WORKER" not in os.environ
    place = tmp_path_factory.getbasetemp() if alone else tmp_path_factory.getbasetemp().parent
    folder = place / "sources"
    with (place / "sources.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "a.pt").exists():  # the last of them
            folder.mkdir()
            subprocess.run([sys.executable, Path(__file__).with_name("sources.py"), folder], check=True)
    return folder


def cases_of(sources: Path) -> dict:
    return every(sources)


def faults(name: str, case, folder: Path) -> list[str]:
    """What is wrong with how a case ended."""
    here = folder / "here"
    set_up(here)
    arguments = case(here)
    before = set(folder.rglob("*"))
    found = attempt(arguments, here)
    found_wrong = []
    if (here / "canary").exists():
        found_wrong.append("ran code")
    if found.status not in (0, 1, 2):
        found_wrong.append(f"ended with {found.status}")
    if "should not" in found.said or "Traceback" in found.said:
        found_wrong.append("internal error")
    if "\x1b" in found.said or "\u202e" in found.said:
        found_wrong.append("wrote a character that a terminal obeys")
    if found.seconds > SECONDS or found.mebibytes > MEBIBYTES:
        found_wrong.append(f"took {found.seconds:.0f} s and {found.mebibytes:.0f} MiB")
    left = {path for path in folder.rglob("*") if here / "tuned" not in (path, *path.parents)} - before
    if left - {folder / "said.txt"}:
        found_wrong.append(f"left {sorted(path.name for path in left)}")
    if (here / "thesis.docx").read_text() != "years":
        found_wrong.append("touched a file of the user")
    return [f"{name}: {', '.join(found_wrong)}\n{found.said[-600:]}"] if found_wrong else []


def warm_up() -> None:
    """Imports, once and not in each of the copies, what commands import."""
    import timm  # noqa: F401
    import torch
    import torchvision  # noqa: F401

    import stitchc.families.extract
    import stitchc.report.page.family
    import stitchc.tuning.run  # noqa: F401
    from stitchc.cli import main

    torch.set_num_threads(1)  # copies of a process have no threads but one
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        for command in ("cost digits/resnet", "inspect digits/resnet", "eval digits/resnet --no-progress"):
            assert main(command.split()) == 0


def run(sources: Path, which: slice, folder: Path) -> None:
    """Of a process that has computed no gradients, since copies of one that has cannot: writes the faults of `which`
    of the cases."""
    warm_up()
    cases = cases_of(sources)
    names = list(cases)[which]
    wrong = [fault for index, name in enumerate(names) for fault in faults(name, cases[name], folder / str(index))]
    (folder / "wrong.json").write_text(json.dumps(wrong))


def wrong_of(sources: Path, which: slice, folder: Path) -> list[str]:
    process = multiprocessing.get_context("forkserver").Process(target=run, args=(sources, which, folder))
    process.start()
    process.join()
    return json.loads((folder / "wrong.json").read_text())


@pytest.mark.parametrize("name", ARTIFACTS)
def test_all_that_a_plan_holds_is_read_with_a_type(name, sources):
    text = (sources / name / "plan.json").read_text()
    assert json.dumps(plan(json.loads(text), ""), indent=1) + "\n" == text  # no more and no less
    later = json.loads(text) | {"later": 1}
    later["models"][0]["later"] = "x"
    assert plan(later, "") == plan(json.loads(text), "")
    for place, _ in places(json.loads(text)):
        record = json.loads(text)
        altered(record, place, object())
        with pytest.raises(Fault):
            plan(record, "")


def test_there_are_enough_of_them(sources):
    assert len(cases_of(sources)) >= 300


def test_a_sample_of_hostile_inputs_is_refused_or_harmless(sources, tmp_path):
    wrong = wrong_of(sources, slice(0, None, -(-len(cases_of(sources)) // SAMPLE)), tmp_path)
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_hostile_input_is_refused_or_harmless(part, sources, tmp_path):
    wrong = wrong_of(sources, slice(part, None, PARTS), tmp_path)
    assert not wrong, f"{len(wrong)}:\n\n" + "\n\n".join(wrong)
