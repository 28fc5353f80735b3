"""A run that is killed at any moment leaves what was there, and the same command again makes what it would have made.

`STITCHC_KILLS=40 pytest -m slow tests/hostile/test_kills.py -s` tries so many moments of each verb, and says where the
kills struck.
"""

import json
import multiprocessing
import os
import random
import re
import shutil
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

KILLS = int(os.environ.get("STITCHC_KILLS", "3"))
IMAGES = "--data digits?limit=64 --evaluate digits?split=test&limit=32"
COMPILE = f"compile digits/plain digits/vit {IMAGES} --rank cka --rivals none --no-onnx"
VERBS = {
    "compile": f"{COMPILE} --adapter linear -o out --force",
    "tune": f"tune before {IMAGES} --epochs 3 --batch 16 --train all --checkpoint-seconds 0 -o out --force",
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="a run is a process"),
]


def run(folder: str, command: str) -> None:
    """Of a process of its own: the command line in a folder, with one thread."""
    import torch

    from stitchc.cli import main

    os.chdir(folder)
    torch.set_num_threads(1)
    with open("../said.txt", "a") as said, redirect_stdout(said), redirect_stderr(said):
        status = main(command.split())
    os._exit(status)


def started(folder: Path, command: str) -> multiprocessing.process.BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["stitchc.check.warm"])
    process = context.Process(target=run, args=(str(folder), command))
    process.start()
    return process


def done(folder: Path, command: str) -> float:
    """Runs to the end; returns the seconds."""
    begun = time.monotonic()
    process = started(folder, command)
    process.join()
    assert process.exitcode == 0, (folder.parent / "said.txt").read_text()[-2000:]
    return time.monotonic() - begun


def written(folder: Path) -> dict[str, bytes]:
    """The files of an artifact, without what is of the clock."""
    found = {path.name: path.read_bytes() for path in folder.iterdir()}
    plan = json.loads(found["plan.json"])
    for key in ("date", "seconds"):
        plan.pop(key)
    found["plan.json"] = json.dumps(plan).encode()
    return found


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """An artifact to begin with, other than the one that is compiled."""
    folder = tmp_path_factory.mktemp("made") / "here"
    folder.mkdir()
    done(folder, f"{COMPILE} --adapter conv3x3 -o out")
    return folder / "out"


def set_up(folder: Path, made: Path) -> Path:
    """A folder with an artifact to tune, and one in the place of what is made, with a file of the user in it."""
    for name in ("before", "out"):
        shutil.copytree(made, folder / name)
    for place in (folder, folder / "out"):
        (place / "thesis.docx").write_text("years")
    return folder


def state(folder: Path, made: dict[str, bytes], wanted: dict[str, bytes]) -> str:
    """What a killed run has left, in a word. Nothing of the user may be missing, and nothing may be half."""
    assert (folder / "thesis.docx").read_text() == "years"
    ours = re.compile(r"\.out\.([0-9a-f]{8}(\.old)?|tuning)")
    left = {path.name for path in folder.iterdir()} - {"before", "out", "thesis.docx"}
    assert all(ours.fullmatch(name) for name in left)
    theirs = [path for path in folder.rglob("thesis.docx") if path.parent != folder]
    assert [path.read_text() for path in theirs] == ["years"]
    assert written(folder / "before") == made
    if not (folder / "out").exists():
        return "between two renames"
    found = {name: content for name, content in written(folder / "out").items() if name[0] != "." and "." in name}
    found.pop("thesis.docx", None)
    if found == wanted:
        return "after the end"
    assert found == made
    return "with a checkpoint" if (folder / ".out.tuning" / "checkpoint.pt").exists() else (
        "while staging" if left else "before staging")  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_a_run_that_was_killed_is_made_good_by_the_same_command(verb, made, tmp_path):
    rng = random.Random(0)
    seconds = done(set_up(tmp_path / "whole" / "here", made), VERBS[verb])
    wanted = written(tmp_path / "whole" / "here" / "out")
    assert wanted.pop("thesis.docx") == b"years"
    before, struck = written(made), Counter()
    for number in range(KILLS):
        here = set_up(tmp_path / str(number) / "here", made)
        process = started(here, VERBS[verb])
        time.sleep(seconds * (number + rng.random()) / KILLS)
        process.kill()
        process.join()
        struck[state(here, before, wanted)] += 1
        done(here, VERBS[verb])
        assert written(here / "out") == wanted | {"thesis.docx": b"years"}
        assert {path.name for path in here.iterdir()} == {"before", "out", "thesis.docx"}
    print(f"\n{verb}: a run of {seconds:.1f} s was killed {dict(struck)}")
