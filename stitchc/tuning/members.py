"""A family while it is trained: which member a step trains, and what of it is kept for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..passes.data.errors import InputError
from ..passes.data.scores import chosen, logits_of
from ..passes.training.norms import NORMS, measure_norms
from ..passes.training.steps import check_weights
from ..passes.training.worth import Worth
from .loop import Loop


class FamilyTrainee(nn.Module):
    """A family in training. A step trains the smallest member, the largest and one at random, each on a third of its
    images (the sandwich rule of Yu and Huang 2019, arXiv 1903.05134, at the price of one member): among those that have
    something to train. Where no more than three have, each of them has its share.

    In eval mode all of these members run, and what the last gives is returned; of one member where `only` names it.
    trains: the names of the modules that train. members: of the members that have such modules.
    """

    trunk = 0  # members begin with other layers: there is no value that all of them could start from

    def __init__(self, family: nn.Module, steps: Mapping[str, Sequence[Any]], train: str):
        """steps: of each member what it runs, from the cheapest member on. train: "adapter" or "all"."""
        super().__init__()
        self.network = family.eval()
        parts = {step.module: step.part for run in steps.values() for step in run}
        self.whole = train == "all"
        self.trains = tuple(
            name for name, part in parts.items()
            if (self.whole or part.startswith("adapter")) and any(True for _ in family.get_submodule(name).parameters())
        )  # fmt: skip
        if not self.trains:
            raise InputError(
                "no adapter of the family has weights, and adapters alone are trained", "Train all: `train='all'`."
            )
        self.every = {name: family.member(name) for name in steps}  # type: ignore[operator]
        named = {name: {step.module for step in run} for name, run in steps.items()}
        self.members = tuple(name for name in steps if named[name] & set(self.trains))
        self.only: str | None = None
        held = {id(p) for name in self.trains for p in family.get_submodule(name).parameters()}
        for parameter in family.parameters():
            parameter.requires_grad_(id(parameter) in held)
        self.train()

    def train(self, mode: bool = True) -> FamilyTrainee:
        """Modules that stand still stay in eval mode."""
        super().train(mode)
        self.network.eval()
        for name in self.trains:
            self.network.get_submodule(name).train(mode)
        return self

    def forward(self, x: Tensor, cached: bool = False) -> Tensor:
        """Scores [n, classes] of images."""
        if self.only is not None:
            return self._scores(self.only, x)
        if not self.training:
            return [self._scores(name, x) for name in self.members][-1]
        chosen = self._drawn()
        dealt = zip(chosen, x.chunk(len(chosen)), strict=False)  # of few images some members get none
        return torch.cat([self._scores(name, part) for name, part in dealt])

    def _drawn(self) -> list[str]:
        if len(self.members) <= 3:
            return list(self.members)
        between = self.members[1:-1]
        return [self.members[0], between[int(torch.randint(len(between), ()))], self.members[-1]]

    def _scores(self, name: str, x: Tensor) -> Tensor:
        network = self.every[name]
        return logits_of(network(x), chosen(network))[0]

    @property
    def trained_params(self) -> int:
        """How many numbers train."""
        return sum(parameter.numel() for parameter in self.network.parameters() if parameter.requires_grad)

    def state(self) -> dict[str, Tensor]:
        """Every tensor that training may change, under each of its names."""
        state = self.network.state_dict()
        return {key: state[key] for key in state if key.split(".")[0] in self.trains}

    def groups(self) -> list[tuple[str, ...]]:
        """The members that train, in groups that have nothing that trains in common: the state of each can be chosen
        without the others."""
        found: list[tuple[list[str], set[int]]] = []
        for name in self.members:
            mine = {id(p) for p in self.every[name].parameters() if p.requires_grad}
            joined = [group for group in found if group[1] & mine]
            found = [group for group in found if not any(group is one for one in joined)]
            found.append(([n for names, _ in joined for n in names] + [name], mine.union(*(ids for _, ids in joined))))
        return [tuple(names) for names, _ in found]

    def keys_of(self, names: Sequence[str]) -> set[str]:
        """The keys of `state` that these members have."""
        modules = {step for name in names for step in self.every[name].steps}
        return {key for key in self.state() if key.split(".")[0] in modules}


@dataclass
class KeptMembers:
    """What a group of members is worth most with, so far. epoch: how many had gone by, 0 before the first. worth: of
    each member. weights: of the modules that train. statistics: of a member's own norms, where several share them."""

    epoch: int
    worth: dict[str, Worth]
    weights: dict[str, Tensor] = field(repr=False)
    statistics: dict[str, dict[str, Tensor]] = field(repr=False)

    @property
    def mean(self) -> Worth:
        return mean_of(self.worth.values())

    def as_dict(self) -> dict[str, Any]:
        """As a checkpoint has it: of types that can be read without running code."""
        return {**vars(self), "worth": {name: dict(vars(worth)) for name, worth in self.worth.items()}}

    @classmethod
    def of(cls, said: dict[str, Any]) -> KeptMembers:
        """From what `as_dict` said."""
        return cls(**{**said, "worth": {name: Worth(**worth) for name, worth in said["worth"].items()}})


