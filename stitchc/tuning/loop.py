"""The steps of a training, from where it stands to its end.

Every random number of a step (its images, what dropout drops) follows from the seed, the epoch and the step alone, and
so does the learning rate. What is left to keep is the weights, the optimizer and how far it got.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..passes.data.errors import Diverged, InputError
from ..passes.training import distillation
from ..passes.training.distillation import Teachers
from ..passes.training.norms import measure_norms, settle_norms
from ..passes.training.steps import check_weights, learning_rate, optimizer_of, put_back
from ..passes.training.worth import LABELS, TEACHERS, Worth, nothing, tally, worth
from ..progress import Progress
from ..report.numbers import count, duration, percent
from ..zoo.sampling import draw
from .engine import Engine
from .features import Features
from .layout import fastest, laid_out, lay_out
from .parts import Trainee
from .settings import Settings
from .state import Kept, State, Sums
from .views import Views, batches_of, normalised

_EVALUATED = 256  # images a forward pass when nothing is learned
_SETTLED = 1024  # images that the statistics of norms are taken from, at most
_SHOWN = 0.2  # seconds between two words on how it goes


class Loop:
    """Trains `trainee` on `views`. taught: what the teachers say of every version of every image, where that is kept.

    save: writes what `snapshot` returns; called every `every` seconds, of several processes at the end of an epoch.
    """

    def __init__(
        self,
        trainee: Trainee,
        views: Views,
        settings: Settings,
        engine: Engine,
        *,
        held: Views | None = None,
        teachers: Teachers | None = None,
        features: Features | None = None,
        taught: Features | None = None,
        workers: int = 0,
        every: float = 60.0,
        save: Callable[[dict[str, Any]], None] = lambda _: None,
        progress: Progress,
    ):
        self.trainee, self.views, self.settings, self.engine = trainee, views, settings, engine
        self.held, self.teachers, self.features, self.taught = held, teachers, features, taught
        self.workers, self.every, self.save, self.progress = workers, every, save, progress
        self.state = State()
        trainee.to(engine.device)
        self._layout = torch.contiguous_format
        self._layout = fastest(trainee, self._shown(views, torch.arange(min(2, len(views)))))
        lay_out(trainee.train(), self._layout)
        self.optimizer: Any = optimizer_of(
            trainee.parameters(), settings.optimizer,
            lr=settings.lr, weight_decay=settings.weight_decay, momentum=settings.momentum,
        )  # fmt: skip
        self.by = LABELS if settings.learns_labels else TEACHERS
        self._told: list[Tensor] | None = None  # what the teachers say of the held-out images, once they were asked
        self.steps = len(batches_of(torch.arange(len(views)), settings.batch))

    def load(self, snapshot: dict[str, Any]) -> None:
        """Go on from there.

        Raises:
            ValueError: it is of another network, or of another optimizer.
        """
        state = State.of(snapshot["state"])
        for weights in (snapshot["weights"], *([state.best.weights] if state.best else [])):
            check_weights(weights, self.trainee.network.state_dict())
        self.state = state
        self.trainee.network.load_state_dict(snapshot["weights"], strict=False)
        put_back(self.optimizer, snapshot["optimizer"]["state"])
        self.engine.load(snapshot["engine"])

    def go_on(self, snapshot: dict[str, Any] | None, folder: Path) -> int:
        """Goes on from a snapshot, where there is one, and says so. folder: where it lay. How many steps were done
        before."""
        if not snapshot:
            return 0
        try:
            self.load(snapshot)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise InputError(
                f"the unfinished training in {folder} is of another network: {error}", "Drop it with `restart=True`."
            ) from error
        done = self.state.epoch * self.steps + self.state.step
        self.progress.tell(f"Going on after {done} of {self.settings.epochs * self.steps} steps, from {folder}.")
        return done

    def snapshot(self) -> dict[str, Any]:
        """All that going on needs."""
        return {
            "state": self.state.as_dict(),
            "weights": self.trainee.state(),
            "optimizer": self.optimizer.state_dict(),
            "engine": self.engine.state(),
        }

    def run(self) -> None:
        """To the last epoch, or until patience is at its end; then what was best on the held-out images is back."""
        settings, state = self.settings, self.state
        module, self.optimizer = self.engine.setup(self.trainee, self.optimizer)
        self.saved = time.monotonic()
        if not state.epoch and not state.step:
            self._begin()
        with torch.random.fork_rng():
            while state.epoch < settings.epochs and not self._enough():
                self._epoch(module)
                self._finish_epoch()
        self._back_to_best()
        lay_out(self.trainee, torch.contiguous_format)
        self.trainee.eval()

    def _back_to_best(self) -> None:
        """The network as it was worth most on the held-out images."""
        best = self.state.best
        if best is not None:
            self.trainee.network.load_state_dict(best.weights, strict=False)
            self.progress.tell(self._verdict(best))

    def _begin(self) -> None:
        if self.held is not None:
            self.state.start = self._keep_if_better()
            self.progress.tell(f"Before: {self._of_held_out(self.state.start)}")
        self.trainee.train()
        settle_norms(self.trainee, self._some())

    def _some(self) -> Iterator[Tensor]:
        """Images that are trained on, as the network is fed them, to take the statistics of norms from."""
        count = min(len(self.views), _SETTLED)
        for indices in (torch.arange(count) * len(self.views) // count).split(_EVALUATED):
            yield self._shown(self.views, indices)

    def _enough(self) -> bool:
        return self.settings.patience is not None and self.state.stale >= self.settings.patience

    def _epoch(self, module: nn.Module) -> None:
        state, settings, engine = self.state, self.settings, self.engine
        module.train()
        batches = batches_of(self.views.order(state.epoch), settings.batch)[state.step :]
        self.started, self.shown, self.seen = time.monotonic(), 0.0, 0
        self._sums = Sums(state.sums, engine.device)
        for parts in self._drawn(batches):
            for group in self.optimizer.param_groups:
                group["lr"] = self._rate_at(state.epoch * self.steps + state.step)
            torch.manual_seed(draw(draw(settings.seed, state.epoch), state.step * engine.world + engine.rank) >> 1)
            total = sum(len(labels) for _, labels, _ in parts)
            for number, (x, labels, taught) in enumerate(parts):
                with engine.alone(module, last=number == len(parts) - 1):
                    with engine.autocast():
                        scores = module(x, self.features is not None)
                    loss = self._loss(scores.float(), labels, taught)
                    engine.backward(loss * (len(labels) / total))
                self._sums.add(loss.detach(), scores, labels)
            engine.step(module, self.optimizer, settings.clip)
            self.optimizer.zero_grad(set_to_none=True)
            state.step += 1
            self._tell(total)
            if engine.world == 1 and self._is_time():
                self._read_sums()
                self._save()

    def _read_sums(self) -> None:
        """Raises:
        Diverged: the loss became infinite, or no number, since they were read last.
        """
        self.state.sums = self._sums.read()
        self._finite(self.state.sums[0])

    def _rate_at(self, step: int) -> float:
        settings, total = self.settings, self.settings.epochs * self.steps
        return learning_rate(settings.lr, step, total, settings.warmup * self.steps, settings.schedule)

    def _finite(self, loss: float, said: str = "the loss became {} in epoch {}", epoch: int | None = None) -> float:
        if not math.isfinite(loss):
            when = self.state.epoch + 1 if epoch is None else epoch
            raise Diverged(
                f"{said.format(loss, when)}, at a learning rate of {self.settings.lr:g}",
                "Lower `lr`, or bound the gradient with `clip=1`.",
            )
        return loss

    def _drawn(self, batches: list[Tensor]) -> Iterator[list[tuple[Tensor, Tensor, Tensor | None]]]:
        """For every step the parts that gradients are accumulated over: input, labels, teachers' probabilities."""
        engine, epoch = self.engine, self.state.epoch
        cut = [chunk[engine.rank :: engine.world] for b in batches for chunk in b.chunk(self.settings.accumulate)]
        sizes = [len(b.chunk(self.settings.accumulate)) for b in batches]
        made = self._from_features(cut) if self.features is not None else self._from_images(cut, epoch)
        for size in sizes:
            yield [next(made) for _ in range(size)]

    def _from_images(self, cut: list[Tensor], epoch: int) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        device = self.engine.device
        for pixels, labels, _ in self.views.batches(epoch, cut, device, self.workers):
            x = laid_out(normalised(pixels, self.views.spec), self._layout)
            yield x, labels, self.teachers(x) if self.teachers else None

    def _from_features(self, cut: list[Tensor]) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        assert self.features is not None
        device, epoch = self.engine.device, self.state.epoch
        for indices in cut:
            versions: Tensor | int = 0
            if self.features.versions > 1:
                versions = self.views.flipped(epoch, indices).long()
            x = laid_out(self.features.of(indices, versions).to(device), self._layout)
            taught = self.taught.of(indices, versions).to(device) if self.taught is not None else None
            yield x, self.views.labels(indices).to(device), taught

    def _loss(self, scores: Tensor, labels: Tensor, taught: Tensor | None) -> Tensor:
        settings = self.settings
        return distillation.loss(
            scores, labels, taught,
            smoothing=settings.smoothing, weight=settings.distill_weight, temperature=settings.temperature,
        )  # fmt: skip

    def _finish_epoch(self) -> None:
        self._read_sums()
        state = self.state
        loss, hits, images = self.engine.sum(torch.tensor(state.sums, dtype=torch.float64)).tolist()
        state.epoch, state.step, state.sums = state.epoch + 1, 0, [0.0, 0.0, 0.0]
        self.trainee.train()
        measure_norms(self.trainee, self._some())
        held = self._keep_if_better() if self.held is not None else None
        labelled = self.views.images.labels is not None
        state.history.append({
            "epoch": state.epoch, "loss": loss / images, "accuracy": hits / images if labelled else None,
            "holdout": held and held.right, "holdout_nats": held and held.nats,
            "lr": self._rate_at(state.epoch * self.steps - 1),
        })  # fmt: skip
        self.progress.tell(self._summary())
        if self.engine.rank == 0 and self._is_time():
            self._save()

    def _is_time(self) -> bool:
        return time.monotonic() - self.saved >= self.every

    def _save(self) -> None:
        self.save(self.snapshot())
        self.saved = time.monotonic()

    def _keep_if_better(self) -> Worth:
        """What the network is worth on the held-out images. It is kept where it is worth most so far, or as much: the
        learning rate falls, and of epochs that these images do not tell apart the last is the best guess."""
        state, found = self.state, self._worth()
        if state.best is None or found.better(state.best.worth) or self._as_good(found):
            weights = {key: value.detach().clone() for key, value in self.trainee.state().items()}
            state.best = Kept(state.epoch, found, weights)
        return found

    def _as_good(self, found: Worth) -> bool:
        """Whether, by the teachers, it is better than the untrained network and as good as the best epoch within about
        a standard error (the rule of Breiman et al., Classification and Regression Trees, 1984). Divergences of single
        images were seen to scatter by 0.8 to 2.2 times their mean; epochs, which err on the same images, differ by less
        than that says, so once the mean is taken."""
        assert self.state.start is not None and self.held is not None
        least = min((entry["holdout_nats"] for entry in self.state.history), default=math.inf)
        return (
            self.by == TEACHERS
            and found.better(self.state.start)
            and found.nats <= least * (1 + len(self.held) ** -0.5)
        )

    @torch.no_grad()
    def _worth(self) -> Worth:
        """What the network is worth on the held-out images, as it is now."""
        assert self.held is not None
        self.trainee.eval()
        taught = self._taught() if self.by == TEACHERS else None
        tallies = [nothing(self.by)]
        for number, (indices, x) in enumerate(self._held_out()):
            labels, said = (self.held.labels(indices), None) if taught is None else (None, taught[number])
            tallies.append(tally(self.trainee(x).float().cpu(), labels, said))
        self.trainee.train()
        found = worth(self.by, [self.engine.sum(torch.stack(tallies).sum(0))])
        self._finite(found.nats, "the loss on held-out images became {} after epoch {}", self.state.epoch)
        return found

    def _held_out(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Batches of the held-out images of this process: indices, and the input of the network."""
        assert self.held is not None
        for indices in torch.arange(len(self.held))[self.engine.rank :: self.engine.world].split(_EVALUATED):
            yield indices, self._shown(self.held, indices)

    def _shown(self, views: Views, indices: Tensor) -> Tensor:
        """Images without augmentation, as the network is fed them."""
        return laid_out(normalised(views.plain(indices).to(self.engine.device), views.spec), self._layout)

    def _taught(self) -> list[Tensor]:
        """The teachers' probabilities of the held-out images."""
        assert self.teachers is not None
        if self._told is None:
            self._told = [self.teachers(x, temperature=1.0).cpu() for _, x in self._held_out()]
        return self._told

    # -- what is said meanwhile ------------------------------------------------------------------------------------

    def _tell(self, images: int) -> None:
        self.seen += images * self.engine.world
        now = time.monotonic()
        if now - self.shown < _SHOWN:
            return
        self.shown = now
        self._read_sums()
        state = self.state
        loss, hits, seen = state.sums
        done = state.epoch * self.steps + state.step
        accuracy = f", accuracy {percent(hits / seen)}" if self.views.images.labels is not None else ""
        self.progress.update(
            done, self.settings.epochs * self.steps,
            f"epoch {state.epoch + 1}/{self.settings.epochs}: loss {loss / seen:.3f}{accuracy}, {self._rate(now)}",
        )  # fmt: skip

    def _rate(self, now: float) -> str:
        speed = self.seen / max(now - self.started, 1e-9)
        left = (self.settings.epochs - self.state.epoch) * self.steps - self.state.step
        return f"{count(speed)} images/s, {duration(left * self.settings.batch / max(speed, 1e-9))} left"

    def _summary(self) -> str:
        entry = self.state.history[-1]
        said = [f"loss {entry['loss']:.4f}"]
        if entry["accuracy"] is not None:
            said.append(f"accuracy {percent(entry['accuracy'])} in training")
        if entry["holdout"] is not None:
            said.append(self._of_held_out(Worth(self.by, entry["holdout"], entry["holdout_nats"])))
        return f"epoch {entry['epoch']}/{self.settings.epochs}: {', '.join(said)}, {self._rate(time.monotonic())}"

    def _of_held_out(self, found: Worth) -> str:
        assert self.held is not None
        if found.by == TEACHERS:
            return f"divergence {found.nats:.4f} from the teacher on {len(self.held)} held-out images"
        return f"accuracy {percent(found.right)} on {len(self.held)} held-out images"

    def _verdict(self, best: Kept) -> str:
        if not best.epoch:
            return "No epoch is better on the held-out images: the untuned weights are kept."
        return f"Epoch {best.epoch} is kept: {self._of_held_out(best.worth)}."
