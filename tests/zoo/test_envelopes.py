"""The wrappings in which people keep a network's weights: what is found in them, and what is refused."""

import copy
import types
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stitchc import zoo
from stitchc.passes.data.errors import BadCheckpoint, UnsafeCheckpoint

NETS = """
from torch import nn

def net(classes=3):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, classes))
"""


@pytest.fixture(scope="module")
def arch(tmp_path_factory):
    path = tmp_path_factory.mktemp("nets") / "nets.py"
    path.write_text(NETS)
    return f"{path}:net"


@pytest.fixture(scope="module")
def right():
    torch.manual_seed(1)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    net(torch.randn(8, 3, 8, 8))  # running statistics that are not those of a fresh one
    return net.eval().state_dict()


def other(state):
    return {key: torch.randn_like(value) if value.is_floating_point() else value for key, value in state.items()}


def under(prefix, state):
    return {f"{prefix}.{key}": value for key, value in state.items()}


def without(part, state):
    return {key: value for key, value in state.items() if part not in key}


WRAPPINGS = {
    "plain": lambda s: s,
    "without counters": lambda s: without("num_batches", s),
    "profiled by thop": lambda s: {**s, "total_ops": torch.zeros(1), "0.total_params": torch.zeros(1)},
    "under net": lambda s: {"net": s, "acc": 92.1},
    "of the tutorial": lambda s: {
        "model_state_dict": s, "optimizer_state_dict": {0: {"exp_avg": torch.ones(2)}}, "loss": torch.ones(1),
    },
    "an optimizer's moments by name": lambda s: {"optimizer": {"exp_avg": other(s)}, "weights": s},
    "a list of dicts": lambda s: [{"epoch": 3}, {"model": s}],
    "three deep": lambda s: {"checkpoint": {"state": {"model": s}}},
    "a moving average": lambda s: {
        "model": other(s), "model_ema": {"n_averaged": torch.tensor(5), **under("module", s)},
    },
    "a moving average by Ultralytics": lambda s: {"model": other(s), "ema": s},
    "a moving average under a prefix": lambda s: {**under("online_model", other(s)), **under("ema_model", s)},
    "a moving average beside": lambda s: {**other(s), **under("ema", s), "initted": torch.tensor(True)},
    "a moving average by OpenMMLab": lambda s: {**other(s), **{f"ema_{k.replace('.', '_')}": v for k, v in s.items()}},
    "a moving average of latent diffusion": lambda s: {
        **under("model", {**s, **other(without("running", s))}), "model_ema.decay": torch.tensor(0.9),
        **{f"model_ema.{k.replace('.', '')}": v for k, v in s.items() if "running" not in k},
    },
    "of Lightning, compiled": lambda s: {"state_dict": under("model._orig_mod", s), "global_step": 10},
    "of several wrappers": lambda s: under("module.backbone._orig_mod", s),
    "compiled within": lambda s: {f"{k.split('.')[0]}._orig_mod.{k.split('.')[1]}": v for k, v in s.items()},
    "with a criterion": lambda s: {**under("backbone", s), "criterion.weight": torch.ones(3)},
    "with metrics": lambda s: {**s, "val_acc.correct": torch.tensor(3), "loss_fn.weight": torch.ones(3)},
    "with a head of another task": lambda s: {**under("encoder", s), "projector.weight": torch.ones(3, 3)},
    "two parts": lambda s: {k: {p.partition(".")[2]: v for p, v in s.items() if p[0] == k} for k in "014"},
    "numpy arrays": lambda s: {k: v.numpy() if v.ndim else v for k, v in s.items()},
    "numpy scalars beside": lambda s: {"state_dict": s, "best": np.float64(91.2), "epoch": np.int64(3)},
    "doubles": lambda s: {k: v.double() if v.is_floating_point() else v for k, v in s.items()},
}  # fmt: skip


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_the_weights_are_found_in_every_wrapping(tmp_path, arch, right, wrapping):
    torch.save(WRAPPINGS[wrapping](right), tmp_path / "a.pt")
    found = zoo.load(str(tmp_path / "a.pt"), arch=arch).module.state_dict()
    assert all(torch.equal(found[key], right[key]) for key in right if "num_batches" not in key)


@pytest.mark.parametrize("name", ["last.ckpt", "best.pth.tar", "pytorch_model.bin", "weights", "a.safetensors.backup"])
def test_a_checkpoint_is_told_by_what_is_in_it(tmp_path, arch, right, name):
    save = save_file if "safetensors" in name else torch.save
    save(right, tmp_path / name)
    assert torch.equal(zoo.load(str(tmp_path / name), arch=arch).module[0].weight, right["0.weight"])


