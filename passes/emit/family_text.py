"""The docstring at the top of a family's `model.py`."""

from __future__ import annotations

from ..data.family import Family
from ..data.plan import Plan
from .conversion import input_of
from .docstring import numbers


def describe(plan: Plan, family: Family) -> str:
    """Which members there are, of what they are made, and how one switches. No date and no path."""
    used = {fragment.model for member in family.members for fragment in member.hybrid.chain.fragments}
    models = [plan.models[index] for index in sorted(used)]
    spec = input_of(plan, family)
    lines = [f"A family of {len(family.members)} networks of {', '.join(model.name for model in models)}.", ""]
    width = max(len(member.name) for member in family.members)
    for member in family.members:
        price = member.hybrid.price
        assert price is not None
        lines.append(
            f"{member.name:<{width}}  {int(price['macs']):>15,} multiply-adds, {int(price['params']):>13,} parameters"
        )
    lines += ["", f"input    float32 [batch, {', '.join(map(str, spec.size))}], a batch of any size"]
    assumed = " (assumed)" if {"mean", "std"} & set(spec.assumed) else ""
    mean, std = numbers(spec.mean), numbers(spec.std)
    lines.append(f"pixels   in [0, 1], then (pixel - mean) / std; mean {mean}, std {std}{assumed}")
    lines += [f"licence  {model.licence or 'not stated'} ({model.name})" for model in models]
    lines += ["", "The weights lie in model.safetensors beside this file. Written by stitchc; needs torch alone:", ""]
    smallest = family.members[0]
    assert smallest.hybrid.price is not None
    lines += [
        "    from model import load",
        "    family = load()",
        f"    family.set_budget(macs={int(smallest.hybrid.price['macs'])})",
        "    logits = family(images)",
    ]
    return "\n".join(lines) + "\n"
