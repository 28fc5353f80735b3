"""Where a result cannot be written, or may not be, is told before the work, by every verb that writes."""

import os
from pathlib import Path

import pytest
from small_hybrid import compile as compiled
from torch import nn

from stitchc.cli import main

WRITING = {
    "compile": "compile digits/plain digits/vit -o {}",
    "demo": "demo -o {}",
    "tune": "tune whole --data digits -o {}",
    "compare": "compare digits/plain digits/vit --plot {}.png",
    "pack": "zoo pack digits/plain -o {}.pt",
    "check": "zoo check digits/plain --out {}.jsonl",
    "table": "zoo check digits/plain --out {}.jsonl --table {}.md",
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    compiled(tmp_path_factory.mktemp("places") / "whole")
    return tmp_path_factory.getbasetemp() / "places0" / "whole"


@pytest.fixture
def here(tmp_path, monkeypatch, whole):
    """A folder with an artifact, in which no network can be built and no process started."""

    class Begun(Exception):
        pass

    def begin(*_, **__):
        raise Begun("the work has begun")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "whole").symlink_to(whole)
    monkeypatch.setattr(nn.Module, "__init__", begin)
    monkeypatch.setattr("stitchc.check.choose", begin)
    return tmp_path


def told(verb: str, place: str, capsys) -> str:
    before = {path: path.stat().st_mtime_ns for path in Path().rglob("*")}
    assert main([*WRITING[verb].replace("{}", place).split(), "-q"]) == 2
    assert {path: path.stat().st_mtime_ns for path in Path().rglob("*")} == before
    return capsys.readouterr().err


@pytest.mark.parametrize("verb", WRITING)
def test_below_a_file(verb, here, capsys):
    (here / "file").write_text("mine")
    assert "Not a directory" in told(verb, "file/below", capsys)


@pytest.mark.parametrize("verb", WRITING)
@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even root may write to")
def test_where_the_system_lets_nobody_write(verb, here, capsys):
    assert "cannot be" in told(verb, "/proc/new", capsys)


@pytest.mark.parametrize("verb", WRITING)
def test_where_something_else_lies(verb, here, capsys):
    suffix = WRITING[verb].rpartition("{}")[2]
    (here / f"taken{suffix}").mkdir()
    (here / f"taken{suffix}" / "thesis.docx").write_text("years")
    assert "taken" in told(verb, "taken", capsys)


@pytest.mark.parametrize("verb", WRITING)
@pytest.mark.skipif(not hasattr(os, "fork") or os.name != "posix", reason="of Unix")
def test_where_this_user_may_not_write(verb, here, whole, capfd):
    """In a copy of the process that is another user than root."""
    (here / "locked").mkdir(mode=0o555)
    for folder in (here, *here.parents[:2], whole.parent):
        folder.chmod(0o755)
    child = os.fork()
    if child == 0:
        status = 99
        try:
            main(
                [*WRITING[verb].replace("{}", "whole/model.py/x").split(), "-q"]
            )  # imports what the user might not read
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            status = main([*WRITING[verb].replace("{}", "locked/new").split(), "-q"])
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 2, capfd.readouterr().err
    assert "Permission denied" in capfd.readouterr().err
    assert list((here / "locked").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork") or os.name != "posix", reason="of Unix")
def test_what_this_user_may_not_read_is_no_fault_of_ours(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)
    tmp_path.chmod(0o755)
    (tmp_path / "private").mkdir(mode=0o700)
    child = os.fork()
    if child == 0:
        status = 99
        try:
            main(["eval", "private/none", "--data", "digits", "-q"])  # imports what the user might not read
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            else:
                (tmp_path / "private").chmod(0)
            status = main(["eval", "private/artifact", "--data", "digits", "-q"])
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    said = capfd.readouterr().err
    assert os.waitstatus_to_exitcode(status) == 2 and "ermission" in said, said
