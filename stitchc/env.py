"""What a bug report needs of the machine: versions, platform, threads, devices. No names of users, hosts or folders."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from . import __version__

_PACKAGES = [
    "torch",
    "torchvision",
    "timm",
    "numpy",
    "safetensors",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "onnxsim",
    "networkx",
    "click",
    "rich",
    "pillow",
]
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


def versions() -> dict[str, str | None]:
    """The versions that decide what comes out: Python, stitchc, the packages it stands on; None if not installed."""
    return {"python": platform.python_version(), "stitchc": __version__, **{name: _version(name) for name in _PACKAGES}}


def environment() -> dict[str, Any]:
    """The document of `stitchc env`. Imports torch to ask for its devices."""
    found: dict[str, Any] = {
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "libc": " ".join(platform.libc_ver()).strip() or None,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }
    try:
        found |= _torch()
    except Exception as error:  # a torch that cannot be imported is just what a bug report must say
        found["torch_error"] = f"{type(error).__name__}: {error}"
    return found | {
        "versions": versions(),
        "variables": {name: os.environ[name] for name in _THREADS if name in os.environ},
    }


def _torch() -> dict[str, Any]:
    import torch

    devices = ["cpu"]
    devices += [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    devices += ["mps"] * torch.backends.mps.is_available()
    return {"threads": torch.get_num_threads(), "devices": devices, "cuda": torch.version.cuda}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
