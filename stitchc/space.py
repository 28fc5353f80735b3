"""The chains that some models can be stitched to, as a space that other tools search: names, prices, scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from .device import moving, with_memory
from .keywords import with_options
from .options import CompileOptions
from .passes.data import metrics
from .passes.data.errors import InputError, QuantityError, StitchError
from .passes.data.float32 import in_full_precision
from .passes.data.options import options_of
from .progress import Progress, Silent
from .search import check_images, check_rank
from .searches.methods import nothing_to_join
from .searches.options import SpaceOptions
from .start import begin

if TYPE_CHECKING:
    import numpy as np

    from .passes.data.model import Model
    from .passes.data.plan import Plan
    from .passes.search.chain_space import ChainSpace
    from .passes.search.scores import Scores
    from .passes.search.space import Route


@with_options(SpaceOptions)
def space(*models: str | Path | Model, options: SpaceOptions, progress: Progress | None = None) -> Space:
    """The space of all chains of fragments of some models, to be searched by a tool of your own.

    models: one or more, by their words or loaded. Models are traced, cut and priced here; images are shown to them when
    something is first asked that needs it.

        s = stitchc.space("digits/resnet", "digits/small")
        ids = s.sample(1000, seed=0)                # "A:..stage1_2 / conv3x3 / B:stage1_1.."
        s.cost(ids, "macs", "params")               # exact, a hundred thousand a second
        s.score(ids[:10])                           # stitched, fitted, shown to images
        s.build(ids[0], out="hybrid/")              # compiled: healed, verified, written

    Raises:
        InputError: no models, or nothing joins them. ModelError: a model that cannot be loaded or traced. CutError: an
        unknown adapter.
    """
    from .passes import Cost, Partition, Pipeline, Trace, adapters
    from .passes.search.chain_space import ChainSpace
    from .passes.search.pool import Pool

    if not models:
        raise InputError("a space of no models was asked for", 'Name one or more: stitchc.space("a.pt", "b.pt").')
    check_rank(options.rank)
    names = list(dict.fromkeys(name for word in options.adapters for name in adapters.expand(word)))
    options = with_memory(options)
    watcher = progress or Silent()
    plan = begin(models, options, watcher)
    passes = [options.make(Trace), options.make(Partition), Cost(adapters=()), *moving(options.device)]
    plan = Pipeline(passes, callback=watcher)(plan)
    pool = Pool.of(plan, names, min_share=options.min_share, max_memory=options.max_memory)
    if not len(pool):
        raise nothing_to_join(names)
    return Space(ChainSpace(pool, options.fragments, options.repeats), options, watcher)


class Space:
    """All chains of at most so many fragments of some models, each named by a text, its id: the notation of `--chain`,
    `A:..stage1_0 / conv3x3 / B:features_4..`, models by their letters in the order given, cuts by their nodes, every
    adapter named. It follows from the models and their order alone; `in` says whether there is such a chain. Made by
    `stitchc.space`.

    It has as many chains as `len` says. To iterate over it gives all ids in an order that stays: the models as they
    are, chains of two fragments, chains of three; `space[k]` is the k-th of these.
    Everything that draws by chance takes a seed, and gives the same for it.
    """

    def __init__(self, chains: ChainSpace, options: SpaceOptions, progress: Progress):
        self._chains, self._options, self._progress = chains, options, progress

    @property
    def plan(self) -> Plan:
        """The models with their graphs, cuts and prices; operators that have no formula stand in `plan.uncounted`."""
        return self._chains.pool.plan

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics that `cost` knows: those that are no measurement."""
        return tuple(m.name for m in metrics.every() if m.combine != "measured" and m.computed_by == "cost")

    def __repr__(self) -> str:
        names = ", ".join(model.name for model in self.plan.models)
        return f"<space of {len(self):,} chains of at most {self._chains.most} fragments of {names}>"

    # -- ids

    def __len__(self) -> int:
        return len(self._chains)

    def __getitem__(self, number: int) -> str:
        return self._chains.name(self._chains.route(number + len(self) if number < 0 else number))

    def __iter__(self) -> Iterator[str]:
        return map(self._chains.name, self._chains)

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and bool(self._chains.routes([name]))
        except StitchError:
            return False

    def sample(self, count: int, seed: int = 0) -> list[str]:
        """Different ids, each chain as likely as any other; all of them, shuffled, where there are no more."""
        from .passes.search import moves

        return list(map(self._chains.name, moves.sample(self._chains, count, _generator(seed))))

    def neighbours(self, name: str) -> list[str]:
        """Ids of chains one step away: with another adapter at one seam, or with the cut that it leaves or enters moved
        to the next that can be joined. Of a model alone, the other models.

        Raises:
            InputError, CutError: no chain of this space.
        """
        from .passes.search import moves

        return list(map(self._chains.name, moves.neighbours(self._chains, self._route(name))))

    def mutate(self, name: str, seed: int) -> str:
        """Another id by chance: one seam with another adapter, leaving cut or entered cut; one time in ten, any chain.

        Raises:
            InputError, CutError: no chain of this space.
        """
        from .passes.search import moves

        return self._chains.name(moves.mutated(self._chains, self._route(name), _generator(seed)))

    def crossover(self, first: str, second: str, seed: int) -> str:
        """The beginning of one chain with the end of another, cut where these have their seams; where no adapter joins
        any such two, the first mutated.

        Raises:
            InputError, CutError: no chain of this space.
        """
        from .passes.search import moves

        a, b, generator = self._route(first), self._route(second), _generator(seed)
        made = moves.crossed(self._chains, a, b, generator)
        return self._chains.name(moves.mutated(self._chains, a, generator) if made is None else made)

    # -- vectors

    @property
    def dimensions(self) -> int:
        """How many numbers `encode` makes of a chain."""
        from .passes.search import vectors

        return vectors.dimensions(self._chains)

    def encode(self, name: str) -> np.ndarray:
        """A chain as numbers in [0, 1], float64 [dimensions]: the model of the first fragment, then for each seam the
        cut that is left (near 1: none), the cut that is entered and the adapter, each among what is possible after
        those before it.

        Raises:
            InputError, CutError: no chain of this space.
        """
        from .passes.search import vectors

        return vectors.encoded(self._chains, self._route(name))

    def decode(self, vector: Sequence[float] | np.ndarray) -> str:
        """The id of a vector, [dimensions]. Every vector is a chain, and `decode(encode(id))` is that id.

        Raises:
            InputError: another number of dimensions, or numbers that are not finite.
        """
        from .passes.search import vectors

        return self._chains.name(vectors.decoded(self._chains, vector))

    # -- figures

    @overload
    def cost(self, names: str, *of: str) -> dict[str, float]: ...  # type: ignore[overload-overlap]  # a text is one id
    @overload
    def cost(self, names: Sequence[str], *of: str) -> dict[str, np.ndarray]: ...
    def cost(self, names: str | Sequence[str], *of: str) -> dict[str, float] | dict[str, np.ndarray]:
        """What chains take in some metrics, in their units (params, macs, flops; size and memory in bytes), exactly as
        the artifacts will: in `of`, or in all of `metrics` where none is named. Of one id the amounts by metric, of
        several arrays by metric, [chains]. Nothing is built, and no image is shown.

        Raises:
            QuantityError: a metric that there is not, or that is measured. InputError, CutError: no chain of this
            space.
        """
        for metric in of:
            if metrics.get(metric).name not in self.metrics:
                raise QuantityError(
                    f"{metric} of a chain is measured, and not computed from its parts",
                    f"Here there are {', '.join(self.metrics)}. `build` the chain, and measure that.",
                )
        parsed = self._chains.parsed([names] if isinstance(names, str) else names)
        found = self._chains.prices.amounts(parsed.fragments, parsed.seams, of or self.metrics)
        return {name: column[0].item() for name, column in found.items()} if isinstance(names, str) else found

    @overload
    def similarity(self, names: str) -> float: ...  # type: ignore[overload-overlap]  # a text is one id
    @overload
    def similarity(self, names: Sequence[str]) -> np.ndarray: ...
    def similarity(self, names: str | Sequence[str]) -> float | np.ndarray:
        """How alike the values at the seams of chains are, by unbiased CKA on the images: of several seams the least;
        1 of a model alone. Of several ids float64 [chains]; NaN where it is undefined. The models are shown the images
        once, when it is first asked.

        Raises:
            InputError: no chain of this space, or images that say nothing of it.
        """
        return self._told(names, self._scores.similarity(self._routes(names)))

    @overload
    def score(self, names: str) -> float: ...  # type: ignore[overload-overlap]  # a text is one id
    @overload
    def score(self, names: Sequence[str]) -> np.ndarray: ...
    def score(self, names: str | Sequence[str]) -> float | np.ndarray:
        """How good chains are: each is stitched, its adapters are fitted in closed form on half of the images, and the
        network, unhealed, is scored on the others by the rule `rank`, as `search` scores chains. More is better; with
        the default rule it lies in [0, 1]. Of several ids float64 [chains]; ask for many at once, since what they share
        is computed once. Scores are kept.

        Raises:
            InputError: no chain of this space, or images that chains cannot be scored with.
        """
        check_images(self.plan, self._options.rank)
        with in_full_precision():
            return self._told(names, self._scores.score(self._routes(names), self._progress.update))

    @overload
    def expected(self, names: str) -> float: ...  # type: ignore[overload-overlap]  # a text is one id
    @overload
    def expected(self, names: Sequence[str]) -> np.ndarray: ...
    def expected(self, names: str | Sequence[str]) -> float | np.ndarray:
        """The scores that `search` would expect of chains, predicted from those that were scored so far, by similarity,
        depth and adapter of their seams; of few, from similarity and depth alone, which order chains but say nothing of
        the scale. Of several ids float64 [chains]. Scores nothing.

        Raises:
            InputError: no chain of this space, or images that chains cannot be scored with.
        """
        check_images(self.plan, self._options.rank)
        with in_full_precision():
            return self._told(names, self._scores.expected(self._routes(names)))

    def build(self, name: str, out: str | Path | None = None, **keywords: Any) -> Plan:
        """A chain made real: `stitchc.compile` with it as its chain, on the images of the space. The network is
        `plan.hybrid.graph`, healed and verified; with `out`, an artifact is written there.

        keywords: of `stitchc.compile`, such as `heal`, `polish`, `rivals` or `evaluate`.

        Raises:
            what `stitchc.compile` does.
        """
        from .compile import compile

        self._route(name)
        choosing = ("min_share", "effort")  # among chains, and this one is chosen
        shared = [o for o in options_of(CompileOptions) if o in options_of(SpaceOptions) and o not in choosing]
        given = {option: getattr(self._options, option) for option in shared}
        return compile(*self.plan.models, **{**given, "chain": name, "out": out, **keywords}, progress=self._progress)

    # --

    def _route(self, name: str) -> Route:
        return self._chains.routes([name])[0]

    def _routes(self, names: str | Sequence[str]) -> list[Route]:
        return self._chains.routes([names] if isinstance(names, str) else names)

    def _told(self, names: str | Sequence[str], found: np.ndarray) -> Any:
        return float(found[0]) if isinstance(names, str) else found

    @cached_property
    def _scores(self) -> Scores:
        from .passes.search.effort import SearchEffort
        from .passes.search.scores import Scores

        options = self._options
        return Scores(
            self._chains.pool, self._similarities, SearchEffort.of(options.effort), options.rank, options.max_memory
        )

    def _similarities(self) -> np.ndarray:
        from .cache import Store
        from .passes import Represent
        from .passes.search.losses import similarities

        show = self._options.make(Represent, store=Store("similarity"), progress=self._progress.update)
        return similarities(show(self.plan))


def _generator(seed: int) -> np.random.Generator:
    import numpy as np

    return np.random.default_rng(seed)
