"""The trajectory of healing, as text of 80 columns, and in a plan document."""

from dataclasses import replace

from stitchc.documents import plan_document
from stitchc.passes import HealedBlock, Healing
from stitchc.passes.data.healing import Calibrated, Followed
from stitchc.report.healing import Trajectory
from stitchc.report.terminal import render

HEALING = Healing(
    images=256,
    held_out=51,
    divergence=2.85,
    agreement=0.4706,
    blocks=(
        HealedBlock("back.layer2.0", 2, 0.01, 0.968, 0.7451, True),
        HealedBlock("back.layer2.1", 2, 0.1, 0.968, 0.7451, False),
        HealedBlock("back.linear", 1, 1.0, 0.0421, 1.0, True),
    ),
)

TEXT = """\
Healed: agrees with its parent on 100.0 % of 51 held-out images, 47.1 % before
                                                    divergence
after block    agreement                                (nats)
──────────────────────────────────────────────────────────────────────
the adapter       47.1 %  ███████████░░░░░░░░░░░░░         2.9
back.layer2.0     74.5 %  ██████████████████░░░░░░        0.97
back.layer2.1     74.5 %  ██████████████████░░░░░░        0.97  undone
back.linear      100.0 %  ████████████████████████       0.042
"""


def healed(plan, healing):
    return plan.with_hybrid(replace(plan.hybrid, healing=healing))


def test_the_trajectory_is_drawn_block_by_block(noiseless):
    record = plan_document(healed(noiseless, HEALING))["healing"]
    assert render([Trajectory(record)]) == TEXT


def test_of_many_blocks_the_first_the_last_and_some_between_are_shown(noiseless):
    blocks = tuple(HealedBlock(f"back.{i}", 1, 0.1, 1 - i / 100, i / 100, True) for i in range(60))
    record = plan_document(healed(noiseless, replace(HEALING, blocks=blocks)))["healing"]
    lines = [line for line in render([Trajectory(record)]).splitlines() if line.startswith("back.")]
    assert len(lines) == 16 and lines[0].startswith("back.0 ") and lines[-1].startswith("back.59 ")


def test_a_plan_document_says_what_healing_did(noiseless):
    found = plan_document(healed(noiseless, HEALING))["healing"]
    assert (found["agreement_before"], found["agreement"], found["divergence"]) == (0.4706, 1.0, 0.0421)
    assert found["blocks"][1]["kept"] is False
    assert plan_document(noiseless)["healing"] is None


def test_what_the_classifier_followed_in_the_end_is_said_below(noiseless):
    names = [model.name for model in noiseless.models]
    followed = Followed((0, 1), 0.01, 0.281, 0.88, 0.243, 0.9, True)
    record = plan_document(healed(noiseless, replace(HEALING, followed=followed)))["healing"]
    assert record["followed"]["models"] == names and record["followed"]["pull"] == 0.01
    said = " ".join(render([Trajectory(record)]).removeprefix(TEXT).split())
    assert said == (
        f"Then its classifier was refitted toward the mean of {names[0]} and {names[1]}: on 51 held-out images the "
        "divergence from it is 0.24 nats, 0.28 before, and the class is the same on 90.0 %, 88.0 % before."
    )
    undone = plan_document(healed(noiseless, replace(HEALING, followed=replace(followed, kept=False))))["healing"]
    said = " ".join(render([Trajectory(undone)]).removeprefix(TEXT).split())
    assert (
        said
        == f"Its classifier came no nearer to the mean of {names[0]} and {names[1]} on 51 held-out images, and stayed."
    )


def test_by_what_the_logits_were_multiplied_is_said_last_unless_by_nothing_to_speak_of(noiseless):
    record = plan_document(healed(noiseless, replace(HEALING, calibrated=Calibrated(1.3125, 0.0512, 0.0421))))[
        "healing"
    ]
    assert record["calibrated"] == {"scale": 1.3125, "divergence_before": 0.0512, "divergence": 0.0421}
    said = " ".join(render([Trajectory(record)]).removeprefix(TEXT).split())
    assert said == (
        "Its logits were multiplied by 1.31, so that it is as sure as what it follows: on 51 held-out images the "
        "divergence is 0.042 nats, 0.051 before."
    )
    same = plan_document(healed(noiseless, replace(HEALING, calibrated=Calibrated(0.9991, 0.0421, 0.0421))))["healing"]
    assert render([Trajectory(same)]) == TEXT
    assert plan_document(healed(noiseless, HEALING))["healing"]["calibrated"] is None