def test_what_was_chosen_is_said_and_another_can_be_named(tmp_path, arch, right):
    raw = other(right)
    torch.save({"model": raw, "model_ema": under("module", right)}, tmp_path / "a.pt")
    model = zoo.load(str(tmp_path / "a.pt"), arch=arch)
    assert "'model_ema' under the prefix 'module.'" in model.notes[0] and "?weights-key=model)" in model.notes[0]
    chosen = zoo.load(f"{tmp_path}/a.pt?weights-key=model", arch=arch)
    assert torch.equal(chosen.module[0].weight, raw["0.weight"])
    again = zoo.load(f"{tmp_path}/a.pt?weights-key=model_ema", arch=arch)
    assert torch.equal(again.module[0].weight, right["0.weight"])
    with pytest.raises(BadCheckpoint, match="no weights under 'modle'") as caught:
        zoo.load(f"{tmp_path}/a.pt?weights-key=modle", arch=arch)
    assert "'model'" in caught.value.hint


def test_tensors_that_are_left_out_are_said(tmp_path, arch, right):
    torch.save({**under("encoder", right), "projector.weight": torch.ones(3, 3)}, tmp_path / "a.pt")
    assert "projector.weight" in " ".join(zoo.load(str(tmp_path / "a.pt"), arch=arch).notes)


def test_where_nothing_fits_the_nearest_is_told_with_what_it_lacks(tmp_path, arch, right):
    torch.save({"model": without("0.weight", right), "ema": {"x": torch.ones(1)}}, tmp_path / "a.pt")
    with pytest.raises(BadCheckpoint, match=r"1 of its 9 tensors are missing \(0.weight\).*nearest is 'model'"):
        zoo.load(str(tmp_path / "a.pt"), arch=arch)
    torch.save({**right, "5.weight": torch.ones(2)}, tmp_path / "b.pt")
    with pytest.raises(BadCheckpoint, match=r"1 are not its own \(5.weight\)"):
        zoo.load(str(tmp_path / "b.pt"), arch=arch)


def test_tied_weights_are_filled_from_the_one_that_is_there(tmp_path):
    (tmp_path / "nets.py").write_text(
        "from torch import nn\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)\n        self.b.weight = self.a.weight\n"
    )
    state = {"a.weight": torch.ones(4, 4), "a.bias": torch.ones(4), "b.bias": torch.zeros(4)}
    save_file(state, tmp_path / "a.safetensors")  # as safetensors leaves one of two out
    net = zoo.load(str(tmp_path / "a.safetensors"), arch=f"{tmp_path}/nets.py:Net").module
    assert net.b.weight is net.a.weight and bool((net.a.weight == 1).all())


def test_names_that_safetensors_keeps_as_aliases_are_filled(tmp_path, arch, right):
    from safetensors.torch import save_model

    net = zoo.load(arch).module
    net.load_state_dict(right)
    net[1].bias = net[1].weight  # shared, which the architecture's own two are not
    save_model(net, str(tmp_path / "a.safetensors"))
    found = zoo.load(str(tmp_path / "a.safetensors"), arch=arch).module
    assert torch.equal(found[1].bias, net[1].bias)


def test_a_network_fused_for_inference_is_not_taken_for_the_one_that_was_trained(tmp_path, arch, right):
    torch.save({**without("1.", right), "0.bias": torch.ones(4)}, tmp_path / "a.pt")  # its BatchNorm folded away
    with pytest.raises(BadCheckpoint, match=r"4 of its 9 tensors are missing \(1.weight"):
        zoo.load(str(tmp_path / "a.pt"), arch=arch)


def test_half_precision_becomes_single_and_says_so(tmp_path, arch, right):
    half = {key: value.half() if value.is_floating_point() else value for key, value in right.items()}
    torch.save(half, tmp_path / "a.pt")
    model = zoo.load(str(tmp_path / "a.pt"), arch=arch)
    assert model.module[0].weight.dtype == torch.float32
    assert any("were float16, and were made float32" in note for note in model.notes)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(4, 3, 3, 3, dtype=torch.int8), "holds integers .int8. where the network has float32"),
        (torch.ones(4, 3, 3, 3, dtype=torch.complex64), "holds complex64"),
        (torch.ones(4, 3, 3, 3).to_sparse(), "is sparse"),
        (torch.ones(4, 3, 3, 3, device="meta"), "is on the device 'meta'"),
    ],
)
def test_tensors_that_hold_no_weights_are_refused_by_name(tmp_path, arch, right, tensor, message):
    torch.save({**right, "0.weight": tensor}, tmp_path / "a.pt")
    with pytest.raises(BadCheckpoint, match=f"0.weight {message}"):
        zoo.load(str(tmp_path / "a.pt"), arch=arch)


@pytest.mark.filterwarnings("ignore")
def test_quantised_tensors_are_dequantised(tmp_path, arch, right):
    codes = torch.quantize_per_tensor(right["0.weight"], 0.01, 0, torch.qint8)
    torch.save({**right, "0.weight": codes}, tmp_path / "a.pt")
    model = zoo.load(str(tmp_path / "a.pt"), arch=arch)
    assert torch.equal(model.module[0].weight, codes.dequantize()) and any("quantised" in note for note in model.notes)


