"""Models by name: what comes with the module, and what is said when there is none."""

import textwrap
import time

import pytest
import torch

from stitchc import zoo
from stitchc.passes.data.errors import BadCheckpoint, ModelError, WeightsUnavailable
from stitchc.passes.data.model import InputSpec
from stitchc.zoo import weights


def test_torchvision_models_come_with_the_transform_of_their_weights():
    model = zoo.load("torchvision/resnet18?weights=none")
    assert model.input == InputSpec(
        (3, 224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bilinear", crop=224 / 256
    )
    assert (model.name, model.licence, model.classes) == ("torchvision/resnet18", "BSD-3-Clause", 1000)
    assert model.accuracy is None, "random weights have no accuracy"
    assert not model.module.training
    small = zoo.load("torchvision/mobilenet_v3_small?weights=none&num_classes=7").module
    assert small(torch.zeros(1, 3, 64, 64)).shape == (1, 7)


def test_a_weights_entry_chooses_the_transform():
    first = zoo.load("torchvision/resnet50@IMAGENET1K_V1?weights=none").input
    second = zoo.load("torchvision/resnet50?weights=none").input
    assert (first.crop, second.crop) == (224 / 256, 224 / 232)


def test_timm_models_come_with_their_own_configuration():
    model = zoo.load("timm/resnet18.a1_in1k?weights=none")
    assert model.input == InputSpec((3, 224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic", crop=0.95)
    assert model.arch == "timm/resnet18.a1_in1k?num_classes=1000"


def test_an_input_size_reaches_architectures_whose_parameters_depend_on_it():
    model = zoo.load("timm/vit_tiny_patch16_224?weights=none&input=1x64x64&num_classes=5")
    assert model.input.size == (1, 64, 64) and len(model.input.mean) == 1
    assert model.module(torch.zeros(2, 1, 64, 64)).shape == (2, 5)


@pytest.mark.slow
def test_torchvisions_transformers_take_their_image_size():
    model = zoo.load("torchvision/vit_b_32?weights=none&input=3x64x64&num_classes=2")
    assert model.module(torch.zeros(1, 3, 64, 64)).shape == (1, 2)


def test_random_initialisation_is_the_same_each_time_and_leaves_no_trace():
    torch.manual_seed(7)
    first = zoo.load("timm/resnet18?weights=none")
    after = torch.rand(1)
    torch.manual_seed(8)
    second = zoo.load("timm/resnet18?weights=none")
    assert first.sha256 == second.sha256 and len(first.sha256) == 64
    torch.manual_seed(7)
    assert torch.equal(after, torch.rand(1)), "loading used up the caller's random numbers"


def test_the_hash_is_that_of_names_shapes_types_and_bytes():
    state = {"b": torch.ones(2, 3), "a": torch.arange(4)}
    same = {"a": torch.arange(4), "b": torch.ones(3, 2).t()}
    assert weights.sha256(state) == weights.sha256(same)
    others = [
        {**state, "b": torch.ones(3, 2)},
        {**state, "b": torch.ones(2, 3).double()},
        {"b": state["b"], "c": state["a"]},
    ]
    assert len({weights.sha256(other) for other in [state, *others]}) == 4
    assert weights.sha256({"x": torch.ones(2, dtype=torch.bfloat16), "y": torch.tensor(3)})


def test_options_win_over_what_the_source_says():
    model = zoo.load("torchvision/resnet18?weights=none&input=3x64x64&mean=0.5&std=0.1,0.2,0.3&name=mine")
    assert model.name == "mine"
    assert model.input.size == (3, 64, 64) and model.input.crop == 224 / 256
    assert model.input.mean == (0.5, 0.5, 0.5) and model.input.std == (0.1, 0.2, 0.3)
    with pytest.raises(ModelError, match="mean has 2 numbers, but the input has 3 channels"):
        zoo.load("torchvision/resnet18?weights=none&mean=0.5,0.5")


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ("timm/resnet188", "'resnet188' is no architecture of timm", "'resnet18'"),
        ("timm/resnet18.foo", "no tag 'foo'", "a1_in1k"),
        ("torchvision/resnett50", "'resnett50' is no classification model", "'resnet50'"),
        ("torchvision/resnet50@V9", "no weights 'V9'", "IMAGENET1K_V2"),
        ("digits/resnett", "'digits/resnett' is no network", "'digits/resnet'"),
        ("digits/resnet?input=3x8x8", "images of one channel", "Leave input= out"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest_ones(words, message, hint):
    with pytest.raises(ModelError) as caught:
        zoo.load(words)
    assert message in caught.value.message and hint in caught.value.hint


@pytest.mark.parametrize(
    "words", ["timm/resnet18.a1_in1k", "timm/resnet18", "timm/hf-hub:owner/name", "torchvision/squeezenet1_1"]
)
def test_offline_a_pretrained_name_fails_at_once_with_the_ways_out(words, offline):
    start = time.perf_counter()
    with pytest.raises(WeightsUnavailable) as caught:
        zoo.load(words)
    assert time.perf_counter() - start < 5
    assert "?weights=none" in caught.value.hint and "--arch" in caught.value.hint
    assert words in caught.value.message


def test_offline_state_is_put_back(offline):
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    with pytest.raises(WeightsUnavailable):
        zoo.load("timm/resnet18")
    assert before == constants.HF_HUB_OFFLINE


def test_an_architecture_that_nobody_trained_says_so(offline):
    with pytest.raises(WeightsUnavailable, match="timm has none for it"):
        zoo.load("timm/botnet50ts_256")


def test_cached_weights_serve_offline(offline):
    from torchvision import models

    offline.mkdir(parents=True)
    trained = models.squeezenet1_1(weights=None).state_dict()
    torch.save(trained, offline / "squeezenet1_1-b8a52dc0.pth")
    model = zoo.load("torchvision/squeezenet1_1")
    assert model.sha256 == weights.sha256(trained)
    assert model.accuracy == pytest.approx(0.58178)
    other = zoo.load("torchvision/squeezenet1_1?num_classes=4")
    assert other.accuracy is None and "classifier.1.weight" in other.notes[0]
    (offline / "squeezenet1_1-b8a52dc0.pth").write_bytes(b"half a fi")
    with pytest.raises(BadCheckpoint, match="squeezenet1_1-b8a52dc0"):
        zoo.load("torchvision/squeezenet1_1")


NETS = """
from dataclasses import dataclass
from pieces import WIDTH            # lies beside this file
from torch import nn

@dataclass
class Config:
    width: int = WIDTH

def small():
    return nn.Sequential(nn.Conv2d(3, Config().width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def make(name, pretrained=True, num_classes=10):
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, num_classes))
    if pretrained:
        nn.init.ones_(net[1].weight)
    return net

def broken():
    return 1 / 0

def nothing():
    return None
"""

SPEC = """
def input_spec(name):
    return {"a": ((3, 8, 8), (0.1, 0.2, 0.3), (1, 1, 1)), "wrong": ((3, 8, 8), (0.1,), (1,))}[name]
"""


@pytest.fixture
def nets(tmp_path):
    (tmp_path / "pieces.py").write_text("WIDTH = 4\n")
    path = tmp_path / "nets.py"
    path.write_text(textwrap.dedent(NETS))
    return path


def test_a_users_file_is_run_with_what_lies_beside_it(nets):
    import sys

    before = list(sys.path)
    model = zoo.load(f"{nets}:small")
    assert model.name == "small" and model.module(torch.zeros(2, 3, 8, 8)).shape == (2, 4)
    assert set(model.input.assumed) == {"size", "mean", "std", "interpolation", "crop"}
    assert model.input.size == (3, 224, 224)
    assert model.sha256 == zoo.load(f"{nets}:small").sha256, "its random numbers are seeded"
    assert sys.path == before


def test_two_folders_may_each_have_their_own_neighbours(nets, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "pieces.py").write_text("WIDTH = 9\n")
    (other / "nets.py").write_text(nets.read_text())
    widths = [zoo.load(f"{path}:small").module[0].out_channels for path in (nets, other / "nets.py", nets)]
    assert widths == [4, 9, 4]


def test_input_spec_of_a_users_file_is_asked_by_the_name_in_the_call(nets):
    nets.write_text(nets.read_text() + SPEC)
    model = zoo.load(f'{nets}:make("a")')
    assert model.name == "a"
    assert model.input == InputSpec((3, 8, 8), (0.1, 0.2, 0.3), (1.0, 1.0, 1.0), assumed=("interpolation", "crop"))
    with pytest.raises(ModelError, match="1 means and 1 deviations for 3 channels"):
        zoo.load(f'{nets}:make("wrong")')
    with pytest.raises(ModelError, match="KeyError: 'b'"):
        zoo.load(f'{nets}:make("b")')
    stated = zoo.load(f'{nets}:make("b")?input=3x8x8&mean=0&std=1')
    assert stated.input.assumed == ("interpolation", "crop")


def test_options_are_passed_on_to_a_users_factory(nets):
    trained, fresh = (zoo.load(f'{nets}:make("x"){query}').module[1].weight for query in ("", "?weights=none"))
    assert bool((trained == 1).all()) and not bool((fresh == 1).any())
    assert zoo.load(f'{nets}:make("x")?num_classes=3').module[1].out_features == 3
    with pytest.raises(ModelError, match="no parameter `pretrained` or `weights`"):
        zoo.load(f"{nets}:small?weights=none")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("make(open('x'))", "neither a name nor a call with plain values"),
        ("make(__import__('os').system('true'))", "neither a name nor a call with plain values"),
        ("make.more('x')", "neither a name nor a call"),
        ("make('x'", "neither a name nor a call"),
        ("mak", "has no callable 'mak'"),
        ("broken", "ZeroDivisionError: division by zero .line"),
        ("nothing", "returns a NoneType"),
        ("make()", "cannot be called: missing a required argument: 'name'"),
    ],
)
def test_calls_that_make_no_model_are_refused(nets, call, message):
    with pytest.raises(ModelError, match=message):
        zoo.load(f"{nets}:{call}")


def test_a_missing_or_faulty_file_of_code_is_one_clear_message(tmp_path, nets):
    with pytest.raises(BadCheckpoint, match="there is no file") as caught:
        zoo.load(f"{tmp_path}/net.py:small")
    assert "nets.py" in caught.value.hint
    nets.write_text("def small(:\n")
    with pytest.raises(ModelError, match="failed with SyntaxError"):
        zoo.load(f"{nets}:small")


@pytest.mark.shared
def test_real_networks_of_a_users_file(shared):
    model = zoo.load(f'{shared}/models/nets.py:make("cifar10_resnet8_mlperf_tiny")')
    assert model.input.size == (3, 32, 32) and model.input.std == (1 / 255,) * 3
    images = zoo.images(f"tar:{shared}/data/cifar10_jpeg.tar.xz?split=test&limit=500")
    with torch.no_grad():
        guesses = torch.cat([model.module(batch).argmax(1) for batch in images.batches(model.input, 250)])
    assert (guesses == images.labels).float().mean() > 0.7
