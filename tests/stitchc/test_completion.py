"""What a shell offers to complete."""

import os
import subprocess
import sys

import pytest
from click.shell_completion import ShellComplete

from stitchc.cli.verbs import stitchc


def offered(words, incomplete=""):
    found = ShellComplete(stitchc, {}, "stitchc", "_STITCHC_COMPLETE").get_completions(words, incomplete)
    return [(item.type, item.value) for item in found]


def test_verbs_and_flags_are_offered():
    assert ("plain", "compile") in offered([], "com") and ("plain", "compare") in offered([], "com")
    assert offered(["zoo"], "p") == [("plain", "pack")]
    assert offered(["compile"], "--heal-s") == [("plain", "--heal-sweeps")]


def test_the_names_that_a_flag_can_take_are_offered():
    assert offered(["compile", "--heal"]) == [("plain", name) for name in ("none", "adapter", "back", "all")]
    assert offered(["compile", "--metric"], "ma") == [("plain", "macs")]


@pytest.mark.parametrize(("words", "incomplete"), [(["compile"], "a.p"), (["tune", "x", "-o"], "hy"), (["verify"], "")])
def test_files_are_offered_where_a_file_may_stand(words, incomplete):
    assert offered(words, incomplete) == [("file", incomplete)]


def answered(**asked):
    """What the program answers to a shell that asks for it by these variables, and to nobody else."""
    done = subprocess.run(
        [sys.executable, "-m", "stitchc"], env={**os.environ, **asked}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_command_writes_what_a_shell_needs(shell):
    assert f"_STITCHC_COMPLETE={shell}_complete" in answered(_STITCHC_COMPLETE=f"{shell}_source")


def test_the_command_completes_a_word():
    found = answered(_STITCHC_COMPLETE="zsh_complete", COMP_WORDS="stitchc compile --heal-s", COMP_CWORD="2")
    assert found.split("\n")[:2] == ["plain", "--heal-sweeps"]
