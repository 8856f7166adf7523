"""`docs/reliability.md` names tests, settings and counters that exist."""

import re
from pathlib import Path

from broker.outbox import COUNTERS
from wire.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reliability.md").read_text()


def test_every_row_of_a_failure_names_a_test_that_exists() -> None:
    rows = [line for line in PAGE.splitlines() if line.count("|") == 5 and not line.startswith("|---")]
    assert len(rows) > 15
    for row in rows:
        what, *_, shown_by = row.strip("| ").split(" | ")
        if shown_by == "shown by":
            continue
        named = re.findall(r"tests/[\w/]+\.py", shown_by)
        assert named, what
        assert [name for name in named if not (ROOT / name).is_file()] == [], what


def test_its_settings_and_counters_exist() -> None:
    settings = {name.removeprefix(PREFIX).lower() for name in re.findall(r"POSE_[A-Z_]+", PAGE)}
    assert settings <= set(Settings.__struct_fields__)
    assert set(re.findall(r'event="(\w+)"', PAGE)) <= set(COUNTERS)
