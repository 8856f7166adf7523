"""The pins agree wherever they are written."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]

#: An extra that brings another one names the project itself.
OURSELVES = "everyframe[cluster,exports,hmr2,remote]"


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
        *(pin for extra in project["optional-dependencies"].values() for pin in extra if pin != OURSELVES),
    ]
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    listed = [line for line in lines if line and not line.startswith("#")]

    assert pins(wanted) <= pins(listed)
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in listed)


def test_serving_the_embedded_observer_needs_no_torch():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert not any("torch" in pin for pin in project["dependencies"])
    assert OURSELVES in project["optional-dependencies"]["dev"]
