"""A short night: compiles and checks one after another in one process end well, and leave nothing open or behind."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "overnight.py"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="what a process holds is read from /proc")
@pytest.mark.parametrize(("work", "count"), [("compile", 8), ("check", 4)])
def test_a_short_night(work, count):
    done = subprocess.run([sys.executable, SCRIPT, work, "--count", str(count)], capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert done.returncode == 0 and not found["wrong"], found["wrong"]
    assert found["runs"] == sum(found["ends"].values()) == count
