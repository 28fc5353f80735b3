"""`zoo check`: every model ends as one line that says how far it came, whatever the model does."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from torch import nn

from stitchc.check import STEPS, Checked, History, check, choose, read
from stitchc.check.liven import liven
from stitchc.check.page import page
from stitchc.check.record import append, as_line
from stitchc.cli import main
from stitchc.passes.data.errors import InputError

NETS = """
import os, signal, time
import torch
from torch import nn

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 5)

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))

class Boxes(Plain):  # as a detector: how much it returns depends on what it sees
    def forward(self, x):
        return [{"boxes": x[x > 0.5]}]

class Dies(Plain):
    def forward(self, x):
        os.kill(os.getpid(), signal.SIGSEGV)

class Sleeps(Plain):
    def forward(self, x):
        time.sleep(60)

class Silent(Plain):
    def forward(self, x):
        return super().forward(x * 0)

def plain(): return Plain()
def boxes(): return Boxes()
def dies(): return Dies()
def sleeps(): return Sleeps()
def silent(): return Silent()
def large(): return nn.Linear(2**15, 2**15)  # 4 GiB
"""


@pytest.fixture
def nets(tmp_path):
    (tmp_path / "nets.py").write_text(NETS)
    return lambda name: f"{tmp_path}/nets.py:{name}?input=3x8x8"


# -- the steps, in processes of their own


def test_a_model_that_passes_has_all_its_columns():
    (found,) = check(["digits/vit"], until="run")
    assert found.failed is None and found.reason is None
    assert list(found.steps) == list(STEPS[: STEPS.index("run") + 1])
    assert found.cuts == sum(found.layouts.values()) and found.layouts["NLC+1"] > 10
    assert found.params and found.macs and found.nodes and found.lines and found.frontend == "record"
    assert found.differences == {"graph": 0.0, "module": 0.0}
    assert found.passed("run") is True and found.passed("onnx") is None


def test_the_other_front_end_passes_too():
    (found,) = check(["digits/vit"], until="run", frontend="export")
    assert (found.failed, found.frontend, found.differences["module"]) == (None, "export", 0.0)


@pytest.mark.slow
def test_whatever_goes_wrong_is_told_with_its_step(nets):
    names = [nets(name) for name in ("boxes", "dies", "silent", "large", "plain")]
    found = {c.model: c for c in check([*names, "digits/nothing"], jobs=2, until="run", memory=2**30)}

    def ended(name):
        return found[nets(name)].failed, found[nets(name)].reason

    assert (
        ended("boxes")[0] == "trace"
        and "returns a list in which no tensor stands for class scores" in ended("boxes")[1]
    )
    assert ended("dies") == ("trace", "the process was ended by SIGSEGV")
    assert ended("silent")[0] == "equal" and "hardly depend on the image" in ended("silent")[1]
    assert ended("large")[0] == "load" and "allocate" in ended("large")[1]
    assert found["digits/nothing"].failed == "load" and "embedded zoo" in found["digits/nothing"].reason
    assert ended("plain") == (None, None)


def test_a_model_that_takes_too_long_is_ended(nets):
    (warm,) = check([nets("plain")], until="trace")  # so that the limit is spent on the model alone
    assert warm.failed is None
    start = time.monotonic()
    (found,) = check([nets("sleeps")], timeout=8)
    assert 8 <= time.monotonic() - start < 40  # it sleeps for 60
    assert found.reason == "it took longer than 8 s"
    assert found.failed == "load" or (found.failed == "trace" and found.params == 137)  # what was known before stays


@pytest.mark.slow
def test_a_file_is_taken_up_where_it_was_left(tmp_path):
    file = tmp_path / "deep" / "lines.jsonl"
    assert [c.model for c in check(["digits/plain"], out=file, until="cuts")] == ["digits/plain"]
    added = [c.model for c in check(["digits/plain", "digits/mixer"], out=file, until="cuts")]
    assert added == ["digits/mixer"]
    assert list(check(["digits/mixer"], out=file, until="trace")) == []
    assert [c.model for c in check(["digits/mixer"], out=file, until="cost")] == ["digits/mixer"]  # more is asked for
    assert len(list(check(["digits/mixer"], out=file, until="load", again=True))) == 1
    history = read(file)
    assert set(history.models) == {"digits/plain", "digits/mixer"}
    assert list(history.models["digits/mixer"].steps) == ["load"]  # the later line counts
    assert len(history.runs) == 4 and history.runs[0]["versions"]["torch"] == torch.__version__.partition("+")[0]


def test_an_interruption_ends_every_process_and_keeps_the_lines(nets, tmp_path):
    file = tmp_path / "lines.jsonl"
    command = [sys.executable, "-m", "stitchc", "zoo", "check", "digits/plain", nets("sleeps"), "--out", str(file)]
    process = subprocess.Popen([*command, "--until", "trace"], stderr=subprocess.PIPE, text=True, process_group=0)
    deadline = time.monotonic() + 60
    while not (file.exists() and '"digits/plain"' in file.read_text()):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert "Traceback" not in process.stderr.read()
    assert list(read(file).models) == ["digits/plain"]
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)


# -- weights that tell


class Faint(nn.Module):
    """A branch that no output shows when it is fresh, behind a normalisation that does nothing."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.branch = nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8), nn.Conv2d(8, 8, 1, bias=False)
        self.scale = nn.Parameter(1e-6 * torch.ones(8, 1, 1))
        self.head = nn.Parameter(1e-5 * torch.randn(8, 8))
        self.last = nn.BatchNorm2d(8)
        nn.init.zeros_(self.last.weight)

    def forward(self, x):
        x = self.norm(self.conv(x) * 1e4)
        x = x + self.last(self.branch(x)) + self.branch(x) * self.scale
        return x + x.mean((2, 3)).matmul(self.head)[:, :, None, None]


