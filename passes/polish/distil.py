"""Distillation for a while: the steps, and what is kept of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from ..data.memory import Memory
from ..data.model import Images, InputSpec
from ..data.plan import Plan
from ..data.polishing import Polishing
from ..graphs.live import batch_within, made_bytes
from ..graphs.placement import device_of
from ..numerics.offload import TensorStore
from ..training.distillation import Teachers, loss
from ..training.norms import NORMS, measure_norms, settle_norms
from ..training.steps import learning_rate, optimizer_of
from ..training.worth import TEACHERS, Worth, tally, worth
from .images import Some

#: After which shares of the steps the network is measured on the held-out images. Before, the learning rate is so high
#: that what is measured is its noise, and the best of many noisy measurements is no good choice.
LOOKS = (0.5, 0.75, 1.0)
TEMPERATURE = 2.0
WEIGHT_DECAY = 0.01
#: Share of the steps in which the learning rate rises.
WARMUP = 0.2
#: Steps whose time is taken where a time is asked for. The first does not count: it is slower than those after it.
CLOCKED = 3
#: Images at once below which the statistics of a batch say too little, so that norms keep the ones they have.
FEW = 16

Progress = Callable[[int, int], None]


def polish(
    graph: GraphModule, plan: Plan, teachers: Sequence[int], *, steps: int | None, seconds: float | None, batch: int,
    lr: float, max_memory: int | None, progress: Progress | None,
) -> Polishing:  # fmt: skip
    """Trains `graph`, a copy of the plan's hybrid, in place. steps, seconds: one of both."""
    assert plan.images is not None
    began = time.monotonic()
    spec, memory = plan.input_of(plan.hybrid.chain), Memory.of(max_memory)
    models = [replace(plan.models[k], module=plan.graphs[k]) for k in teachers]
    place = device_of(graph)
    teacher = Teachers(models, spec, TEMPERATURE, place)
    size = batch_within(memory.running, graph, batch)
    shown, held = (
        _Shown(Some(plan.images, aside), spec, size, TensorStore(memory.parent_values, place))
        for aside in (False, True)
    )
    at_once = max(1, min(batch, memory.equations // max(1, made_bytes(graph))))
    training = _Training(graph, teacher, shown, held, min(batch, len(shown)), at_once, lr, plan.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(plan.seed)
        training.begin()
        if steps is None:
            assert seconds is not None
            steps = training.steps_within(seconds - (time.monotonic() - began))
        training.run(steps, progress)
    start, best = training.start.worth, training.best.worth
    return Polishing(
        tuple(model.name for model in models), len(shown), len(held), steps, training.batch, training.best.step,
        start.nats, start.right, best.nats, best.right,
    )  # fmt: skip


class _Shown:
    """Images as the network is fed them, in memory up to its share, beyond that in files."""

    def __init__(self, images: Images, spec: InputSpec, size: int, store: TensorStore):
        self._store = store
        self._size, self._batches = size, [store.put(x) for x in images.batches(spec, size)]
        self._count = sum(map(len, self._batches))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Tensor]:
        yield from (
            self._store.here(batch).clone() for batch in self._batches
        )  # a network may write to the images that it is given

    def of(self, indices: Tensor) -> Tensor:
        return torch.stack([self._store.here(self._batches[i // self._size][i % self._size]) for i in indices.tolist()])


@dataclass(frozen=True)
class _State:
    """The weights after so many steps, and what they are worth on the held-out images."""

    step: int
    worth: Worth
    weights: dict[str, Tensor]


@dataclass
class _Training:
    """batch: images of a step. at_once: of those that gradients are computed for together."""

    graph: GraphModule
    teacher: Teachers
    shown: _Shown
    held: _Shown
    batch: int
    at_once: int
    lr: float
    seed: int

    def begin(self) -> None:
        """Measures the network as it is, and makes its norms ready."""
        began = time.monotonic()
        self.graph.requires_grad_(True)
        self._told = [self.teacher(x, temperature=1.0) for x in self.held]
        self.start = self.best = self._state(0)
        self._seconds_of_a_look = time.monotonic() - began
        self._mode()
        settle_norms(self.graph, self.shown)

    def steps_within(self, seconds: float) -> int:
        """How many steps fit into a time, with the measurements on the way; one at least."""
        before, taken = _copy(self.graph), []
        for indices in self._drawn(CLOCKED):
            began = time.monotonic()
            self._gradient(indices)
            taken.append(time.monotonic() - began)
        self.graph.zero_grad(set_to_none=True)
        self.graph.load_state_dict(before)  # norms have counted these images
        left = seconds - sum(taken) - len(LOOKS) * self._seconds_of_a_look
        return max(1, int(left / max(min(taken[1:]), 1e-6)))

    def run(self, steps: int, progress: Progress | None) -> None:
        """All steps; the best weights are in the network then."""
        torch.manual_seed(self.seed)
        optimizer = optimizer_of(self.graph.parameters(), "adamw", lr=self.lr, weight_decay=WEIGHT_DECAY)
        looks = {round(steps * share) for share in LOOKS}
        for step, indices in enumerate(self._drawn(steps)):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.lr, step, steps, WARMUP * steps)
            self._gradient(indices)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            if step + 1 in looks:
                self._mode()
                measure_norms(self.graph, self.shown)
                found = self._state(step + 1)
                self.best = found if found.worth.better(self.best.worth) else self.best
            if progress:
                progress(step + 1, steps)
        self.graph.load_state_dict(self.best.weights)
        self.graph.eval().requires_grad_(False)

    def _mode(self) -> None:
        """Norms in training mode, all else in eval mode: on a few images nothing is dropped at random."""
        self.graph.eval()
        for module in self.graph.modules():
            if isinstance(module, NORMS) and min(self.at_once, self.batch) >= FEW:
                module.train()

    def _drawn(self, steps: int) -> Iterator[Tensor]:
        """The indices of the images of each step: all images in turn, and then in another order."""
        generator = torch.Generator().manual_seed(self.seed)
        waiting = torch.empty(0, dtype=torch.long)
        for _ in range(steps):
            if len(waiting) < self.batch:
                waiting = torch.randperm(len(self.shown), generator=generator)
            yield waiting[: self.batch]
            waiting = waiting[self.batch :]

    def _gradient(self, indices: Tensor) -> None:
        self._mode()
        x = altered(self.shown.of(indices))
        for part in x.split(self.at_once):
            taught = self.teacher(part)
            found = loss(
                self.graph(part).float(), taught.argmax(1), taught, smoothing=0.0, weight=1.0, temperature=TEMPERATURE
            )
            (found * (len(part) / len(x))).backward()

    @torch.no_grad()
    def _state(self, step: int) -> _State:
        self.graph.eval()
        told = zip(self.held, self._told, strict=True)
        tallies = [tally(self.graph(x).float(), None, said) for x, said in told]
        return _State(step, worth(TEACHERS, tallies), _copy(self.graph))


def altered(images: Tensor) -> Tensor:
    """Each image moved by up to an eighth of its side, what is uncovered being its edge, and mirrored or not."""
    height, width = images.shape[-2:]
    high, wide = height // 8, width // 8
    padded = nn.functional.pad(images, (wide, wide, high, high), mode="replicate")
    count = len(images)
    down, right = torch.randint(0, 2 * high + 1, (count,)), torch.randint(0, 2 * wide + 1, (count,))
    mirrored = torch.rand(count) < 0.5
    moved = [padded[k, :, down[k] : down[k] + height, right[k] : right[k] + width] for k in range(count)]
    return torch.stack([image.flip(-1) if mirrored[k] else image for k, image in enumerate(moved)])


def _copy(graph: GraphModule) -> dict[str, Tensor]:
    return {key: value.detach().clone() for key, value in graph.state_dict().items()}
