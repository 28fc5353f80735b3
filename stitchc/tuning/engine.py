"""Where a training runs: one device, or many processes that `torchrun` has started.

One device needs torch alone. For many there is Lightning Fabric (`stitchc[tune]`): it has no global state, unlike
accelerate, takes `torchrun`'s word for where each process stands, and leaves the loop to us.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..device import resolve
from ..passes.data.errors import InputError

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Engine(Protocol):
    """rank, world: of this process, and how many there are. device: where its tensors belong."""

    rank: int
    world: int
    device: torch.device

    def setup(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]: ...

    def autocast(self) -> AbstractContextManager: ...

    def alone(self, module: nn.Module, last: bool) -> AbstractContextManager:
        """Within, gradients are not exchanged unless it is the last part of a step."""
        ...

    def backward(self, loss: Tensor) -> None: ...

    def step(self, module: nn.Module, optimizer: Any, clip: float | None) -> None: ...

    def sum(self, values: Tensor) -> Tensor:
        """Summed over all processes."""
        ...

    def state(self) -> dict[str, Any]: ...

    def load(self, state: dict[str, Any]) -> None: ...

    def wait(self) -> None:
        """For all other processes."""
        ...


class OneDevice:
    """Training in one process, on one device."""

    rank, world = 0, 1

    def __init__(self, device: torch.device, precision: str):
        self.device = device
        self.dtype = _DTYPES.get(precision)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16" and device.type == "cuda")

    def setup(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        return module, optimizer

    def autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, self.dtype) if self.dtype else nullcontext()

    def alone(self, module: nn.Module, last: bool) -> AbstractContextManager:
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def step(self, module: nn.Module, optimizer: Any, clip: float | None) -> None:
        if clip is not None:
            self.scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(module.parameters(), clip)
        self.scaler.step(optimizer)
        self.scaler.update()

    def sum(self, values: Tensor) -> Tensor:
        return values

    def state(self) -> dict[str, Any]:
        return self.scaler.state_dict()

    def load(self, state: dict[str, Any]) -> None:
        self.scaler.load_state_dict(state)

    def wait(self) -> None:
        pass


class Processes:
    """Lightning Fabric over the processes of `torchrun`, each with its own device."""

    def __init__(self, device: str, precision: str):
        try:
            from lightning_fabric import Fabric
        except ImportError as error:
            raise InputError(
                "training in several processes needs Lightning Fabric", "Install it: pip install 'stitchc[tune]'"
            ) from error
        here, world = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), int(os.environ["WORLD_SIZE"])
        kind = resolve(device).type
        self.fabric = Fabric(
            accelerator="gpu" if kind == "cuda" else kind,
            strategy="ddp",
            devices=here,
            num_nodes=world // here,
            precision={"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[precision],  # type: ignore[arg-type, unused-ignore]
        )
        self.fabric.launch()
        self.rank, self.world, self.device = self.fabric.global_rank, self.fabric.world_size, self.fabric.device

    def setup(self, module: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        return self.fabric.setup(module, optimizer)

    def autocast(self) -> AbstractContextManager:
        return self.fabric.autocast()

    @contextmanager
    def alone(self, module: nn.Module, last: bool) -> Iterator[None]:
        with self.fabric.no_backward_sync(module, enabled=not last):  # type: ignore[arg-type, unused-ignore]
            yield

    def backward(self, loss: Tensor) -> None:
        self.fabric.backward(loss)

    def step(self, module: nn.Module, optimizer: Any, clip: float | None) -> None:
        if clip is not None:
            self.fabric.clip_gradients(module, optimizer, max_norm=clip)
        optimizer.step()

    def sum(self, values: Tensor) -> Tensor:
        return self.fabric.all_reduce(values, reduce_op="sum")  # type: ignore[return-value, unused-ignore]

    def state(self) -> dict[str, Any]:
        return dict(self.fabric._precision.state_dict())  # the scale of fp16; Fabric has no other way to it

    def load(self, state: dict[str, Any]) -> None:
        self.fabric._precision.load_state_dict(state)

    def wait(self) -> None:
        self.fabric.barrier()


def engine(device: str, precision: str) -> Engine:
    """One device, or the processes that `torchrun` says there are.

    Raises:
        InputError: a device that this machine does not have; fp16 on a processor; several processes without the extra.
    """
    place = resolve(device)
    if precision == "fp16" and place.type == "cpu":
        raise InputError("fp16 is for graphics processors", "Take `precision='bf16'`, or fp32.")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return Processes(device, precision)
    return OneDevice(place, precision)