def test_after_livening_every_parameter_changes_the_output():
    torch.manual_seed(0)
    model, images = Faint().eval(), torch.randn(2, 3, 8, 8)
    liven(model, images, torch.Generator().manual_seed(0))
    want = model(images)
    assert 0.1 < want.abs().mean() < 10
    for name, parameter in model.named_parameters():
        if name == "conv.bias":
            continue  # scaled by 1e4, and taken back by the statistics
        before = parameter.detach().clone()
        parameter.data *= 2
        assert (model(images) - want).abs().max() > 1e-3 * want.abs().max(), name
        parameter.data.copy_(before)


def test_livening_is_the_same_each_time():
    torch.manual_seed(0)
    model, images = Faint().eval(), torch.randn(2, 3, 8, 8)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    liven(model, images, torch.Generator().manual_seed(5))
    once = model(images)
    model.load_state_dict(state)
    liven(model, images, torch.Generator().manual_seed(5))
    assert torch.equal(model(images), once)


# -- which models


def test_patterns_names_and_words_choose_models():
    assert choose(["digits/plain"]) == ["digits/plain"]
    assert choose(["digits/*", "digits/vit"]) == [
        f"digits/{n}" for n in ("convnext", "mixer", "plain", "resnet", "small", "vit")
    ]
    assert choose(["torchvision/resnet18", "nets.py:make?input=3x8x8"]) == [
        "torchvision/resnet18", "nets.py:make?input=3x8x8"
    ]  # fmt: skip
    assert len(choose(["torchvision/vgg1?"])) == 4
    with pytest.raises(InputError, match="'digits/plane' is no name or pattern of a model") as caught:
        choose(["digits/plane"])
    assert "digits/plain" in caught.value.hint


def test_one_of_a_family_is_its_smallest_and_a_sample_is_of_the_others():
    assert choose(["digits/*"], one_per_family=True) == ["digits/small"]
    drawn = choose(["digits/*"], one_per_family=True, sample=2, seed=1)
    assert drawn[0] == "digits/small" and len(set(drawn)) == 3
    assert drawn == choose(["digits/*"], one_per_family=True, sample=2, seed=1)
    assert len({tuple(choose(["digits/*"], sample=2, seed=seed)) for seed in range(8)}) > 1
    assert choose(["digits/*"], sample=5, max_params=150e3) == ["digits/mixer", "digits/small"]


# -- lines


def test_a_line_that_was_cut_off_is_dropped_and_written_over(tmp_path):
    file = tmp_path / "lines.jsonl"
    first, second = Checked("timm/a", params=3, steps={"load": 0.5}), Checked("timm/b", failed="load", reason="é | x")
    append(file, as_line(first))
    with file.open("a") as stream:
        stream.write('{"model":"timm/c","par')
    assert read(file).models == {"timm/a": first}
    append(file, as_line(second))
    assert read(file).models == {"timm/a": first, "timm/b": second}
    assert [json.loads(line)["model"] for line in file.read_text().splitlines()] == ["timm/a", "timm/b"]


GOLDEN = """\
# Coverage

3 models, 2 pass every step that was tried. Made from
`coverage.jsonl` by `make coverage`, which goes on where it was stopped; `stitchc zoo check` tries any model.

| library | models | all passed | load | trace | equal | cuts | cost | emit | run | onnx | ort |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| timm | 2 | 1 | 2 | 1 of 2 | 1 | 1 | 1 |  |  |  |  |
| torchvision | 1 | 1 | 1 | 1 | 1 | 1 | 1 | 1 | 1 | 1 | 1 |
"""
GOLDEN_END = """\
Tracing, and finding the cuts by both rules: median 1.5 s, at most 2.0 s
(timm/a, 40 nodes); the largest graph, torchvision/c with 80 nodes, 1.0 s.
All seconds are processor time, on one thread.

## Measured

| date | machine | versions |
| --- | --- | --- |
| 2026-01-02 | Linux x86_64, 2 cores | torch 2.11.0, timm 1.0.20 |

## Failures

| model | step | reason |
| --- | --- | --- |
| timm/b | trace | it returns a \\| b |

## Models

Layouts: how many cuts hold maps (NCHW, NHWC), tokens (NLC, + prefix tokens) and vectors (NC). No layout: how many
values cross alone, but in a form that no adapter can meet. Lines: of `model.py`. Seconds: of all steps together.

### timm

| model | params | MACs | nodes | cuts | StitchNet cuts | layouts | no layout | lines | seconds |
| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: |
| a | 1.50 M | 2.00 G | 40 | 7 | 2 | NLC+1 5, NC 2 | 0 |  | 2.3 |
| b (failed: trace) | 12 | - |  |  |  |  |  |  | 0.2 |

### torchvision

| model | params | MACs | nodes | cuts | StitchNet cuts | layouts | no layout | lines | seconds |
| --- | ---: | ---: | ---: | ---: | ---: | --- | ---: | ---: | ---: |
| c | 1.00 k | 9.00 k | 80 | 3 | 1 | NCHW 3 | 1 | 99 | 1.7 |
"""


