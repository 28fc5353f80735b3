"""What a family does at run time. The text of these classes becomes a part of `model.py`, so they need torch alone."""

from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Member:
    """One network of a family: what it takes for one image, and the modules that it runs, one after the other."""

    name: str
    macs: int
    params: int
    size_bytes: int
    memory_bytes: int
    steps: tuple[str, ...]

    @property
    def flops(self) -> int:
        """Two a multiply-add."""
        return 2 * self.macs


class MemberNetwork(nn.Module):
    """One member alone. Its modules are the family's own: what trains it trains what it shares with others."""

    def __init__(self, family: nn.Module, member: Member):
        super().__init__()
        self.steps = member.steps
        for step in dict.fromkeys(member.steps):
            setattr(self, step, getattr(family, step))
        self.training = family.training

    def forward(self, x: Tensor) -> Tensor:
        """x [batch, channels, height, width], as the family takes it."""
        for step in self.steps:
            x = getattr(self, step)(x)
        return x


class Switched(nn.Module):
    """Several networks that share modules, of which one, the current member, runs. At first it is the largest.

    members: by name, from the cheapest to the most expensive. input_size: (channels, height, width) of an image.
    latency_ms: of members by name, once they were measured.

    Any thread may switch at any time: it is one assignment, and a forward pass reads it once.
    """

    def __init__(self, members: tuple[Member, ...], input_size: tuple[int, int, int]):
        super().__init__()
        self.members = {member.name: member for member in members}
        self.input_size = input_size
        self.latency_ms: dict[str, float] = {}
        self._current = members[-1]

    @property
    def current(self) -> Member:
        """The member that runs."""
        return self._current

    def forward(self, x: Tensor) -> Tensor:
        """x [batch, channels, height, width]: what the current member gives for it."""
        for step in self._current.steps:
            x = getattr(self, step)(x)
        return x

    def outputs(self, x: Tensor, *names: str) -> dict[str, Tensor]:
        """What several members give for the same images, by their names; of all without names. A beginning that members
        have in common runs once, so that this is one network with several ends. The current member stays.

        Raises:
            ValueError: there is no such member.
        """
        members = [self._named(name) for name in names] or list(self.members.values())
        return self._branches(x, {member.name: member.steps for member in members})

    def _branches(self, x: Tensor, steps: dict[str, tuple[str, ...]]) -> dict[str, Tensor]:
        """Of members that have come to a value, what they give. steps: what each has still to run."""
        found = {name: x for name, left in steps.items() if not left}
        after: dict[str, dict[str, tuple[str, ...]]] = {}
        for name, left in steps.items():
            if left:
                after.setdefault(left[0], {})[name] = left[1:]
        alone = len(found) + len(after) == 1
        for step, group in after.items():  # a layer may write over what it is given
            found |= self._branches(getattr(self, step)(x if alone else x.clone()), group)
        return found

    def member(self, name: str) -> MemberNetwork:
        """A member alone, with the family's own weights: to be compiled, traced, exported or trained.

        Raises:
            ValueError: there is no such member.
        """
        return MemberNetwork(self, self._named(name))

    def set_member(self, name: str) -> Member:
        """Switches to a member.

        Raises:
            ValueError: there is no such member.
        """
        self._current = member = self._named(name)
        return member

    def set_budget(self, *, hysteresis: float = 0.0, **limits: float) -> Member:
        """Switches to the largest member within limits, such as `macs=12e6`: on macs, flops, params, size_bytes,
        memory_bytes, or latency_ms once `measure_latency` ran.

        hysteresis: the share of each limit that a member larger than the current one must leave free. So a limit that
        moves to and fro about what a member takes does not switch to and fro. A current member that is over a limit is
        left at once, whatever the hysteresis.

        Raises:
            ValueError: no member is within the limits, which says the nearest, or a hysteresis that is no share; the
                current one stays.
        """
        if not 0.0 <= hysteresis < 1.0:
            raise ValueError(f"hysteresis is a share of the limit, at least 0 and below 1, not {hysteresis}")
        chosen = self._largest_within(limits)
        if chosen is None:
            raise ValueError(self._none_within(limits))
        current = self._current
        if hysteresis and chosen is not current and self._is_within(current, limits):
            names = list(self.members)
            roomy = self._largest_within({metric: (1.0 - hysteresis) * limit for metric, limit in limits.items()})
            grows = roomy is not None and names.index(roomy.name) > names.index(current.name)
            chosen = roomy if roomy is not None and grows else current
        self._current = chosen
        return chosen

    def fit_latency(
        self, ms: float, example: Tensor | None = None, *, runs: int = 20, hysteresis: float = 0.0
    ) -> Member:
        """Measures the members where the family is, and switches to the largest that takes at most `ms` milliseconds.
        The figures stay, so that `set_budget(latency_ms=...)` needs no new ones.

        example, runs: as `measure_latency`. Raises: as `set_budget` and `measure_latency`.
        """
        self.measure_latency(example, runs=runs)
        return self.set_budget(latency_ms=ms, hysteresis=hysteresis)

    def measure_latency(self, example: Tensor | None = None, *, runs: int = 20) -> dict[str, float]:
        """Milliseconds that each member takes: the median of `runs` runs, on the device where the family is. The
        current member stays, and other threads may run it meanwhile.

        example: the batch to measure with; one image of noise without.

        Raises:
            ValueError: the family is in training mode, where a run would change it.
        """
        if self.training:
            raise ValueError("a run in training mode changes the network: call eval() before measuring")
        if example is None:
            like = next(self.parameters())
            noise = torch.randn(1, *self.input_size, generator=torch.Generator().manual_seed(0))
            example = noise.to(like.device, like.dtype)
        self.latency_ms = {name: _milliseconds(self.member(name), example, runs) for name in self.members}
        return self.latency_ms

    def _named(self, name: str) -> Member:
        if name not in self.members:
            raise ValueError(f"the family has no member {name!r}; it has {', '.join(self.members)}")
        return self.members[name]

    def _largest_within(self, limits: dict[str, float]) -> Member | None:
        self._check(limits)
        return next((one for one in reversed(self.members.values()) if self._is_within(one, limits)), None)

    def _is_within(self, member: Member, limits: dict[str, float]) -> bool:
        return all(self._amount(member, metric) <= limit for metric, limit in limits.items())

    def _amount(self, member: Member, metric: str) -> float:
        return self.latency_ms[member.name] if metric == "latency_ms" else getattr(member, metric)

    def _check(self, limits: dict[str, float]) -> None:
        if not limits:
            raise ValueError("no limit was given: set_budget(macs=12e6)")
        for metric in limits:
            if metric not in ("macs", "flops", "params", "size_bytes", "memory_bytes", "latency_ms"):
                known = "macs, flops, params, size_bytes, memory_bytes and latency_ms"
                raise ValueError(f"a budget cannot limit {metric!r}; it can limit {known}")
            if metric == "latency_ms" and not self.latency_ms:
                raise ValueError("no latency was measured: call measure_latency() or fit_latency(ms)")

    def _none_within(self, limits: dict[str, float]) -> str:
        asked = " and ".join(f"{metric} {limit:,.10g}" for metric, limit in limits.items())
        least = []
        for metric in limits:
            member = min(self.members.values(), key=lambda one: self._amount(one, metric))
            least.append(f"{member.name} takes {metric} {self._amount(member, metric):,.10g}")
        return f"no member of the family is within {asked}; {', '.join(least)}"

    def _share(self, shared: dict[str, str]) -> None:
        """Puts modules and parameters in the place of others. shared: a path, and that of what takes its place."""
        for here, there in shared.items():
            (owner, _, name), (source, _, given) = here.rpartition("."), there.rpartition(".")
            setattr(self.get_submodule(owner), name, getattr(self.get_submodule(source), given))


@torch.inference_mode()
def _milliseconds(network: nn.Module, example: Tensor, runs: int) -> float:
    def once() -> float:
        begun = perf_counter()
        network(example)
        if example.device.type != "cpu":
            torch.accelerator.synchronize()
        return 1000 * (perf_counter() - begun)

    for _ in range(3):
        once()
    return median(once() for _ in range(runs))
