"""A small network taken through all steps in the process that others are forked from.

The first trace and export in a process take some five seconds of imports and tables; forked processes share them.
ONNX Runtime is left out: it starts threads, which a fork would lose.
"""

import tempfile
from pathlib import Path

from . import steps

with tempfile.TemporaryDirectory(prefix="stitchc-check-") as folder:
    steps.run(steps.Task("digits/vit?weights=none", Path(folder), until="onnx"), lambda kind, words: None)
