"""What takes seconds to import, imported once in the process that all others are forked from."""

import warnings
from contextlib import suppress

warnings.simplefilter("ignore")

import onnx
import onnxruntime
import onnxscript
import timm
import torch
import torch.onnx._internal.exporter._core
import torchvision

from . import steps


with suppress(ImportError):
    from tqdm.std import TqdmDefaultWriteLock

    TqdmDefaultWriteLock.mp_lock = None  # a semaphore, which processes that are killed would leave behind


def one_thread() -> None:
    torch.set_num_threads(1)


one_thread()
__all__ = ["onnx", "onnxruntime", "onnxscript", "one_thread", "steps", "timm", "torch", "torchvision"]