def test_the_page_says_what_passes_what_fails_and_on_what_it_was_measured():
    steps = {step: 0.1 for step in STEPS}
    run = {"date": "2026-01-02", "machine": "Linux x86_64, 2 cores", "versions": {"torch": "2.11.0", "timm": "1.0.20"}}
    models = [
        Checked(
            "torchvision/c", 1000, 9000, 3, 1, {"NCHW": 3}, 1, "record", 80, 99, steps={**steps, "trace": 0.9}
        ),
        Checked("timm/b", 12, steps={"load": 0.1, "trace": 0.1}, failed="trace", reason="it returns a | b"),
        Checked(
            "timm/a", 1_500_000, 2_000_000_000, 7, 2, {"NLC+1": 5, "NC": 2}, 0, "record", 40,
            steps={"load": 0.1, "trace": 1.9, "equal": 0.1, "cuts": 0.1, "cost": 0.1},
        ),
    ]  # fmt: skip
    text = page(History({m.model: m for m in models}, (run, run)))
    assert text.startswith(GOLDEN) and text.endswith(GOLDEN_END)
    middle = text[len(GOLDEN) : -len(GOLDEN_END)]
    assert all(f"| {step} |" in middle for step in STEPS)
    assert all(len(line) <= 120 for line in text.splitlines() if not line.startswith("|"))


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"madel": 1}'])
def test_a_file_of_another_kind_is_refused(tmp_path, line):
    file = tmp_path / "lines.jsonl"
    file.write_text(f"{line}\n{json.dumps(as_line(Checked('timm/a')))}\n")
    with pytest.raises(InputError, match="line 1"):
        read(file)


# -- the verb


def test_the_verb_prints_one_document_and_writes_the_page(tmp_path, capfd):
    file, page = tmp_path / "lines.jsonl", tmp_path / "page.md"
    words = ["zoo", "check", "digits/plain", "--until", "cost", "--out", str(file)]
    assert main([*words, "--json"]) == 0
    out, err = capfd.readouterr()
    document = json.loads(out)
    assert document["schema"] == 1 and document["models"][0]["model"] == "digits/plain"
    assert document["summary"]["digits"]["steps"]["cost"] == {"tried": 1, "passed": 1}
    assert "[1/1] digits/plain" in err
    assert main([*words, "--json", "--table", str(page)]) == 0
    out, err = capfd.readouterr()
    assert json.loads(out)["models"] == document["models"] and "1 of 1 models have a line already" in err
    assert "| plain | 183 k |" in page.read_text()


def test_failures_exit_1_only_when_that_is_asked_for(nets, tmp_path, capfd):
    words = ["zoo", "check", nets("boxes"), "--no-onnx", "--out", str(tmp_path / "lines.jsonl")]
    assert main(words) == 0
    assert main([*words, "--strict"]) == 1  # though nothing was left to check
    out, _ = capfd.readouterr()
    assert "Failed: 1" in out and "trace" in out


def test_no_models_is_a_usage_error(capfd):
    assert main(["zoo", "check"]) == 2
    assert "no models are named" in capfd.readouterr().err


# -- a sample of everything


@pytest.mark.slow
def test_ten_models_that_cover_every_layout_pass_every_step():
    found = list(check(SAMPLE, jobs=os.cpu_count() or 1))
    assert {c.model: c.reason for c in found if c.failed} == {}
    assert all(c.steps.keys() == set(STEPS) for c in found)
    layouts = set().union(*(c.layouts for c in found))
    assert layouts >= {"NCHW", "NHWC", "NLC", "NLC+1", "NLC+2", "NC"}


SAMPLE = [
    "digits/mixer",
    "timm/deit_tiny_distilled_patch16_224",
    "timm/levit_128s",
    "timm/test_convnext",
    "timm/test_efficientnet",
    "timm/test_mambaout",
    "timm/test_vit",
    "timm/tiny_vit_5m_224",
    "torchvision/resnet18",
    "torchvision/swin_t",
]
