"""The pins agree wherever they are written."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def pins(lines: list[str]) -> set[str]:
    """`name==version`, spelled as PEP 503 does."""
    return {
        re.sub(r"[-_.]+", "-", name).lower() + "==" + version
        for name, _, version in (line.partition("==") for line in lines)
    }


def test_requirements_hold_every_pin_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(pin for extra in project["optional-dependencies"].values() for pin in extra),
    ]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]

    assert pins(wanted) <= pins(listed)
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in listed)
