"""Foreign text on its way into Python, Markdown, HTML, terminals: it stays text, on one line."""

import ast
import html.parser
import json
import re
from typing import ClassVar

import pytest
import torch
from cases import TEXTS
from markdown_it import MarkdownIt
from rich.text import Text
from torch import nn

import stitchc
from stitchc.cli.failure import describe
from stitchc.passes.data.errors import InputError
from stitchc.passes.data.model import InputSpec, Model, TensorImages
from stitchc.passes.data.printable import code, docstring, fenced, markdown, one_line, quoted
from stitchc.report.html import page
from stitchc.report.notes import Notes
from stitchc.report.page.markup import data, tag
from stitchc.report.page.provenance import Recipe
from stitchc.report.page.section import Section
from stitchc.report.progress import progress_on
from stitchc.report.table import table
from stitchc.report.terminal import render

texts = pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
BEYOND_TEXT = re.compile(r"[^\n -~\u00a0-\uffff]|[\x7f-\x9f\u202a-\u202e\ud800-\udfff]")


@texts
def test_one_line_is_printable_and_says_all(text):
    assert one_line(text).isprintable()
    if text.isprintable() and len(text) < 2000:
        assert one_line(text) == text


@texts
def test_python_reads_it_as_text(text):
    assert ast.literal_eval(quoted(text)) == text
    for around in (text, f"{text}\n{text}", f'{text}"'):
        module = ast.parse(f'"""{docstring(around)}"""\nx = 1\n')
        assert len(module.body) == 2
        assert ast.literal_eval(module.body[0].value) == "\n".join(map(one_line, around.split("\n")))


@texts
def test_markdown_reads_it_as_text(text):
    plain = markdown(text)
    assert "\n" not in plain and not re.search(r"(?<!\\)[<>\[\]|`*]", re.sub(r"\\\\", "", plain))
    span = code(text)
    fence = re.match("`+", span)[0]
    assert span.endswith(fence) and fence not in span[len(fence) : -len(fence)].strip()
    block = fenced(f"{one_line(text)}\n```").splitlines()
    assert block[0] == block[-1] and block[0] not in block[1:-1]


class Tags(html.parser.HTMLParser):
    """The elements of a page, and the text of its scripts."""

    #: Attributes that name no place and run nothing.
    HARMLESS: ClassVar[set[str]] = {
        "charset", "lang", "name", "content", "class", "style", "id", "scope", "tabindex", "role", "title", "alt",
        "http-equiv", "type", "data-chart", "data-from",
    }  # fmt: skip

    def __init__(self):
        super().__init__()
        self.found, self.scripts = set(), []

    def handle_starttag(self, tag, attributes):
        self.found.add(tag)
        for name, value in attributes:
            assert name in self.HARMLESS or name.startswith("aria-") or (name, value[:1]) == ("href", "#") or (
                name == "src" and value.startswith("data:image/png;base64,")
            )  # fmt: skip
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.lasttag == "script" and self.scripts:
            self.scripts[-1] += data


def read(page_text):
    tags = Tags()
    tags.feed(page_text)
    return tags


@texts
def test_a_page_and_a_terminal_show_it_as_text(text):
    rows = table(title=text)
    rows.add_column(text)
    rows.add_row(text)
    parts = [text, Text(text), Notes([text]), rows, Section(text, [tag("p", text, title=text)], text), Recipe(text)]
    made = page(text, parts)
    tags, own = read(made), read(page("a", ["a"]))
    assert tags.found <= own.found | {"table", "caption", "thead", "tbody", "tr", "th", "td", "div", "p", "span", "br",
                                      "h2", "pre", "nav", "ul", "li"}  # fmt: skip
    assert tags.scripts == own.scripts
    assert not BEYOND_TEXT.search(made)
    assert not BEYOND_TEXT.search(render(parts[:4]))


