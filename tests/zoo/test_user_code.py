"""A user's Python file is run as if by itself: what it needs is found, and nothing of it stays behind in ours."""

import logging
import os
import random
import signal
import sys
import textwrap
import warnings

import numpy as np
import pytest
import torch

from stitchc import zoo
from stitchc.passes.data.errors import ModelError
from stitchc.passes.data.float32 import rounding

NET = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
"""


def write(folder, text):
    (folder / "nets.py").write_text(textwrap.dedent(text))


@pytest.mark.parametrize(
    "text",
    [
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('data')\nargs = p.parse_args()\n",
        "import sys\nsys.exit(0)\n",
        "raise SystemExit\n",
        "exit()\n",
    ],
)
def test_a_file_that_ends_the_program_is_refused_with_that_reason(tmp_path, text):
    write(tmp_path, text + NET)
    with pytest.raises(ModelError, match=r"nets.py ends the program.*line .* of nets.py") as caught:
        zoo.load(f"{tmp_path}/nets.py:net")
    assert "__main__" in caught.value.hint


@pytest.mark.parametrize("call", ["net", "make"])
def test_a_callable_that_ends_the_program_is_refused_too(tmp_path, call):
    write(tmp_path, f"import sys\ndef {call}():\n    sys.exit(0)\n")
    with pytest.raises(ModelError, match=rf"nets.py:{call} ends the program"):
        zoo.load(f"{tmp_path}/nets.py:{call}")


def test_options_of_a_script_have_their_defaults_whatever_ours_are(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["stitchc", "inspect", "--classes", "9"])
    write(
        tmp_path,
        """
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--classes", type=int, default=3)
        args = parser.parse_args()
        from torch import nn
        def net():
            return nn.Linear(2, args.classes)
    """,
    )
    assert zoo.load(f"{tmp_path}/nets.py:net").module.out_features == 3
    assert sys.argv[0] == "stitchc"


@pytest.mark.parametrize(
    "line", ["from models.blocks import head", "from .blocks import head", "from . import blocks\nhead = blocks.head"]
)
def test_a_file_of_a_package_finds_its_package(tmp_path, line):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("")
    (tmp_path / "models" / "blocks.py").write_text("from torch import nn\ndef head():\n    return nn.Linear(4, 3)\n")
    (tmp_path / "models" / "net.py").write_text(f"{line}\ndef net():\n    return head()\n")
    assert zoo.load(f"{tmp_path}/models/net.py:net").module.out_features == 3


def test_two_packages_of_one_name_do_not_meet(tmp_path):
    for name, classes in (("a", 3), ("b", 5)):
        folder = tmp_path / name / "models" / "parts"
        folder.mkdir(parents=True)
        for package in (folder, folder.parent):
            (package / "__init__.py").write_text("")
        (folder.parent / "blocks.py").write_text(f"CLASSES = {classes}\n")
        (folder / "net.py").write_text(
            "from torch import nn\nfrom ..blocks import CLASSES\ndef net():\n    return nn.Linear(4, CLASSES)\n"
        )
    found = [zoo.load(f"{tmp_path}/{name}/models/parts/net.py:net").module.out_features for name in "aba"]
    assert found == [3, 5, 3]


def test_a_package_that_has_the_name_of_a_loaded_one_is_told(tmp_path):
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / "__init__.py").write_text("")
    (tmp_path / "timm" / "net.py").write_text(NET)
    import timm  # noqa: F401

    with pytest.raises(ModelError, match="another of that name is loaded already"):
        zoo.load(f"{tmp_path}/timm/net.py:net")


def process():
    """What belongs to the whole process."""
    of_torch = torch.get_default_dtype(), torch.is_grad_enabled(), torch.get_num_threads()
    others = os.getcwd(), list(sys.path), list(sys.argv), sys.stdout, list(warnings.filters)
    exactly = torch.are_deterministic_algorithms_enabled(), torch.is_anomaly_enabled(), rounding()
    heard = logging.root.level, list(logging.root.handlers), logging.root.manager.disable
    return *of_torch, *exactly, *heard, signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), *others


def test_nothing_of_a_file_stays_behind(tmp_path):
    write(tmp_path, textwrap.dedent("""
        import logging, os, random, signal, sys
        import numpy as np
        import torch
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        torch.manual_seed(3)
        np.random.seed(3)
        random.seed(3)
        os.chdir("/")
        sys.path.append("/nowhere")
        sys.stdout = open(os.devnull, "w")
        torch.set_num_threads(torch.get_num_threads() + 1)
        torch.use_deterministic_algorithms(True)
        torch.set_float32_matmul_precision("medium")
        torch.backends.cudnn.conv.fp32_precision = "ieee"
        torch.autograd.set_detect_anomaly(True)
        logging.basicConfig(level=logging.DEBUG, force=True)
        logging.disable(logging.INFO)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        __import__("warnings").simplefilter("error")
    """) + NET)  # fmt: skip
    states = [torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()]
    before = process()
    model = zoo.load(f"{tmp_path}/nets.py:net")
    assert model.module[0].weight.dtype == torch.float64, "it got what it asked for"
    assert before == process()
    after = [torch.random.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()]
    assert torch.equal(states[0], after[0]) and states[1:] == after[1:]


def test_a_network_that_a_file_has_made_is_named_like_a_function(tmp_path):
    write(tmp_path, NET + "made = net()\n")
    model = zoo.load(f"{tmp_path}/nets.py:made")
    assert model.name == "made" and model.module(torch.zeros(1, 3, 8, 8)).shape == (1, 3)
    with pytest.raises(ModelError, match="no parameter `pretrained`"):
        zoo.load(f"{tmp_path}/nets.py:made?weights=none")


def test_random_numbers_of_every_kind_are_seeded(tmp_path):
    write(tmp_path, """
        import random
        import numpy as np
        import torch
        from torch import nn
        def net():
            made = nn.Linear(2, 2)
            made.weight.data = torch.tensor(np.random.rand(2, 2) + random.random(), dtype=torch.float32)
            return made
    """)  # fmt: skip
    assert len({zoo.load(f"{tmp_path}/nets.py:net").sha256 for _ in range(2)}) == 1


def test_a_file_that_asks_its_user_is_refused(tmp_path):
    write(tmp_path, "name = input('which? ')\n" + NET)
    with pytest.raises(ModelError, match="EOFError"):
        zoo.load(f"{tmp_path}/nets.py:net")


def test_modules_made_lazily_get_their_shapes_and_take_weights(tmp_path):
    write(tmp_path, """
        from torch import nn
        def net():
            return nn.Sequential(nn.LazyConv2d(4, 3), nn.Flatten(), nn.LazyLinear(3))
    """)  # fmt: skip
    words = f"{tmp_path}/nets.py:net?input=3x8x8"
    model = zoo.load(words)
    assert model.module[2].weight.shape == (3, 144) and model.sha256 == zoo.load(words).sha256
    assert model.notes == ("its lazily made layers (0, 2) have random weights",)
    state = {key: value + 1 for key, value in model.module.state_dict().items()}
    torch.save(state, tmp_path / "a.pt")
    filled = zoo.load(f"{tmp_path}/a.pt", arch=words)
    assert torch.equal(filled.module[0].bias, state["0.bias"]) and not any("lazily" in one for one in filled.notes)


def test_the_place_that_is_told_is_the_user_s_own(tmp_path):
    write(tmp_path, "from torch import nn\ndef net():\n    return nn.Linear('x', 3)\n")
    with pytest.raises(ModelError, match=r"line 3 of nets\.py"):
        zoo.load(f"{tmp_path}/nets.py:net")


@pytest.mark.parametrize(
    "said",
    [
        "def class_names(name):\n    return ['ant', 'bee', name]\n",
        "class_names = ('ant', 'bee', 'net')\n",
        "class_names = {2: 'net', 0: 'ant', 1: 'bee'}\n",
        "class Said:\n    id2label = {0: 'ant', 1: 'bee', 2: 'net'}\n\nnn.Sequential.config = Said\n",
        "nn.Sequential.names = {0: 'ant', 1: 'bee', 2: 'net'}\n",
    ],
)
def test_a_file_or_its_network_says_what_the_outputs_mean(tmp_path, said, monkeypatch):
    for name in ("config", "names"):
        monkeypatch.setattr(torch.nn.Sequential, name, None, raising=False)
    write(tmp_path, NET + said)
    assert zoo.load(f"{tmp_path}/nets.py:net").class_names == ("ant", "bee", "net")


def test_names_that_are_numbers_say_nothing_and_what_names_none_is_refused(tmp_path):
    write(tmp_path, NET + "class_names = ['LABEL_0', 'LABEL_1']\n")
    with pytest.raises(ModelError, match=r"nets.py:class_names is a list that names no classes"):
        zoo.load(f"{tmp_path}/nets.py:net")
    write(tmp_path, NET + "class_names = {'ant': 0, 'bee': 1}\n")
    with pytest.raises(ModelError, match="names no classes") as caught:
        zoo.load(f"{tmp_path}/nets.py:net")
    assert "a list with the name of a class for each output" in caught.value.hint
