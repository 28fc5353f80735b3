"""Coverage-guided fuzzing of the parsers: atheris makes the inputs, tests/test_parsers.py says what must hold.

    python tools/fuzz.py --seconds 60

The first byte of an input chooses the property. What breaks one ends the run with a traceback, and is to become an
`@example` there. Needs `pip install atheris`, which has wheels for Linux only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import atheris

PROPERTIES = (
    "test_quantities", "test_budgets", "test_words_of_models", "test_words_that_a_file_says", "test_options_of_images",
    "test_images_that_a_file_names", "test_adapters", "test_chains", "test_recipes", "test_json",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    given = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    with atheris.instrument_imports(include=["stitchc"]):
        import test_parsers

        from stitchc.zoo import naming
    naming._all_names = test_parsers.few_names  # type: ignore[assignment] # hints look for the nearest of thousands
    tests = [getattr(test_parsers, name).hypothesis.fuzz_one_input for name in PROPERTIES]

    def one(data: bytes) -> None:
        if data:
            tests[data[0] % len(tests)](data[1:])

    # Long inputs from the start: of a few bytes Hypothesis can make no text.
    # One seed: what a slower machine tries is the beginning of what a faster one does.
    limits = ("-seed=1", "-timeout=10", "-rss_limit_mb=4096", "-len_control=0", "-max_len=400")
    atheris.Setup([sys.argv[0], f"-max_total_time={given.seconds}", *limits], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
