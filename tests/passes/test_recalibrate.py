"""BatchNorms of the back get the statistics of what reaches them, and keep them only if that helps."""

import copy
from dataclasses import replace

import torch
from fitted import IMAGES, stitched
from nets import Residual, Small, randomised
from torch import Tensor, nn

from stitchc.passes import Recalibrate


def trained(model: nn.Module) -> nn.Module:
    """The model with the statistics that its own images give it, as training leaves it."""
    model = randomised(model)
    for norm in norms(model).values():
        norm.momentum = None
        norm.reset_running_stats()
    with torch.no_grad():
        model.train()(IMAGES)
    return model.eval()


def disturbed(plan):
    """The plan with a hybrid whose back has the statistics of other values."""
    graph = copy.deepcopy(plan.hybrid.graph)
    for name, buffer in graph.named_buffers():
        if name.startswith("back.") and "running_" in name:
            buffer.mul_(4).add_(3)
    return plan.with_hybrid(replace(plan.hybrid, graph=graph))


def norms(graph):
    return {name: m for name, m in graph.named_modules() if isinstance(m, nn.BatchNorm2d)}


def test_norms_behind_the_adapter_get_the_statistics_of_what_reaches_them():
    plan = disturbed(stitched(trained(Small()), trained(Small()), "stem", "stem", "linear"))
    seen: list[Tensor] = []
    done = Recalibrate(batch=80)(plan)
    first = next(iter(name for name in norms(done.hybrid.graph) if name.startswith("back")))
    hook = norms(done.hybrid.graph)[first].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    fitted_on = torch.arange(len(IMAGES)) % 5 != 4
    with torch.no_grad():
        done.hybrid.graph(IMAGES[fitted_on])
    hook.remove()
    norm = norms(done.hybrid.graph)[first]
    torch.testing.assert_close(norm.running_mean, seen[0].mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(norm.running_var, seen[0].var((0, 2, 3), unbiased=False), rtol=1e-4, atol=1e-5)
    assert "Recalibrating 2 BatchNorms of Small" in done.notes[-1] and "%" in done.notes[-1]


def test_the_front_and_the_weights_stay_as_they_are_and_so_does_the_plan():
    plan = disturbed(stitched(trained(Small()), trained(Small()), "stem", "stem", "linear"))
    before = {k: v.clone() for k, v in plan.hybrid.graph.state_dict().items()}
    done = Recalibrate()(plan)
    assert all(torch.equal(v, before[k]) for k, v in plan.hybrid.graph.state_dict().items())
    changed = {k for k, v in done.hybrid.graph.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and all(k.startswith("back.") and "running_" in k for k in changed)


def test_statistics_that_do_not_help_are_left_as_they_are():
    model = randomised(Small())
    plan = stitched(model, model, "stem", "stem", "linear")  # is itself already
    done = Recalibrate()(plan)
    assert done.hybrid.graph is plan.hybrid.graph and "left as they were" in done.notes[-1]


class Functional(Small):
    """Its norms are calls of a function, as timm's BatchNormAct2d is recorded."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.Sequential(FunctionalNorm(4), Residual(4))


class FunctionalNorm(nn.BatchNorm2d):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(
            nn.functional.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.1, self.eps
            )
        )


def test_norms_that_are_functions_are_recalibrated_too():
    plan = disturbed(stitched(randomised(Small()), randomised(Functional()), "stem", "stem", "linear"))
    done = Recalibrate()(plan)
    assert "Recalibrating 2 BatchNorms" in done.notes[-1]


def test_a_back_without_any_says_so():
    plan = stitched(randomised(Small()), randomised(Small()), "stem", "flatten", "linear")
    assert "no BatchNorm in Small" in Recalibrate()(plan).notes[-1]
