"""The command line: what it prints where, with which status, and that it leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import stitchc
from stitchc.cli import main
from stitchc.passes.data.errors import Infeasible, ModelError

VERBS = [
    "compile", "tune", "demo", "inspect", "compare", "cost", "eval", "verify", "search", "family", "zoo list",
    "zoo pack", "zoo check", "cache dir", "cache ls", "cache clean", "env",
]  # fmt: skip
HEAVY = ("torch", "torchvision", "timm", "numpy", "onnx", "onnxruntime", "rich")

# Runs the command line and then says which heavy packages it has imported.
COUNTED = f"""
import sys
from stitchc.cli import main
status = main(sys.argv[1:])
heavy = [name for name in {HEAVY!r} if name in sys.modules]
assert not heavy, heavy
assert len(sys.modules) < 400, len(sys.modules)
sys.exit(status)
"""


def run(script: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60, **options
    )


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], [], *[[*v.split(), "--help"] for v in VERBS]], ids=" ".join
)
def test_help_imports_nothing_heavy(arguments):
    done = run(COUNTED, *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout and not done.stderr
    assert all(len(line) <= 80 for line in done.stdout.splitlines() if not line.startswith("  stitchc "))


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["comple", "a", "b"], "'comple' is no verb", "'compile'"),
        (["zoo", "lst"], "'lst' is no verb", "'list'"),
        (["inspect", "digits/plain", "--jsn"], "no such option: --jsn", "'--json'"),
        (
            ["inspect", "digits/plain", "--rule", "stichnet"],
            "'stichnet' is no value of --rule",
            "Did you mean 'stitchnet'? There are single-tensor, stitchnet.",
        ),
        (["--verbose", "env"], "no such option: --verbose", "Options come after the verb."),
        (["inspect"], "Missing argument 'MODEL'", "`stitchc inspect --help`"),
        (
            ["compile", "digits/resnet", "digits/plain", "--metric", "flps"],
            "'flps' is no value of --metric",
            "Did you mean 'flops'? There are params, macs, flops",
        ),
        (
            ["compare", "digits/resnet", "digits/plain", "--backend", "onnxrun"],
            "'onnxrun' is no value of --backend",
            "onnxruntime",
        ),
        (["compile", "digits/resnet", "digits/plain", "--budget", "12Q"], "'12Q'", "Units of flops"),
        (["env", "--seed", "-1"], "--seed", "stitchc env --help"),
        (["inspect", "resnet56.pt"], "there is no file resnet56.pt", ""),
        (
            ["compile", "digits/resnet", "digits/plaim", "--budget", "60%"],
            "'digits/plaim' is no network",
            "digits/plain",
        ),
        (["cost", "nets.py:make"], "there is no file nets.py", ""),
        (["cost", "digits/plain?inptu=1x8x8"], "'inptu' is no option of a model", "'input'"),
        (["eval", "digits/plain", "--data", "folder:photos"], "there is no folder photos", ""),
        (["tune", "digits/plain", "--teacher", "big.pt"], "there is no file big.pt", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_usage_errors_are_one_sentence_with_a_hint(arguments, message, hint):
    done = run(COUNTED, *arguments)
    assert done.returncode == 2
    assert not done.stdout
    assert message in done.stderr and hint in done.stderr
    assert "Traceback" not in done.stderr
    machine = run(COUNTED, *arguments, "--json")
    document = json.loads(machine.stdout)
    assert machine.returncode == 2 and not machine.stderr
    assert document["schema"] == 1 and message in document["error"]["message"] and hint in document["error"]["hint"]
    assert set(document["error"]) >= {"code", "message", "hint"}


def answer(monkeypatch, name: str, value):
    """Makes a public function answer, or raise, `value`."""

    def function(*args, **kwargs):
        if isinstance(value, BaseException):
            raise value
        return value

    monkeypatch.setitem(vars(stitchc), name, function)


def test_a_refused_model_exits_2_and_says_what_to_try(monkeypatch, capfd):
    answer(monkeypatch, "inspect", ModelError("'x' names no model", "Did you mean 'y'?"))
    assert main(["inspect", "digits/plain"]) == 2
    out, err = capfd.readouterr()
    assert out == "" and err == "error: 'x' names no model\n  Did you mean 'y'?\n"


def test_infeasible_exits_1_and_names_the_nearest(monkeypatch, capfd):
    answer(monkeypatch, "compile", Infeasible("nothing fits 1000 flops", "Try 4M.", {"flops": 4e6}))
    assert main(["compile", "digits/resnet", "digits/plain", "--budget", "1k", "--json"]) == 1
    document = json.loads(capfd.readouterr().out)
    assert document["error"] == {
        "code": "infeasible", "message": "nothing fits 1000 flops", "hint": "Try 4M.", "nearest": {"flops": 4e6},
    }  # fmt: skip


def test_a_defect_of_ours_is_told_shortly_and_traced_with_v(monkeypatch, capfd):
    answer(monkeypatch, "inspect", ZeroDivisionError("oops"))
    assert main(["inspect", "digits/plain"]) == 1
    short = capfd.readouterr().err
    assert "ZeroDivisionError: oops" in short and "stitchc env" in short and "Traceback" not in short
    assert main(["inspect", "digits/plain", "-v"]) == 1
    assert "Traceback" in capfd.readouterr().err


def test_the_report_goes_to_stdout_and_is_plain_in_a_pipe(monkeypatch, capfd, noiseless):
    answer(monkeypatch, "inspect", noiseless)
    assert main(["inspect", "digits/plain"]) == 0
    out, err = capfd.readouterr()
    assert err == "" and "\x1b" not in out and "layer1.0" in out and "not a cut" not in out.lower()
    assert main(["inspect", "digits/plain", "--why"]) == 0
    assert "another value crosses" in capfd.readouterr().out


def test_json_is_one_document_whatever_libraries_print():
    script = """
