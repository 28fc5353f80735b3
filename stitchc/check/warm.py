"""What takes seconds to import, imported once in the process that all others are forked from."""

import warnings
from contextlib import suppress
from importlib import import_module

warnings.simplefilter("ignore")
for _name in ("onnx", "onnxruntime", "onnxscript", "torchvision", "timm", "stitchc.check.steps"):
    import_module(_name)

with suppress(ImportError):
    from tqdm.std import TqdmDefaultWriteLock

    TqdmDefaultWriteLock.mp_lock = None  # a semaphore, which processes that are killed would leave behind


def one_thread() -> None:
    """Makes torch compute on one thread."""
    import torch

    torch.set_num_threads(1)


one_thread()
