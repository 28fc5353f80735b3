"""The docstring at the top of `model.py`: what the network is, from what, and what its input must be."""

from __future__ import annotations

from ..model import Model
from ..plan import AdapterUse, Fragment, Plan


def describe(plan: Plan) -> str:
    """What came from where. No date and no path, so that the same plan gives the same text."""
    lines = [_title(plan), "", *_parts(plan), "", *_input(first_model(plan))]
    if plan.price:
        lines += [f"Takes:  {plan.price.params:,} parameters, {plan.price.macs:,} multiply-adds an image"]
    lines += _licences(plan)
    lines += ["", "The weights lie beside this file, in model.safetensors. Written by stitchc; needs torch alone:", ""]
    return "\n".join(lines) + "\n    from model import load\n    logits = load()(images)  # [batch, classes]\n"


def _title(plan: Plan) -> str:
    names = list(dict.fromkeys(m.name for m in used_models(plan)))
    return f"{names[0]}." if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}, stitched."


def used_models(plan: Plan) -> list[Model]:
    return [plan.models[part.model] for part in plan.chain if isinstance(part, Fragment)] or list(plan.models)


def first_model(plan: Plan) -> Model:
    return used_models(plan)[0]


def _parts(plan: Plan) -> list[str]:
    rows: list[tuple[str, str]] = []
    for part in plan.chain:
        if isinstance(part, AdapterUse):
            rows.append(("adapter", f"{part.name}, {part.price.params:,} parameters"))
        else:
            rows.append((_role(plan, part), f"{plan.models[part.model].name}, {_span(part)}"))
    width = max((len(name) for name, _ in rows), default=0)
    return [f"{name:<{width}}  {text}" for name, text in rows]


def _role(plan: Plan, part: Fragment) -> str:
    fragments = [p for p in plan.chain if isinstance(p, Fragment)]
    if len(fragments) == 2:
        return "front" if part is fragments[0] else "back"
    return f"part{fragments.index(part)}"


def _span(part: Fragment) -> str:
    if part.start and part.end:
        return f"what lies after {part.start}, up to {part.end}"
    if part.end:
        return f"up to {part.end}"
    return f"from what lies after {part.start}" if part.start else "whole"


def _input(model: Model) -> list[str]:
    spec = model.input
    size = " x ".join(map(str, spec.size))
    return [
        f"Input:  float32 [batch, {', '.join(map(str, spec.size))}], that is {size}, batch of any size",
        f"        (pixel - mean) / std of pixels in [0, 1]; mean {_numbers(spec.mean)}, std {_numbers(spec.std)}",
    ]


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{v:g}" for v in values)


def _licences(plan: Plan) -> list[str]:
    found = {m.name: m.licence or "not stated" for m in used_models(plan)}
    return [f"Licence of {name}: {licence}" for name, licence in found.items()]
