"""`docs/reliability.md` names tests, settings and counters that exist."""

import re
from pathlib import Path

from broker.outbox import COUNTERS
from wire.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text()


def rows_with_tests() -> list[list[str]]:
    """The rows of every table whose last column says what shows it."""
    tables = re.findall(r"^\|.*shown by \|\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.M)
    return [row.strip("| ").split(" | ") for table in tables for row in table.splitlines()]


def test_every_row_of_a_failure_names_a_test_that_exists() -> None:
    rows = rows_with_tests()
    assert len(rows) > 15
    for what, *_, shown_by in rows:
        named = re.findall(r"tests/[\w/]+\.py", shown_by)
        assert named, what
        assert [name for name in named if not (ROOT / name).is_file()] == [], what


def test_its_settings_and_counters_exist() -> None:
    settings = {name.removeprefix(PREFIX).lower() for name in re.findall(r"POSE_[A-Z_]+", PAGE)}
    assert settings <= set(Settings.__struct_fields__)
    assert set(re.findall(r'`events{event="(\w+)"', PAGE)) <= set(COUNTERS)
