"""Runs the console blocks of README.md again and writes what they print now.

    python tools/readme.py

A block is fenced as ```console and holds lines `$ command`, each followed by what it printed. Commands run in order in
one scratch folder.
"""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)


def run(command: str, folder: str) -> str:
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = {"PATH": path, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{command}\n{done.stdout}{done.stderr}")
    return done.stdout.rstrip("\n")


def refreshed(block: str, folder: str) -> str:
    out = []
    for command in re.findall(r"^\$ (.*)$", block, flags=re.MULTILINE):
        printed = run(command, folder)
        out.append(f"$ {command}\n{printed}\n" if printed else f"$ {command}\n")
    return "".join(out)


def main() -> None:
    path = ROOT / "README.md"
    old = path.read_text(encoding="utf-8")
    with TemporaryDirectory() as folder:
        new = BLOCK.sub(lambda match: f"```console\n{refreshed(match[1], folder)}```", old)
    path.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    main()