@pytest.mark.parametrize("name", ["4.bias", "1.running_var"])
def test_weights_that_are_not_finite_are_named(tmp_path, arch, right, name):
    state = copy.deepcopy(right)
    state[name][0] = float("nan")
    torch.save(state, tmp_path / "a.pt")
    with pytest.raises(BadCheckpoint, match=rf"not finite: {name} \(1 of"):
        zoo.load(str(tmp_path / "a.pt"), arch=arch)
    assert zoo.load(f"{tmp_path}/a.pt?weights=none", arch=arch).module is not None


def test_dataparallel_within_as_in_the_imagenet_example(tmp_path):
    state = zoo.load("torchvision/squeezenet1_1?weights=none&num_classes=4").module.state_dict()
    torch.save(
        {"state_dict": {k.replace("features.", "features.module."): v for k, v in state.items()}}, tmp_path / "a.pt"
    )
    model = zoo.load(str(tmp_path / "a.pt"), arch="torchvision/squeezenet1_1")
    assert model.classes == 4 and torch.equal(model.module.features[0].weight, state["features.0.weight"])


def test_one_flipped_byte_is_found(tmp_path, right):
    torch.save(right, tmp_path / "a.pt")
    content = bytearray((tmp_path / "a.pt").read_bytes())
    place = content.index(right["4.weight"].numpy().tobytes()[:64])
    content[place + 5] ^= 1
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(BadCheckpoint, match=r"is damaged.*its checksum differs"):
        zoo.load(str(tmp_path / "a.pt"), arch="timm/resnet18")


@pytest.fixture
def no_checksums():
    torch.serialization.set_crc32_options(False)
    yield
    torch.serialization.set_crc32_options(True)


def test_a_file_that_torch_saved_without_checksums_loads_and_is_held_to_the_rest(tmp_path, right, arch, no_checksums):
    torch.save(right, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as archive:
        assert not any(member.CRC for member in archive.infolist())
    model = zoo.load(str(tmp_path / "a.pt"), arch=arch)
    assert torch.equal(model.module[4].weight, right["4.weight"])
    torch.save({"weights": right, "code": nn.Linear(2, 2)}, tmp_path / "code.pt")
    with pytest.raises(UnsafeCheckpoint, match="holds pickled code"):
        zoo.load(str(tmp_path / "code.pt"), arch=arch)
    (tmp_path / "short.pt").write_bytes((tmp_path / "a.pt").read_bytes()[:-2000])
    with pytest.raises(BadCheckpoint, match="may be truncated"):
        zoo.load(str(tmp_path / "short.pt"), arch=arch)


def test_a_program_that_torch_saved_without_checksums_loads(tmp_path, no_checksums):
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    torch.export.save(torch.export.export(network, (torch.zeros(2, 3, 2, 2),)), tmp_path / "a.pt2")
    assert torch.equal(zoo.load(str(tmp_path / "a.pt2")).module.state_dict()["1.bias"], network[1].bias)


def test_files_of_other_kinds_say_what_they_are(tmp_path):
    for head, message in (
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"\x08\x07\x12\x07pytorch", "is neither a file of torch.save nor"),
    ):
        (tmp_path / "a.pth").write_bytes(head + b"x" * 100)
        with pytest.raises(BadCheckpoint, match=message):
            zoo.load(str(tmp_path / "a.pth"), arch="timm/resnet18")


def test_keys_that_take_for_ever_to_hash_are_refused_at_once(tmp_path):
    key = ()
    for _ in range(60):
        key = (key, key)
    content = types.SimpleNamespace(key=key)
    torch.save([content.key, 1], tmp_path / "a.pt")
    with pytest.raises(BadCheckpoint, match="nests tuples"):
        zoo.load(str(tmp_path / "a.pt"), arch="timm/resnet18")


def test_another_pickle_protocol_is_told_apart_from_code(tmp_path, right):
    torch.save(right, tmp_path / "a.pt", pickle_protocol=4)
    with pytest.raises(UnsafeCheckpoint, match="pickle_protocol=4"):
        zoo.load(str(tmp_path / "a.pt"), arch="timm/resnet18")


def test_classes_pickled_from_a_script_are_found_in_the_file_that_is_named(tmp_path):
    script = "import torch\nfrom torch import nn\n\nclass Net(nn.Sequential):\n    def __init__(self):\n"
    script += "        super().__init__(nn.Flatten(), nn.Linear(12, 3))\n"
    (tmp_path / "train.py").write_text(
        f'{script}\nif __name__ == "__main__":\n    torch.save(Net(), {str(tmp_path / "a.pt")!r})\n'
    )
    import subprocess
    import sys

    subprocess.run([sys.executable, str(tmp_path / "train.py")], check=True)
    with pytest.raises(UnsafeCheckpoint, match=r"__main__\.Net") as caught:
        zoo.load(str(tmp_path / "a.pt"))
    assert "--arch FILE.py:CLASS" in caught.value.hint
    model = zoo.load(str(tmp_path / "a.pt"), arch=f"{tmp_path}/train.py:Net", trust=True)
    assert model.module[1].weight.shape == (3, 12)
    assert sys.modules["__main__"].__name__ != "train"