class FamilyLoop(Loop):
    """The steps of a family's training. What is kept is what its members are worth most with, in the mean of a group of
    members that share what trains. before: what each was worth at first. best: of each group, in the trainee's order.

    Members that share trained norms have statistics of their own: each measures them on its own values.
    """

    trainee: FamilyTrainee  # type: ignore[assignment]

    def __init__(self, trainee: FamilyTrainee, *given: Any, **named: Any):
        super().__init__(trainee, *given, **named)  # type: ignore[arg-type]
        self.before: dict[str, Worth] = {}
        self.best: list[KeptMembers] = []

    def load(self, snapshot: dict[str, Any]) -> None:
        super().load(snapshot)
        self.before = {name: Worth(**worth) for name, worth in snapshot["before_members"].items()}
        self.best = [KeptMembers.of(said) for said in snapshot["best_members"]]
        for kept in self.best:
            check_weights(kept.weights, self.trainee.network.state_dict())
            for name, statistics in kept.statistics.items():
                check_weights(statistics, dict(self.trainee.every[name].named_buffers()))

    def snapshot(self) -> dict[str, Any]:
        said = {name: dict(vars(worth)) for name, worth in self.before.items()}
        return {**super().snapshot(), "before_members": said, "best_members": [one.as_dict() for one in self.best]}

    def _keep_if_better(self) -> Worth:
        groups = self.trainee.groups()
        statistics: dict[str, dict[str, Tensor]] = {}
        if self.state.epoch and self.trainee.whole:
            statistics = {name: self._own_statistics(name) for name in self.trainee.members}
        worth = {name: self._worth_of(name, statistics.get(name, {})) for name in self.trainee.members}
        if not self.state.epoch:
            self.before = worth
        state = {key: value.detach().clone() for key, value in self.trainee.state().items()}
        for index, names in enumerate(groups):
            now = {name: worth[name] for name in names}
            if index < len(self.best) and not mean_of(now.values()).better(self.best[index].mean):
                continue
            kept = KeptMembers(
                self.state.epoch, now, {key: state[key] for key in self.trainee.keys_of(names)},
                {name: statistics[name] for name in names if name in statistics},
            )  # fmt: skip
            self.best[index : index + 1] = [kept]
        return mean_of(worth.values())

    def _own_statistics(self, name: str) -> dict[str, Tensor]:
        """What the norms of a member that train see when it alone runs. Those of the family are as they were after."""
        network = self.trainee.every[name]
        norms = {path: norm for path, norm in network.named_modules() if isinstance(norm, NORMS)}
        buffers = {f"{path}.{key}": value for path, norm in norms.items() for key, value in norm.named_buffers()}
        before = {key: value.clone() for key, value in buffers.items()}
        self.trainee.train()
        measure_norms(network, self._some())
        found = {key: value.clone() for key, value in buffers.items() if not torch.equal(value, before[key])}
        _write(buffers, before)
        return found

    def _worth_of(self, name: str, statistics: Mapping[str, Tensor]) -> Worth:
        buffers = dict(self.trainee.every[name].named_buffers())
        before = {key: buffers[key].clone() for key in statistics}
        _write(buffers, statistics)
        self.trainee.only = name
        try:
            return self._worth()
        finally:
            self.trainee.only = None
            _write(buffers, before)

    def _back_to_best(self) -> None:
        for kept in self.best:
            self.trainee.network.load_state_dict(kept.weights, strict=False)
        for kept in self.best:
            for name, worth in kept.worth.items():
                start = self.before[name]
                which = f"epoch {kept.epoch}" if kept.epoch and not start.better(worth) else "the untuned weights"
                self.progress.tell(f"{name}: {which}, {self._of_held_out(worth if worth.better(start) else start)}")

    @property
    def enough_since(self) -> int:
        """Epochs since any group was better."""
        return self.state.epoch - max((kept.epoch for kept in self.best), default=0)

    def _enough(self) -> bool:
        return self.settings.patience is not None and self.enough_since >= self.settings.patience


@torch.no_grad()
def _write(buffers: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    for key, value in values.items():
        buffers[key].copy_(value)


def mean_of(found: Any) -> Worth:
    """What several members are worth in the mean."""
    every = list(found)
    right, nats = (sum(getattr(one, key) for one in every) / len(every) for key in ("right", "nats"))
    return Worth(every[0].by, right, nats)
