"""Staging folders: what is killed leaves nothing for long, what cannot be written is known before the work."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stitchc import folder, stale
from stitchc.passes.data.errors import OutputError

WORK = """
import sys, time
from pathlib import Path
from stitchc import folder
with folder.staging(sys.argv[1], ours=sys.argv[2:]) as staged:
    (staged / "model.py").write_text("half")
    print("begun", flush=True)
    time.sleep(60)
"""


def begun(out: Path, *ours: str) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", WORK, str(out), *ours], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    return process


def make(out: Path, *ours: str) -> None:
    with folder.staging(out, ours=ours) as staged:
        (staged / "model.py").write_text("whole")


@pytest.mark.skipif(stale.fcntl is None, reason="needs locks of Unix")
def test_what_a_killed_process_left_is_swept_and_what_a_living_one_holds_is_not(tmp_path):
    theirs = tmp_path / ".out.0123abcd"
    theirs.mkdir()
    (theirs / "thesis.docx").write_text("years")
    killed, living = begun(tmp_path / "out"), begun(tmp_path / "out")
    try:
        os.kill(killed.pid, signal.SIGKILL)
        killed.wait()
        assert len(list(tmp_path.glob(".out.*"))) == 3
        make(tmp_path / "out")
        left = [path for path in tmp_path.glob(".out.*") if path != theirs]
        assert len(left) == 1 and (left[0] / stale.MARKER).exists()
    finally:
        living.kill()
        living.wait()
    make(tmp_path / "out", "model.py")
    assert {path.name for path in tmp_path.iterdir()} == {"out", theirs.name}
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model.py"]
    assert (theirs / "thesis.docx").read_text() == "years"


def test_what_was_moved_away_by_a_process_that_was_killed_is_put_back(tmp_path):
    old = tmp_path / ".out.0123abcd.old"
    for gone in (True, False):
        old.mkdir()
        (old / "thesis.docx").write_text("years")
        (old / "model.py").write_text("before")
        if not gone:
            (tmp_path / "out" / "thesis.docx").unlink()
        make(tmp_path / "out", "model.py")
        assert not old.exists() and (tmp_path / "out" / "thesis.docx").read_text() == "years"
        assert (tmp_path / "out" / "model.py").read_text() == "whole"


def test_two_files_of_one_name_are_both_kept(tmp_path):
    old = tmp_path / ".out.0123abcd.old"
    for place in (old, tmp_path / "out"):
        place.mkdir()
        (place / "thesis.docx").write_text(place.name)
    make(tmp_path / "out", "model.py")
    assert (old / "thesis.docx").read_text() == old.name and (tmp_path / "out" / "thesis.docx").read_text() == "out"


@pytest.mark.parametrize("killed_after", [0.0, 0.01, 0.02, 0.05, 0.1])
def test_a_kill_at_any_moment_loses_no_file_of_the_user(tmp_path, killed_after):
    out = tmp_path / "out"
    make(out)
    (out / "thesis.docx").write_text("years")
    again = WORK.replace("time.sleep(60)", "").replace("with folder", "while True:\n  with folder").replace(
        "    (staged", "      (staged").replace("    print", "      print")  # fmt: skip
    process = subprocess.Popen([sys.executable, "-c", again, str(out), "model.py"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    time.sleep(killed_after)
    process.kill()
    process.wait()
    make(out, "model.py")
    assert {path.name for path in out.iterdir()} == {"model.py", "thesis.docx"}
    assert (out / "thesis.docx").read_text() == "years"
    assert not any(any(path.iterdir()) for path in tmp_path.iterdir() if path != out)  # at most a folder just made


def test_of_two_at_once_the_first_to_end_is_whole_and_the_other_is_told(tmp_path):
    with pytest.raises(OutputError, match="another run"), folder.staging(tmp_path / "out") as late:
        (late / "model.py").write_text("late")
        make(tmp_path / "out")
    assert (tmp_path / "out" / "model.py").read_text() == "whole"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_of_two_that_replace_the_last_to_end_stays(tmp_path):
    make(tmp_path / "out")
    (tmp_path / "out" / "thesis.docx").write_text("years")
    with folder.staging(tmp_path / "out", ours=["model.py"]) as late:
        (late / "model.py").write_text("late")
        make(tmp_path / "out", "model.py")
    assert (tmp_path / "out" / "model.py").read_text() == "late"
    assert (tmp_path / "out" / "thesis.docx").read_text() == "years"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def refused(out: Path, message: str) -> None:
    for attempt in (lambda: folder.staging(out).__enter__(), lambda: folder.try_out(out)):
        with pytest.raises(OutputError, match=message):
            attempt()


def test_the_current_folder_and_those_above_it_are_refused(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    for out in (Path("."), tmp_path / "a", tmp_path):
        refused(out, "current folder")
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and list((tmp_path / "a").iterdir()) == []


def test_a_mount_point_and_a_file_are_refused(tmp_path):
    (tmp_path / "file").write_text("")
    refused(tmp_path / "file", "is a file")
    refused(tmp_path / "file" / "below", "cannot be made")
    refused(Path("/dev/shm") if Path("/dev/shm").is_mount() else Path("/proc"), "is a mount point")


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="of Unix")
def test_a_folder_that_may_not_be_written_is_refused_before_the_work(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o555)
    script = (
        "import os, sys\nfrom pathlib import Path\nfrom stitchc import folder\n"
        "from stitchc.passes.data.errors import OutputError\n"
        "if os.geteuid() == 0: os.setgid(65534); os.setuid(65534)\n"
        "try: folder.try_out(Path(sys.argv[1]))\nexcept OutputError as error: print(error)\n"
    )
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", script, tmp_path / "locked" / "out"], capture_output=True, text=True, check=False
    )
    assert "cannot be written: Permission denied" in done.stdout, done.stderr
    assert list((tmp_path / "locked").iterdir()) == []


def test_a_full_disk_is_refused_before_the_work(tmp_path, monkeypatch):
    def full(self, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    refused(tmp_path / "out", "No space left on device")
    assert list(tmp_path.iterdir()) == []
