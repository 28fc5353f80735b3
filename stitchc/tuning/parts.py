"""What of a stitched network trains, and what stands still."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..passes.data.errors import InputError
from ..passes.data.scores import chosen, logits_of


class Trainee(nn.Module):
    """A stitched network while it is trained.

    Its parts are its children, in the order of the chain. Those before the first part that trains are its trunk: they
    are run without gradients, or not at all when what they compute is given.

    trains: the names of the parts that train. trunk: how many parts lie before all of them; 0 where the network is not
    simply one part after the other.
    """

    def __init__(self, network: nn.Module, train: str, probe: Tensor):
        """probe: a few images, on which it is checked that the parts in a row are the network."""
        super().__init__()
        self.network = network.eval()
        names = [name for name, _ in network.named_children()]
        self.whole = train == "all"
        self.trains = _trained(names, train)
        held = {name for name, _ in network.named_parameters() if self._learns(name)}
        if not held:
            raise InputError(
                f"nothing trains in the mode '{train}': the artifact has no weights there",
                "An adapter without weights of its own trains with what follows it: `train='back'`.",
            )
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name in held)
        still = next((index for index, name in enumerate(names) if name in self.trains), 0)
        self.trunk = still if still and _in_a_row(network, probe) else 0
        self.train()

    def _learns(self, key: str) -> bool:
        return self.whole or key.split(".")[0] in self.trains

    def train(self, mode: bool = True) -> Trainee:
        """Parts that stand still stay in eval mode: their BatchNorm keeps the statistics that they were trained with,
        and nothing in them is dropped at random."""
        super().train(mode)
        self.network.train(mode and self.whole)
        for name in self.trains if mode else ():
            self.network.get_submodule(name).train()
        return self

    def features(self, images: Tensor) -> Tensor:
        """What the trunk makes of images: the value at the first cut that has something to train after it."""
        with torch.no_grad():
            for part in list(self.network.children())[: self.trunk]:
                images = part(images)
        return images

    def forward(self, x: Tensor, cached: bool = False) -> Tensor:
        """Scores [n, classes] of images, or of what the trunk made of them."""
        if not self.trunk:
            return logits_of(self.network(x), chosen(self.network))[0]
        if not cached:
            x = self.features(x)
        for part in list(self.network.children())[self.trunk :]:
            x = part(x)
        return x

    @property
    def trained_params(self) -> int:
        """How many numbers train."""
        return sum(parameter.numel() for parameter in self.network.parameters() if parameter.requires_grad)

    def state(self) -> dict[str, Tensor]:
        """Every tensor that training may change: parameters and statistics of the parts that train."""
        state = self.network.state_dict()
        return {key: state[key] for key in state if self._learns(key)}


def _trained(names: Sequence[str], train: str) -> tuple[str, ...]:
    adapters = [name for name in names if name.startswith("adapter")]
    fragments = [name for name in names if name not in adapters]
    with_them = {"adapter": [], "front": fragments[:1], "back": fragments[1:], "all": fragments}[train]
    return tuple(name for name in names if name in adapters or name in with_them)


@torch.no_grad()
def _in_a_row(network: nn.Module, probe: Tensor) -> bool:
    x = probe
    try:
        for part in network.children():
            x = part(x)
    except Exception:  # whatever a part says of an input that is not its own
        return False
    return torch.equal(x, network(probe))
