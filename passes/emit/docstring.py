"""The docstring at the top of `model.py`: what the network is, from what, and what its input must be."""

from __future__ import annotations

from ..data import metrics
from ..data.chain import Fragment
from ..data.hybrid import Hybrid
from ..data.model import Model
from ..data.plan import Plan
from ..data.values import Price


def describe(plan: Plan) -> str:
    """What came from where. No date and no path, so that the same plan gives the same text."""
    lines = [_title(plan), "", *_rows([*parts(plan).items()])]
    lines += [""]
    facts = [("input", _input(first_model(plan)))]
    facts.append(("pixels", _pixels(first_model(plan))))
    price = plan.hybrid.price
    if price:
        facts.append(("takes", _amounts(price)))
    facts += [("licence", text) for text in _licences(plan)]
    lines += _rows(facts)
    lines += ["", "The weights lie in model.safetensors beside this file. Written by stitchc; needs torch alone:", ""]
    return "\n".join(lines) + "\n    from model import load\n    logits = load()(images)\n"


def _rows(rows: list[tuple[str, str]]) -> list[str]:
    return [f"{name:<8} {text}" for name, text in rows]


def _amounts(price: Price) -> str:
    """Exact amounts of the metrics that a sentence names."""
    told = [metric for metric in metrics.every() if metric.phrase and metric.name in price]
    return ", ".join(f"{price[metric.name]:,} {metric.phrase}" for metric in told)


def _title(plan: Plan) -> str:
    names = list(dict.fromkeys(m.name for m in used_models(plan)))
    return f"{names[0]}." if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}, stitched."


def used_models(plan: Plan) -> list[Model]:
    """The models of the fragments, in order."""
    members = plan.hybrid.members or (plan.hybrid,)
    return [plan.models[fragment.model] for one in members for fragment in one.chain.fragments]


def first_model(plan: Plan) -> Model:
    """The model of the first fragment, whose input the hybrid takes."""
    return used_models(plan)[0]


def parts(plan: Plan) -> dict[str, str]:
    """What each part of the chain is, by the name that it has in the stitched graph."""
    if not plan.hybrid.members:
        return _parts(plan, plan.hybrid)
    described = {"vote": "the mean of the members' probabilities"}
    for member in plan.hybrid.members:
        described |= {f"{member.name}.{name}": text for name, text in _parts(plan, member).items()}
    return described


def _parts(plan: Plan, hybrid: Hybrid) -> dict[str, str]:
    uses = iter(hybrid.adapters)
    described = {}
    for part in hybrid.chain.parts():
        if part.fragment is None:
            use = next(uses)
            described[part.name] = f"{use.name}, {use.price['params']:,} parameters"
        else:
            span = _span(plan, part.fragment)
            described[part.name or "model"] = f"{plan.models[part.fragment.model].name}, {span}"
    return described


def _span(plan: Plan, part: Fragment) -> str:
    start, end = (_cut(plan, part.model, cut) for cut in (part.start, part.end))
    if start and end:
        return f"after {start}, up to {end}"
    if end:
        return f"up to {end}"
    return f"after {start}" if start else "whole"


def _cut(plan: Plan, model: int, index: int | None) -> str | None:
    """A cut by the path of its module, else by its node."""
    if index is None:
        return None
    cut = plan.cuts[model][index]
    return cut.path or cut.node


def _input(model: Model) -> str:
    return f"float32 [batch, {', '.join(map(str, model.input.size))}], a batch of any size"


def _pixels(model: Model) -> str:
    mean, std = numbers(model.input.mean), numbers(model.input.std)
    assumed = " (assumed)" if {"mean", "std"} & set(model.input.assumed) else ""
    return f"in [0, 1], then (pixel - mean) / std; mean {mean}, std {std}{assumed}"


def numbers(values: tuple[float, ...]) -> str:
    """A mean or a deviation of the channels: once where all have the same."""
    return f"{values[0]:g}" if len(set(values)) == 1 else ", ".join(f"{v:g}" for v in values)


def _licences(plan: Plan) -> list[str]:
    found = {m.name: m.licence or "not stated" for m in used_models(plan)}
    return [f"{licence} ({name})" for name, licence in found.items()]
