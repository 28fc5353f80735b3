"""What the report of a training says."""

import pytest
from rich.console import Console

from stitchc.report.tune import Training


def said(before, after):
    record = {
        "train": "adapter", "trained_params": 1056, "epochs": 2, "images": 4000, "data": "digits",
        "options": {"optimizer": "adamw", "lr": 3e-4, "batch": 128, "augment": [], "distill": None},
        "history": [{"epoch": 1, "loss": 0.5, "accuracy": 0.8, "holdout": None, "lr": 1e-4}],
        "accuracy": {"before": before, "after": after, "images": 500, "data": "digits?split=test"},
    }  # fmt: skip
    console = Console(width=100)
    with console.capture() as captured:
        console.print(Training(record))
    return captured.get()


@pytest.mark.parametrize(("before", "after", "hint"), [(0.8, 0.9, False), (0.8, 0.8, False), (0.8, 0.7, True)])
def test_a_training_that_made_it_worse_says_what_to_try(before, after, hint):
    text = said(before, after)
    assert f"{100 * after:.1f} % after" in text
    assert ("--lr" in text) == hint
