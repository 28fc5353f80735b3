"""Two networks stitched and fitted, for tests of the passes that come after."""

import torch

from stitchc.passes import Cost, Fit, Partition, Pipeline, Plan, Select, Stitch, Trace

IMAGES = torch.randn(80, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def stitched(front, back, leaves, enters, adapter="auto", *, fit=True, images=IMAGES):
    """The plan of two networks that are stitched at two cuts, and fitted unless `fit` says otherwise."""
    passes = [
        Trace(frontend="record"),
        Partition(),
        Cost(adapters=(adapter,), direction="given"),
        Select(front=leaves, back=enters, adapter=adapter),
        Stitch(),
        *([Fit()] if fit else []),
    ]
    return Pipeline(passes)(Plan.of(front, back, images=images))
