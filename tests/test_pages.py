"""README.md and docs/: every block can be run, every command parses, every link leads somewhere."""

import ast
import importlib.util
import re
import shlex
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import click
import pytest
from copies import served
from markdown_it import MarkdownIt

from stitchc.cli.verbs import stitchc

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("pages", ROOT / "tools" / "pages.py")
pages = sys.modules["pages"] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(pages)

PAGES = pages.pages()
BLOCKS = [block for page in PAGES for block in pages.blocks(page)]
#: Pages whose blocks take a few seconds, and print the same words everywhere.
FAST = {"passes.md"}

LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")


def named(block):
    return f"{block.page}:{block.line}"


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    with served(tmp_path_factory.mktemp("programs")) as programs, pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "PROGRAMS", [programs, *pages.PROGRAMS])
        yield pages.Files(tmp_path_factory.mktemp("files"))


@pytest.mark.parametrize(
    "page", [pytest.param(p, marks=() if p.name in FAST else pytest.mark.slow, id=p.name) for p in PAGES]
)
def test_the_blocks_of_a_page_run(page, files):
    now = pages.run(page, files)
    if page.name in FAST:
        old = [block.text for block in pages.blocks(page)]
        assert [words(text) for text in now] == [words(text) for text in old], "run tools/pages.py"


def words(text):
    """The words of a text, all numbers alike: what must be the same whatever was measured."""
    return re.sub(r"[\d.,]+(e-?\d+)?", "0", text).split()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page):
    known = {*pages.RUN, *pages.SHOWN}
    strange = [block.line for block in pages.blocks(page) if block.language not in known and block.language[:1] != "{"]
    indented = [t.map[0] for t in MarkdownIt().parse(page.read_text(encoding="utf-8")) if t.type == "code_block"]
    assert not strange and not indented


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    targets = [t for t in LINK.findall(page.read_text(encoding="utf-8")) if "://" not in t]
    assert [t for t in targets if not (page.parent / t).exists()] == []


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "console"], ids=named)
def test_commands_parse(block, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert block.commands
    for command in block.commands:
        for given in invocations(command):
            parse(given)


def invocations(command):
    """The words behind each `stitchc` of a line of shell."""
    lexer = shlex.shlex(command.replace("\\\n", " "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    part = []
    for word in [*lexer, ";"]:
        if word.strip("|&;<>()"):
            part.append(word)
            continue
        if "stitchc" in part[:2] or part[-1:] == ["stitchc"] or ("-m" in part and "stitchc" in part):
            yield part[part.index("stitchc") + 1 :]
        part = []


def parse(given):
    """Has the verb that is named read its flags, a recipe's aside: that is a file."""
    command, context = stitchc, None
    while isinstance(command, click.Group) and given and not given[0].startswith("-"):
        context = click.Context(command, parent=context, info_name=command.name)
        command, given = command.get_command(context, given[0]), given[1:]
    if "--recipe" in given:
        place = given.index("--recipe")
        given = given[:place] + given[place + 2 :]
    if not isinstance(command, click.Group) and "--help" not in given:
        command.make_context(command.name, list(given), parent=context)


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "python"], ids=named)
def test_python_parses_and_names_what_exists(block):
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stitchc"):
            module = import_module(node.module)
            for alias in node.names:
                assert hasattr(module, alias.name) or import_module(f"{node.module}.{alias.name}")


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language == "toml"], ids=named)
def test_toml_parses(block):
    assert tomllib.loads(block.text)


def test_commands_of_a_checkout_are_what_ci_runs():
    ran = {word for line in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines() for word in line.split()}
    lines = [line for block in BLOCKS if block.language == "sh" for line in block.text.splitlines()]
    assert lines and all(line.startswith("make ") and line.split()[1] in ran for line in lines)


def verbs(group, context):
    """The words of every command below a group."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        below = list(verbs(command, context)) if isinstance(command, click.Group) else []
        if not below or command.invoke_without_command:
            yield (name,)
        yield from ((name, *words) for words in below)


def test_the_page_of_options_has_every_verb_and_what_its_help_prints(tmp_path):
    blocks = [block for block in BLOCKS if block.page == "options.md"]
    known = {words[0] for words in verbs(stitchc, click.Context(stitchc))}
    assert {block.commands[0].split()[1] for block in blocks} == known
    for block in blocks:
        (command,) = block.commands
        # In a process of its own: tests of this one add metrics and other names, which help lists.
        printed = pages.shell(command, tmp_path)
        assert block.text.rstrip() == f"$ {command}\n{printed}", "run tools/pages.py docs/options.md"


def test_few_blocks_are_not_run_and_each_says_why():
    kept = [block for block in BLOCKS if block.reason]
    assert all(len(block.reason) > 10 for block in kept)
    assert len(kept) <= 13, [named(block) for block in kept]


@pytest.fixture
def page(tmp_path):
    def write(text):
        path = tmp_path / "page.md"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_what_blocks_print_is_written_into_a_page(page, files):
    path = page(
        "```python\n# mine.py\nX = 3\n```\n```python\nfrom mine import X\nprint(X)\n```\n```output\nold\n```\n"
        "```console\n$ ls *.py; \\\n  echo more\nold\n$ true\n```\n```text\nas it is\n```\n"
    )
    pages.refresh(path, files)
    text = path.read_text(encoding="utf-8")
    assert "```output\n3\n```" in text and "old" not in text and "```text\nas it is\n```" in text
    assert "```console\n$ ls *.py; \\\n  echo more\nmine.py\nmore\n$ true\n```" in text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("```console\n$ echo so; false\n```\n", "line 2:\n.*\nso\nexit status 1"),
        ("```console\n$ false | cat\n```\n", "exit status 1"),
        ("\n```python\nx = 1\nx.y\n```\n", "(?s)line 3:.*page.md\", line 4.*no attribute 'y'"),
        ("<!-- files: nothing -->\n", "asks for 'nothing'"),
    ],
)
def test_a_block_that_fails_is_told(page, files, text, told):
    with pytest.raises(pages.Failed, match=told):
        pages.run(page(text), files)


def test_a_block_with_a_reason_is_not_run(page, files):
    assert pages.run(page("```console\n# not run: it would fail\n$ false\n```\n"), files)


@pytest.mark.parametrize(
    "command",
    ["stitchc compile a b --budgt 3", "true && stitchc cost digits/plain --metric mac", "stitchc tune x --epochs y"],
)
def test_a_command_that_does_not_parse_is_told(command):
    (given,) = invocations(command)
    with pytest.raises(click.UsageError):
        parse(given)
