"""Every pass tried on many models: what `stitchc zoo check` does, and how its table is made.

    from stitchc.check import check, choose
    for checked in check(choose(["timm/resnet*"]), out="coverage.jsonl"):
        print(checked.model, checked.failed or "passed")

Importing this package imports no torch: the models are loaded in processes of their own.
"""

from .record import STEPS, Checked, History, read
from .run import check, choose, pending

__all__ = ["STEPS", "Checked", "History", "check", "choose", "pending", "read"]
