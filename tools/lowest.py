"""Writes a constraints file for pip that holds every requirement of pyproject.toml to its lowest version.

    python tools/lowest.py > constraints.txt
    pip install --constraint constraints.txt --editable '.[dev]'

What is required indirectly is free, and pip takes the newest that fits.
"""

import re
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(\[[a-z,]+\])?>=(?P<version>[0-9A-Za-z.]+)")


def constraints(project: Path = PROJECT) -> list[str]:
    """`name==version` for each requirement, those of the extras included.

    Raises:
        ValueError: a requirement that is no name with a lower bound.
    """
    stated = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    extras = stated.get("optional-dependencies", {}).values()
    lowest = []
    for requirement in [*stated["dependencies"], *(one for extra in extras for one in extra)]:
        found = REQUIREMENT.fullmatch(requirement.replace(" ", ""))
        if not found:
            raise ValueError(f"pyproject.toml: '{requirement}' is not of the form name>=version")
        lowest.append(f"{found['name']}=={found['version']}")
    return lowest


if __name__ == "__main__":
    print("\n".join(constraints()))
