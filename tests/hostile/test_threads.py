"""What docs/security.md says of another number of threads: the same choice, texts of the same bytes, weights up to
rounding."""

import os
import subprocess
import sys

import pytest
from safetensors.torch import load_file


@pytest.mark.slow
def test_another_number_of_threads_changes_weights_by_rounding_alone(tmp_path):
    command = "-m stitchc compile digits/resnet digits/plain --budget 60% --data digits?limit=256 --quiet -o"
    for threads in ("1", "2"):
        words = [sys.executable, *command.split(), threads]
        subprocess.run(words, cwd=tmp_path, env=os.environ | {"OMP_NUM_THREADS": threads}, check=True)
    one, two = (tmp_path / threads for threads in ("1", "2"))
    for name in ("model.py", "recipe.toml"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    weights = [load_file(folder / "model.safetensors") for folder in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    for name, tensor in weights[0].items():
        assert (tensor - weights[1][name]).abs().max() <= 1e-4 * tensor.abs().max().clamp_min(1e-6), name
