"""Type-checks the package as it is installed: `passes/` and `zoo/` under `stitchc/`, which no checker can see in the
repository itself. Paths in messages are translated back."""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
ROOMS = {"stitchc": "stitchc", "passes": "stitchc/passes", "zoo": "stitchc/zoo"}


def main() -> int:
    with TemporaryDirectory() as folder:
        for room, place in ROOMS.items():
            shutil.copytree(ROOT / room, Path(folder) / place, ignore=shutil.ignore_patterns("__pycache__"))
        options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
        done = subprocess.run(
            [sys.executable, "-m", "mypy", *options, "-p", "stitchc"], cwd=folder, capture_output=True, text=True
        )
    text = done.stdout + done.stderr
    for room in ("passes", "zoo"):
        text = text.replace(f"stitchc/{room}/", f"{room}/")
    print(text, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
