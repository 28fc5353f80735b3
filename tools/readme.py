"""Runs the console blocks of README.md again and writes what they print now.

    python tools/readme.py            # rewrite
    python tools/readme.py --check    # exit 1 if a block that prints no measurement is out of date

A block is fenced as ```console and holds lines `$ command`, each followed by what it printed. Commands run in order in
one scratch folder. A block is left as it is when the line before it says <!-- kept -->. Every line of output stands, but
for what a line `...` under the command replaced before: then the head and the tail that stood there stay as long.
"""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(?<!<!-- kept -->\n)```console\n(.*?)```", re.DOTALL)


def run(command: str, folder: str) -> str:
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    environment = {"PATH": path, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{command}\n{done.stdout}{done.stderr}")
    return done.stdout.rstrip("\n")


def shortened(text: str, before: str) -> str:
    """`text` with as many lines at the head and the tail as `before` keeps around its line `...`."""
    lines, old = text.split("\n"), before.rstrip("\n").split("\n")
    if "..." not in old:
        return text
    head = old.index("...")
    tail = len(old) - head - 1
    return "\n".join([*lines[:head], "...", *lines[len(lines) - tail :]])


def refreshed(block: str, folder: str) -> str:
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)[1:]
    out = []
    for command, before in zip(parts[::2], parts[1::2], strict=True):
        printed = shortened(run(command, folder), before)
        out.append(f"$ {command}\n{printed}\n" if printed else f"$ {command}\n")
    return "".join(out)


def main() -> int:
    path = ROOT / "README.md"
    old = path.read_text(encoding="utf-8")
    with TemporaryDirectory() as folder:
        new = BLOCK.sub(lambda match: f"```console\n{refreshed(match[1], folder)}```", old)
    if "--check" in sys.argv:
        return int(new != old)
    path.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
