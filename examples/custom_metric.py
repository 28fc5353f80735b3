"""A metric of your own: the energy of one image, estimated from the arithmetic and the bytes that move.

    python examples/custom_metric.py

`register` makes it known in this program. A package makes it known wherever it is installed, to the command line too
(`--budget energy=40u`, `--metric energy`):

    [project.entry-points."stitchc.metrics"]
    energy = "mypackage.energy:ENERGY"

A sum over the calls of a network needs nothing else: fragments, chains, budgets and reports follow from it.
"""

import stitchc
from stitchc.passes.data.metrics import CountedCall, Metric, Unit, register

# Horowitz (2014), 45 nm: a float32 multiply and add, and 4 bytes from an on-chip memory of 1 MiB. Picojoules.
MAC, WORD = 4.6, 50.0


def of_call(call: CountedCall) -> float:
    words = (call.weights_bytes + call.input_bytes + call.output_bytes) / 4
    return (MAC * call.macs + WORD * words) / 1e6


ENERGY = register(
    Metric(
        "energy", "energy_uj", Unit("uJ", "microjoules", {"u": 1.0, "m": 1e3}), "40u", "energy",
        "estimated, one image", of_call=of_call,
    )
)  # fmt: skip

if __name__ == "__main__":
    space = stitchc.space("digits/resnet", "digits/small")
    ids = space.sample(2000)
    cost = space.cost(ids, "energy", "macs")
    within = [k for k in cost["energy"].argsort() if cost["energy"][k] <= 40]
    print(f"{len(within)} of {len(ids)} chains take at most 40 uJ an image.")
    plan = stitchc.compile("digits/plain", "digits/small", budget={"energy": 20}, rivals="none", onnx=False)
    print(f"Compiled under a budget of 20 uJ: {plan.hybrid.price['energy']:.1f} uJ.")
