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


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_command_writes_what_a_shell_needs(shell):
    environment = {**os.environ, "_STITCHC_COMPLETE": f"{shell}_source"}
    done = subprocess.run(
        [sys.executable, "-c", "from stitchc.cli import main; main()"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and f"_STITCHC_COMPLETE={shell}_complete" in done.stdout, done.stderr
