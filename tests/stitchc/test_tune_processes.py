"""Training as its users start it: killed without warning, in several processes, from the command line; the examples."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

EXAMPLES = Path(__file__).parents[2] / "examples"
TUNE = [sys.executable, "-m", "stitchc", "tune"]
ALONE = dict(os.environ, OMP_NUM_THREADS="1")


def stitchc(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "stitchc", *arguments], capture_output=True, text=True, env=ALONE, timeout=300
    )


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("artifact") / "hybrid"
    cuts = ["--front", "stage1.0", "--back", "features.2", "--adapter", "linear", "--heal", "none"]
    made = stitchc(
        "compile", "digits/resnet", "digits/plain", *cuts, "--data", "digits", "--no-onnx", "-q", "-o", str(out)
    )
    assert made.returncode == 0, made.stderr
    return out


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on_to_the_same_bits(hybrid, tmp_path):
    """SIGKILL, which nothing can catch, then the same command."""
    options = [
        "--data", "digits?limit=512", "--train", "back", "--epochs", "3", "--batch", "32", "--augment", "crop",
        "--checkpoint-seconds", "0", "-q",
    ]  # fmt: skip
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert stitchc("tune", str(hybrid), *options, "-o", str(whole)).returncode == 0
    command = [*TUNE, str(hybrid), *options, "-o", str(out)]
    process = subprocess.Popen(command, env=ALONE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    checkpoint = tmp_path / ".out.tuning" / "checkpoint.pt"
    while not checkpoint.exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert checkpoint.exists() and not out.exists()
    again = stitchc("tune", str(hybrid), *options[:-1], "-o", str(out))
    assert again.returncode == 0 and "Going on after" in again.stderr, again.stderr
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_the_command_line_says_what_the_function_does(hybrid, tmp_path):
    here = Path(shutil.copytree(hybrid, tmp_path / "hybrid"))
    made = stitchc("tune", str(here), "--data", "digits?limit=256", "--epochs", "2", "--json")
    assert made.returncode == 0, made.stderr
    document = json.loads(made.stdout)
    assert document["schema"] == 1 and document == json.loads((here / "plan.json").read_text())
    (entry,) = document["tuned"]
    assert entry["train"] == "adapter" and entry["epochs"] == 2 and entry["accuracy"]["after"] is not None
    assert "epoch 2/2: loss" in made.stderr and "images/s" in made.stderr and "left" in made.stderr
    assert (tmp_path / "hybrid-untuned").is_dir()
    assert stitchc("verify", str(here)).returncode == 0
    report = stitchc("tune", str(here), "--data", "digits?limit=64", "--epochs", "1", "-o", str(tmp_path / "more"))
    assert "Trained the adapter" in report.stdout
    assert all(len(line) <= 80 for line in report.stdout.splitlines())
    again = stitchc("tune", str(tmp_path / "hybrid-untuned"), "--recipe", str(here / "recipe.toml"), "-o",
                    str(tmp_path / "again"))  # fmt: skip
    assert again.returncode == 0, again.stderr
    first, second = (load_file(folder / "model.safetensors") for folder in (here, tmp_path / "again"))
    assert all((first[key] == second[key]).all() for key in first)
    spent = stitchc("tune", str(here), "--recipe", str(here / "recipe.toml"))
    assert spent.returncode == 2 and "has had 1" in spent.stderr
    wrong = stitchc("tune", str(here), "--data", "digits", "--train", "bck")
    assert wrong.returncode == 2 and "'back'" in wrong.stderr


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("lightning_fabric") is None, reason="the extra `tune` is not installed")
def test_two_processes_train_what_one_does(hybrid, tmp_path):
    """Gradients are averaged over the halves of every batch. The adapter has no BatchNorm, which would differ."""
    options = [str(hybrid), "--data", "digits?limit=256", "--epochs", "2", "--batch", "64", "--no-cache", "-q"]
    assert stitchc("tune", *options, "-o", str(tmp_path / "one")).returncode == 0
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    two = subprocess.run(
        [*run, "-m", "stitchc", "tune", *options, "--device", "cpu", "-o", str(tmp_path / "two"), "--json"],
        capture_output=True, text=True, env=ALONE, timeout=300,
    )  # fmt: skip
    assert two.returncode == 0, two.stderr
    assert json.loads(two.stdout)["tuned"][0]["epochs"] == 2  # one document, not two
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for key in one:
        assert (one[key].double() - other[key].double()).abs().max() < 1e-4, key


@pytest.mark.slow
@pytest.mark.parametrize("name", ["restnet_cifar10", "large_gaps"])
def test_examples_run_on_the_embedded_digits(name, tmp_path):
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), "--quick", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, env=ALONE, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "paper" in done.stdout and "ours" in done.stdout
    start = time.monotonic()
    again = subprocess.run(command, capture_output=True, text=True, env=ALONE, timeout=300)
    assert again.stdout == done.stdout  # nothing is made twice
    assert time.monotonic() - start < 120