import os, sys, stitchc
sys.path.insert(0, sys.argv[1])
from conftest import make_plan
def noisy(*args, **kwargs):
    print("[torch.onnx] Obtain model graph...")
    os.write(1, b"from C++\\n")
    return make_plan()
vars(stitchc)["inspect"] = noisy
from stitchc.cli import main
sys.exit(main(["inspect", "digits/plain", "--json"]))
"""
    done = run(script, str(Path(__file__).parent))
    assert done.returncode == 0
    assert json.loads(done.stdout)["fragments"] == 4
    assert "torch.onnx" in done.stderr and "from C++" in done.stderr


def test_compare_shows_the_matrix_and_writes_the_plot_once(monkeypatch, capfd, plan, tmp_path):
    answer(monkeypatch, "compare", plan)
    page = tmp_path / "map.html"
    assert main(["compare", "digits/resnet", "digits/plain", "--plot", str(page), "--top", "2"]) == 0
    out = capfd.readouterr().out
    assert out.startswith("note: Similarity was taken on noise.") and "Candidates: 2 of 6" in out
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert main(["compare", "digits/resnet", "digits/plain", "--plot", str(page), "--json"]) == 2
    assert "exists already" in json.loads(capfd.readouterr().out)["error"]["message"]


def test_a_dry_run_prints_the_plan_without_files(monkeypatch, capfd, plan):
    answer(monkeypatch, "compile", replace(plan, hybrids=()))
    assert main(["compile", "digits/resnet", "digits/plain", "--dry-run", "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["verified"] is None and "files" not in document
    assert [link.get("model") for link in document["chain"]] == ["resnet", None, "plain"]
    assert document["cost"]["flops"] == 6_000_000


def test_a_recipe_gives_defaults_that_the_command_line_overrides(monkeypatch, capfd, plan, tmp_path):
    seen = {}

    def compile(a, b, **options):
        seen.update(options, a=a, b=b)
        return plan

    monkeypatch.setitem(vars(stitchc), "compile", compile)
    path = tmp_path / "r.toml"
    path.write_text(
        'a = "digits/resnet"\nb = "digits/plain"\nbudget = ["flops=12000000"]\nadapter = "linear"\nonnx = false\n'
    )
    assert main(["compile", "--recipe", str(path), "--adapter", "conv3x3", "--dry-run"]) == 0
    assert (seen["a"], seen["b"], seen["adapter"], seen["onnx"]) == ("digits/resnet", "digits/plain", "conv3x3", False)
    assert seen["budget"] == ("flops=12000000",)
    path.write_text('adaptor = "linear"\n')
    assert main(["compile", "--recipe", str(path)]) == 2
    assert "Did you mean 'adapter'?" in capfd.readouterr().err


def test_a_reader_that_leaves_is_no_error(tmp_path):
    script = "import sys; from stitchc.cli import main; sys.exit(main(['env']))"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([sys.executable, "-c", script], stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == 0


STATUS = "import sys; from stitchc.cli import main; sys.exit(main(sys.argv[1:]))"


def shell(redirection: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    command = f'"$@" {redirection}'
    return subprocess.run(
        ["sh", "-c", command, "sh", sys.executable, "-c", STATUS, *arguments],
        capture_output=True, text=True, timeout=60, **options,
    )  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes streams")
def test_a_closed_standard_output_is_said_at_once():
    done = shell(">&-", "cache", "dir")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2, "error: standard output is closed, so a result has nowhere to go",
    )  # fmt: skip


@pytest.mark.skipif(os.name != "posix", reason="needs a shell that closes streams")
@pytest.mark.parametrize("redirection", ["2>&-", "<&-", "<&- 2>&-"])
def test_other_closed_streams_change_nothing(redirection):
    assert shell(redirection, "cache", "dir").stdout.strip() and shell(redirection, "cache", "dir").returncode == 0
    assert shell(redirection, "nonsense").returncode == 2


@pytest.mark.parametrize("columns", ["wide", "0", "-5", "1", "12.5", "99999999999", "²"])
def test_nonsense_in_columns_is_no_width(columns):
    done = run(STATUS, "cache", "ls", env={**os.environ, "COLUMNS": columns})
    assert done.returncode == 0, done.stderr
    assert all(len(line) <= 1000 for line in done.stdout.splitlines())


def test_a_pipe_without_unicode_is_readable(tmp_path):
    script = """
