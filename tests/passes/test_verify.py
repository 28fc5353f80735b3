"""Verification finds what is wrong, and nothing that is not; the ONNX file is the generated module."""

import hashlib
from dataclasses import replace

import pytest
import torch
from emitting import disturb, plan_of
from nets import Tokens
from torch import nn

from stitchc.passes import Codegen, ExportOnnx, Verify
from stitchc.passes.data.errors import VerificationError
from stitchc.passes.verify import compare, verify_folder

SIZE = (3, 8, 8)


@pytest.fixture(scope="module")
def emitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifact")
    torch.manual_seed(0)
    plan = Codegen(folder)(plan_of(disturb(Tokens()), SIZE))
    return ExportOnnx()(plan)


def test_all_three_agree(emitted, capfd):
    verified = Verify()(emitted).hybrid.verified
    assert verified.module_max_abs == 0
    assert verified.onnx_max_rel is not None and verified.onnx_max_rel < 1e-5
    assert verified.argmax_agreement == 1 and verified.batches == (1, 3)
    assert verify_folder(emitted.folder).onnx_max_rel < 1e-5
    assert capfd.readouterr().out == ""


def test_onnx_has_its_names_and_a_free_batch(emitted):
    import onnx

    model = onnx.load(emitted.folder / "model.onnx")
    (given,), (result,) = model.graph.input, model.graph.output
    assert (given.name, result.name) == ("input", "output")
    assert given.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert result.type.tensor_type.shape.dim[0].dim_param == "batch"
    assert model.producer_name == "stitchc"
    assert {"models", "licences", "input_mean", "input_std"} <= {fact.key for fact in model.metadata_props}


def test_onnx_says_nothing_of_this_machine(emitted):
    import os
    from pathlib import Path

    data = (emitted.folder / "model.onnx").read_bytes()
    for trace in (str(Path.home()), str(emitted.folder), str(Path(torch.__file__).parent), "model.py", os.getcwd()):
        assert trace.encode() not in data


@pytest.mark.slow
def test_onnx_is_the_same_bytes_again(emitted, tmp_path):

    before = hashlib.sha256((emitted.folder / "model.onnx").read_bytes()).digest()
    again = ExportOnnx()(Codegen(tmp_path)(replace(emitted, folder=None)))
    assert hashlib.sha256((again.folder / "model.onnx").read_bytes()).digest() == before


def test_another_weight_is_found(emitted, tmp_path):
    for file in ("model.py", "model.safetensors", "model.onnx"):
        (tmp_path / file).write_bytes((emitted.folder / file).read_bytes())
    data = bytearray((tmp_path / "model.safetensors").read_bytes())
    data[-3:] = b"\x7f\x00\x40"
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(VerificationError, match=r"model\.onnx differs from the network by .* at batch 1"):
        verify_folder(tmp_path)


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(VerificationError, match=r"model\.py does not exist"):
        verify_folder(tmp_path, SIZE)
    (tmp_path / "model.py").write_text("import nowhere\n")
    with pytest.raises(VerificationError, match="cannot be loaded: ModuleNotFoundError"):
        verify_folder(tmp_path, SIZE)


def _constant(*values: float) -> nn.Module:
    class Constant(nn.Module):
        def forward(self, x):
            return torch.tensor([values] * len(x))

    return Constant()


def test_another_class_is_found_within_the_tolerance():
    inputs = [torch.zeros(2, 1)]
    with pytest.raises(VerificationError, match="another class for 2 of 2"):
        compare(_constant(10.0, 9.999), {"model.py": _constant(9.999, 10.0)}, inputs, (2,), 1e-3)


def test_a_tie_is_no_disagreement():
    verified = compare(
        _constant(1.0, 1.0 - 1e-7), {"model.py": _constant(1.0 - 1e-7, 1.0)}, [torch.zeros(2, 1)], (2,), 1e-4
    )
    assert verified.argmax_agreement == 1


def test_undefined_values_never_pass():
    with pytest.raises(VerificationError, match="infinite or undefined"):
        compare(_constant(float("nan"), 1.0), {"model.py": _constant(0.0, 1.0)}, [torch.zeros(1, 1)], (1,), 1e-4)
    with pytest.raises(VerificationError, match="infinite or undefined"):
        compare(_constant(0.0, 1.0), {"model.py": _constant(float("nan"), 1.0)}, [torch.zeros(1, 1)], (1,), 1e-4)


class KeptAlive(nn.Module):
    """The map `y` is kept until the last line has been computed, though the product there is the last to read it."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(3, 3, 1) for _ in range(3))

    def forward(self, x):
        y = self.first(x)
        y = self.third(self.second(y * y))
        return y.flatten(1)


def test_a_budget_of_memory_that_the_module_misses_as_python_runs_it_is_told(tmp_path):
    plan = Codegen(tmp_path)(plan_of(KeptAlive(), SIZE))
    one_map = 4 * 3 * 8 * 8
    assert not Verify()(replace(plan, budget={"memory": 4 * one_map})).notes
    (note,) = Verify()(replace(plan, budget={"memory": 4 * one_map - 1})).notes
    assert "model.py holds 3.000 KiB" in note and "more than the 2.999 KiB of the budget" in note
    assert not Verify()(plan).notes