@texts
def test_scripts_of_a_page_read_it_as_data(text):
    tags = read(f"{data({text: [text]}, 'x')}<b>")
    assert tags.found == {"script", "b"} and json.loads(tags.scripts[0]) == {text: [text]}


@texts
def test_progress_shows_it_as_text(text):
    import io

    stream = io.StringIO()
    progress = progress_on(stream, verbose=True)
    progress.begin(text)
    progress.tell(text)
    progress.end()
    assert not BEYOND_TEXT.search(stream.getvalue()) and stream.getvalue().count("\n") == 2


@texts
def test_errors_show_it_as_text(text, capsys):
    from stitchc.cli.failure import report_failure

    assert report_failure(InputError(f"{text} is no model", f"Not {text}."), [], interrupted=False) == 2
    said = capsys.readouterr().err
    assert not BEYOND_TEXT.search(said) and said.startswith("error:")


@pytest.mark.parametrize("error", [SystemExit(0), SystemExit(), SystemExit("x"), RecursionError(), MemoryError()])
def test_what_would_end_or_exhaust_the_program_is_a_sentence(error):
    record, status = describe(error)
    assert status in (1, 2) and record["message"] and "should not" not in record["message"]


@pytest.mark.parametrize("text", ["".join(TEXTS), TEXTS[0]], ids=["all", "docstring"])
def test_an_artifact_of_hostile_names_holds_text(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    spec, images = InputSpec((1, 8, 8), (0.0,), (1.0,)), TensorImages(torch.randn(8, 1, 8, 8), name=text)

    plain = re.sub(r'[."\\\\]|[^ -~]', "", text)  # others cannot be traced

    def network(width):
        layers = {f"{plain}{i}": nn.Conv2d(width, width, 3, padding=1) for i in range(2)}
        return nn.Sequential(nn.Conv2d(1, width, 3), Named(layers), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                             nn.Linear(width, 10)).eval()  # fmt: skip

    parents = [
        Model(f"{name}{text}", spec, source=text, licence=text, notes=(text,), module=network(width))
        for name, width in (("wide", 6), ("thin", 4))
    ]
    stitchc.compile(*parents, front="0", back="0", adapter="linear", data=images, onnx=False, out="h")
    assert stitchc.verify("h").argmax_agreement == 1.0
    assert {path.name for path in tmp_path.iterdir()} == {"h"}
    for name in ("README.md", "report.html", "model.py", "plan.json"):
        assert not BEYOND_TEXT.search((tmp_path / "h" / name).read_text(encoding="utf-8")), name
    marked = MarkdownIt("commonmark").enable("table").parse((tmp_path / "h" / "README.md").read_text(encoding="utf-8"))
    found = {token.type for block in marked for token in (block, *(block.children or ()))}
    assert not found & {"html_block", "html_inline", "link_open", "image"}


class Named(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.layers = nn.ModuleDict(layers)

    def forward(self, x):
        for layer in self.layers.values():
            x = layer(x)
        return x


@pytest.mark.parametrize("name", ['x"), open("canary", "w"), ("', "a\\", "a\nb"])
def test_a_part_of_a_network_whose_name_torch_would_run_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = nn.Sequential(Named({name: nn.Conv2d(1, 2, 1)}), nn.Flatten(), nn.Linear(128, 2))
    with pytest.raises(stitchc.errors.TraceError, match="is called"):
        stitchc.inspect(Model("net", InputSpec((1, 8, 8), (0.0,), (1.0,)), module=network.eval()))
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("value", ["x" * 5000, f"'{'a b ' * 1000}'", str([0] * 5000), f'"{"é " * 5000}"'])
def test_an_error_shows_the_beginning_of_a_long_value(value):
    record, _ = describe(InputError(f"the budget {value} is none", "It's that of 'a', or 'b'."))
    assert value[:60] in record["message"] and "characters)" in record["message"]
    assert record["message"].endswith(" is none") and len(record["message"]) < 150
    assert record["hint"] == "It's that of 'a', or 'b'."
