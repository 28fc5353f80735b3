"""The blocks of README.md and docs/: which are run, how, and what they print.

    python tools/pages.py                      # runs every block, and writes what they print now into the pages
    python tools/pages.py docs/searching.md       # of these pages only

What a block is, its language says:

    console    commands `$ ...`, each followed by what it prints
    python     Python; the blocks of a page share their names. One that begins with `# nets.py` is a file of that name
    output     what the Python block before it prints
    sh         commands of a clean checkout, which CI itself runs

and text, toml, json, markdown, math and directives of Sphinx, which are shown. The blocks of a page are run in order,
in a scratch folder that is empty but for the files that the page names: `<!-- files: hybrid photos -->`. A block that
begins with `# not run: REASON` is shown with that reason. The tests run all others, see tests/test_pages.py.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
#: Where the programs of the commands lie, for the front of PATH.
PROGRAMS = [Path(sys.executable).parent]
RUN = ("console", "python", "output")
SHOWN = ("sh", "text", "toml", "json", "markdown", "math")

BLOCK = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^\$ ((?:.*\\\n)*.*)$", re.MULTILINE)
FILES = re.compile(r"<!-- files: ([^>]*) -->")
NOT_RUN = "# not run: "
FILE_NAME = re.compile(r"# (\w+\.py)\n")


class Failed(Exception):
    """A block that cannot be run: where it stands, and what it printed."""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page. line: of its first line of text in the page, from 1."""

    page: str
    line: int
    language: str
    text: str

    @property
    def reason(self) -> str:
        """Why it is not run, if it says so."""
        first = self.text.partition("\n")[0]
        return first.removeprefix(NOT_RUN) if first.startswith(NOT_RUN) else ""

    @property
    def runs(self) -> bool:
        """Whether it is run, or holds what a block that is run prints."""
        return self.language in RUN and not self.reason

    @property
    def commands(self) -> list[str]:
        """The commands of a console block; one that ends with a backslash goes on in the next line."""
        return COMMAND.findall(self.text)


def pages() -> list[Path]:
    """README.md and every page of docs/."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("text")) + 1
        yield Block(page.name, line, match["language"], match["text"])


class Files:
    """Files that stand for a reader's own, each made when a page first asks for it."""

    def __init__(self, folder: Path):
        self.folder = folder

    def put(self, name: str, into: Path) -> None:
        """Copies the file or folder `name` into a page's folder."""
        made = self.folder / name
        if not made.exists():
            if name not in _MAKERS:
                raise Failed(f"a page asks for '{name}'; there are {', '.join(_MAKERS)}")
            _MAKERS[name](self.folder)
        (shutil.copytree if made.is_dir() else shutil.copy)(made, into / name)


def _photos(folder: Path) -> None:
    """photos/train and photos/test: a folder for each class, with digits in it as pictures."""
    from PIL import Image

    from stitchc.zoo.digits.data import load_split

    for split, most in (("train", 512), ("test", 200)):
        for number, (pixels, label) in enumerate(zip(*load_split(split), strict=True)):
            if number < most:
                of_class = folder / "photos" / split / str(label)
                of_class.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(of_class / f"{number:04}.png")


_MAKERS = {
    "a.pt": lambda folder: shell("stitchc zoo pack digits/resnet -o a.pt", folder),
    "b.pt": lambda folder: shell("stitchc zoo pack digits/plain -o b.pt", folder),
    "hybrid": lambda folder: shell(
        "stitchc compile digits/resnet digits/plain --budget 12M --metric flops -o hybrid --no-progress", folder
    ),
    "photos": _photos,
}


def shell(command: str, folder: Path) -> str:
    """What a command prints, errors included.

    Raises:
        Failed: its exit status is not 0.
    """
    kept = {name: os.environ[name] for name in ("HOME", "OMP_NUM_THREADS", "STITCHC_CACHE_DIR") if name in os.environ}
    path = ":".join(map(str, [*PROGRAMS, "/usr/local/bin", "/usr/bin", "/bin"]))
    environment = kept | {"PATH": path, "COLUMNS": "80", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        ["/usr/bin/env", "bash", "-o", "pipefail", "-c", command],
        cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    if done.returncode:
        raise Failed(f"$ {command}\n{done.stdout}exit status {done.returncode}")
    return done.stdout.rstrip("\n")


_LOOP = """
import json, sys
names = {"__name__": "__main__"}
for line in sys.stdin:
    given = json.loads(line)
    exec(compile(given["text"], given["where"], "exec"), names)
    print(flush=True)
    print(given["end"], flush=True)
"""


class Python:
    """An interpreter in which the Python blocks of a page are run."""

    END = "-- end of a block --"

    def __init__(self, folder: Path):
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    def run(self, block: Block) -> str:
        """What a block prints.

        Raises:
            Failed: it raises an exception.
        """
        if self.process is None:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(
                [sys.executable, "-c", _LOOP], cwd=self.folder, text=True, stdin=pipe, stdout=pipe, stderr=pipe
            )
        assert self.process.stdin and self.process.stdout and self.process.stderr
        text = "\n" * (block.line - 1) + block.text
        self.process.stdin.write(json.dumps({"text": text, "where": block.page, "end": self.END}) + "\n")
        self.process.stdin.flush()
        printed = []
        for line in self.process.stdout:
            if line.rstrip("\n") == self.END:
                return "".join(printed).rstrip("\n")
            printed.append(line)
        raise Failed("".join(printed) + self.process.stderr.read())

    def close(self) -> None:
        """Ends the interpreter, if it was started."""
        if self.process is not None:
            self.process.communicate()


def run(page: Path, files: Files) -> list[str]:
    """Runs the blocks of a page. What the text of each block is now, in the order of `blocks`.

    Raises:
        Failed: a block cannot be run.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        for wanted in FILES.findall(page.read_text(encoding="utf-8")):
            for file in wanted.split():
                files.put(file, folder)
        python = Python(folder)
        try:
            return list(_run(page, folder, python))
        finally:
            python.close()


def _run(page: Path, folder: Path, python: Python) -> Iterator[str]:
    printed = ""
    for block in blocks(page):
        try:
            if not block.runs:
                yield block.text
            elif block.language == "console":
                yield "".join(_shown(command, shell(command, folder)) for command in block.commands)
            elif block.language == "output":
                yield printed + "\n"
            elif named := FILE_NAME.match(block.text):
                (folder / named[1]).write_text(block.text, encoding="utf-8")
                yield block.text
            else:
                printed = python.run(block)
                yield block.text
        except Failed as error:
            raise Failed(f"{block.page}, line {block.line}:\n{error}") from error


def _shown(command: str, printed: str) -> str:
    return f"$ {command}\n{printed}\n" if printed else f"$ {command}\n"


def refresh(page: Path, files: Files) -> None:
    """Writes into a page what its blocks print now."""
    new = iter(run(page, files))
    text = page.read_text(encoding="utf-8")
    page.write_text(BLOCK.sub(lambda match: f"```{match['language']}\n{next(new)}```", text), encoding="utf-8")


def main() -> None:
    """Refreshes the pages that are named, or all."""
    named = [Path(argument).resolve() for argument in sys.argv[1:]]
    with TemporaryDirectory() as folder:
        files = Files(Path(folder))
        for page in named or pages():
            print(page.relative_to(ROOT), flush=True)
            try:
                refresh(page, files)
            except Failed as error:
                raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
