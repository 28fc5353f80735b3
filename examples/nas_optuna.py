"""Chains of few multiply-adds and a good score, of those that score 0.7 at least, found with Optuna.

NSGA-II asks for vectors, each of which is a chain. Unless `known=False` it is given others too: of the chains that cost
as much as a step of the front the one that is expected to score best, and neighbours of the front.
"""

import numpy as np
import optuna

import stitchc

FLOOR, OWN, GIVEN = 0.7, 4, 8  # the constraint; of a round the trials of NSGA-II, and at most so many of each kind


def front(figures):
    found = [(0, FLOOR, "")]  # of {id: (cost, score)} those that score more than all that cost no more
    for cost, less, name in sorted((cost, -score, name) for name, (cost, score) in figures.items()):
        found += [(cost, -less, name)] if -less > found[-1][1] else []
    return found[1:]


def promising(space, macs, figures):
    ids = list(macs)
    if not figures:  # at first the most similar seam of every range of costs
        parts, alike = np.array_split(np.argsort([*macs.values()]), 2 * GIVEN), space.similarity(ids)
        return [ids[part[np.argmax(np.nan_to_num(alike[part]))]] for part in parts]
    left = [name for name in ids if name not in figures]
    costs, scores, names = zip((0, FLOOR, ""), *front(figures), strict=True)
    step = np.searchsorted(costs, [macs[name] for name in left], side="right") - 1
    gains = dict(zip(left, space.expected(left) - np.array(scores)[step], strict=True))
    best = {at: name for at, name in sorted(zip(step, left, strict=True), key=lambda one: gains[one[1]])}
    near = {other for name in names[1:] for other in space.neighbours(name)} & gains.keys() - {*best.values()}
    return [name for kind in (best.values(), near) for name in sorted(kind, key=lambda n: (-gains[n], n))[:GIVEN]]


def search(space, share=0.2, seed=0, known=True):  # {id: (multiply-adds, score)}, of that share of the space
    figures, most = {}, int(share * len(space))
    macs = dict(zip(space, space.cost(list(space), "macs")["macs"].tolist(), strict=True))
    cube = {f"x{k}": optuna.distributions.FloatDistribution(0, 1) for k in range(space.dimensions)}
    nsga = optuna.samplers.NSGAIISampler(population_size=24, seed=seed)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=nsga)
    while len(figures) < most:
        given = promising(space, macs, figures) if known else []
        for name in given:
            study.enqueue_trial(dict(zip(cube, space.encode(name).tolist(), strict=True)))
        asked = [study.ask(cube) for _ in range(len(given) + OWN)]
        trials = [(trial, space.decode([trial.params[axis] for axis in cube])) for trial in asked]
        new = list(dict.fromkeys(name for _, name in trials if name not in figures))[: most - len(figures)]
        figures |= {name: (macs[name], score) for name, score in zip(new, space.score(new).tolist(), strict=True)}
        for trial, name in (one for one in trials if one[1] in figures):
            trial.set_constraint("score", FLOOR - figures[name][1])
            study.tell(trial, figures[name])
    return figures


if __name__ == "__main__":
    space = stitchc.space("digits/plain", "digits/small", adapters=("linear", "conv3x3"))
    for cost, score, name in front(search(space)):
        print(f"{cost:>12,} MACs  {score:.4f}  {name}")