import sys, stitchc
sys.path.insert(0, sys.argv[1])
from conftest import make_plan
vars(stitchc)["compile"] = lambda *a, **k: make_plan()
from stitchc.cli import main
sys.exit(main(["compile", "digits/resnet", "digits/plain", "--dry-run"]))
"""
    done = run(script, str(Path(__file__).parent), env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii() and "?" not in done.stdout
    assert "resnet --[ input -> stem ]== conv3x3 16->16 ==[ features.3 -> output ]-- plain" in done.stdout


INTERRUPTED = """
import pathlib, sys, time, stitchc
from stitchc import artifact

def compile(a, b, out, **options):
    with artifact.staging(out) as folder:
        (folder / "model.py").write_text("half of it")
        pathlib.Path(sys.argv[1]).touch()
        time.sleep(60)

vars(stitchc)["compile"] = compile
from stitchc.cli import main
sys.exit(main(["compile", "digits/resnet", "digits/plain", "-o", sys.argv[2], *sys.argv[3:]]))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_leaves_nothing_behind(tmp_path, number):
    started, work = tmp_path / "started", tmp_path / "work"
    work.mkdir()
    process = start(INTERRUPTED, str(started), str(work / "deep" / "out"), "--json")
    interrupt(process, started, number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert json.loads(out)["error"]["code"] == "interrupted"
    assert "Traceback" not in err
    assert list(work.iterdir()) == []


def test_ctrl_c_while_torch_is_imported(tmp_path):
    started, package = tmp_path / "started", tmp_path / "torch"
    package.mkdir()
    (package / "__init__.py").write_text(
        f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(60)\n"
    )
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from stitchc.cli import main; sys.exit(main(['env']))"
    process = start(script)
    interrupt(process, started, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == "" and err.strip() == "error: interrupted; nothing was left behind"


def start(script: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: [signal.signal(n, signal.SIG_DFL) for n in (signal.SIGHUP, signal.SIGTERM)],
    )  # fmt: skip


def interrupt(process: subprocess.Popen, started: Path, number: int) -> None:
    deadline = time.monotonic() + 30
    while not started.exists():
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)


@pytest.mark.parametrize(("name", "begins"), [("map.png", b"\x89PNG"), ("map.svg", b"<?xml"), ("map.pdf", b"%PDF")])
def test_compare_draws_the_matrix_the_same_each_time(monkeypatch, capfd, plan, tmp_path, name, begins):
    answer(monkeypatch, "compare", plan)
    picture = tmp_path / name
    assert main(["compare", "digits/resnet", "digits/plain", "--plot", str(picture)]) == 0
    first = picture.read_bytes()
    assert first.startswith(begins)
    assert main(["compare", "digits/resnet", "digits/plain", "--plot", str(picture), "--force"]) == 0
    assert picture.read_bytes() == first and list(tmp_path.iterdir()) == [picture]


def test_a_plot_of_no_known_format_is_refused_before_anything_runs(capfd, tmp_path):
    assert main(["compare", "digits/resnet", "digits/plain", "--plot", str(tmp_path / "map.gif")]) == 2
    assert "End its name in one of .png" in capfd.readouterr().err


@pytest.mark.parametrize("again", [["--seed", "1", "--seed", "2"], ["--data", "digits", "--data=random"]])
def test_an_option_of_one_value_is_given_once(again, capsys):
    assert main(["eval", "digits/plain", *again]) == 2
    assert f"{again[0]} was given twice" in capsys.readouterr().err


def test_a_network_that_ends_the_program_does_not_end_it_as_ours(tmp_path, capsys):
    (tmp_path / "nets.py").write_text(
        "import sys\nfrom torch import nn\n\n\nclass Net(nn.Module):\n    def forward(self, x):\n        sys.exit(0)\n"
    )
    assert main(["eval", f"{tmp_path}/nets.py:Net?input=1x8x8", "--data", "digits?limit=8"]) == 2
    assert "ended the program: sys.exit(0)" in capsys.readouterr().err


def test_architectures_are_one_a_model(tmp_path, capsys):
    import torch

    from stitchc import zoo

    for name, net in (("a", "resnet"), ("b", "plain")):
        torch.save(zoo.load(f"digits/{net}").module.state_dict(), tmp_path / f"{name}.ckpt")
    models = [f"{tmp_path}/a.ckpt", f"{tmp_path}/b.ckpt"]
    rest = ["--data", "digits?limit=16", "--rank", "cka", "--json"]
    assert main(["compare", *models, "--arch", "B=digits/plain", "--arch", "A=digits/resnet", *rest]) == 0
    assert json.loads(capsys.readouterr().out)["models"] == ["a", "b"]
    assert main(["compare", *models, "--arch", "digits/resnet", *rest]) == 2
    assert main(["eval", models[0], "--arch", "digits/resnet", "--arch", "digits/plain", "--json"]) == 2
    assert "2 architectures for 1 checkpoints" in capsys.readouterr().out


def test_a_picture_needs_matplotlib_and_says_so_before_anything_runs(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr("stitchc.report.plot.find_spec", lambda name: None)
    assert main(["compare", "digits/resnet", "digits/plain", "--plot", str(tmp_path / "map.svg")]) == 2
    said = capfd.readouterr().err
    assert "matplotlib" in said and "stitchc[plot]" in said and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "begins"), [("cost.svg", "<?xml"), ("cost.html", "<!DOCTYPE html>")])
def test_cost_draws_its_stages(capfd, tmp_path, name, begins):
    picture = tmp_path / name
    assert main(["cost", "digits/plain", "--plot", str(picture)]) == 0
    text = picture.read_text()
    assert text.startswith(begins) and "features" in text
    assert main(["cost", "digits/plain", "--plot", str(picture), "--depth", "0"]) == 2
    assert "no stages" in capfd.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize(
    "arguments", [["cache", "dir"], ["cache", "dir", "--json"], ["nonsense", "--json"]], ids=" ".join
)
def test_a_result_that_cannot_be_written_is_said_in_a_sentence(arguments):
    done = shell(">/dev/full", *arguments)
    assert done.returncode in (1, 2)
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr


def test_a_narrow_terminal_takes_no_digit_of_a_number(monkeypatch, capsys):
    said = []
    for columns in ("80", "40"):
        monkeypatch.setenv("COLUMNS", columns)
        assert main(["inspect", "digits/small", "-q"]) == 0
        said.append(capsys.readouterr().out)
    wide, narrow = said
    assert narrow == wide and "…" not in narrow
