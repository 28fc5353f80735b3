"""`stitchc zoo pack`."""

from __future__ import annotations

from .options import arch
from .parts import argument, option
from .run import Outcome, Run, verb


@verb("pack", example="stitchc zoo pack digits/resnet -o resnet.pt")
@argument("model", metavar="MODEL", text="timm/NAME, torchvision/NAME, digits/NAME, a checkpoint, or FILE.py:FACTORY.")
@option("-o", "--out", metavar="FILE", required=True, help="A .pt, .pth or .safetensors file.")
@arch
def command(run: Run, model: str, out: str, arch: tuple[str, ...]) -> Outcome:
    """Write a checkpoint that describes itself.

    It names its architecture, input transform, licence and data."""
    from ..inputs import archs_for
    from ..report.numbers import size
    from ..zoo import pack

    path = pack(model, out, force=run.force, arch=archs_for([model], arch)[0], trust=run.trust_pickle)
    taken = path.stat().st_size
    return Outcome({"schema": 1, "model": model, "file": str(path), "size_bytes": taken}, [f"{path}  {size(taken)}"])
