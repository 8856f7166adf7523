"""`docs/security.md` names tests and settings that exist, a test for each threat."""

import ast
import re
from pathlib import Path

from wire.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()

_NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def exists(file: str, test: str) -> bool:
    """Whether there is such a file, and in it such a test if one is named."""
    path = ROOT / file
    if not path.is_file():
        return False
    functions = (
        node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)
    )
    return not test or test in functions


def test_every_threat_names_tests_that_exist() -> None:
    (table,) = re.findall(r"^\|.*shown by \|\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.M)
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()]
    assert len(rows) > 20
    for threat, *_, shown_by in rows:
        named = _NAMED.findall(shown_by)
        assert named, threat
        assert [name for name in named if not exists(*name)] == [], threat


def test_whatever_else_it_names_exists() -> None:
    assert [name for name in _NAMED.findall(PAGE) if not exists(*name)] == []
    settings = {name.removeprefix(PREFIX).lower() for name in re.findall(r"POSE_[A-Z_]+", PAGE)}
    assert settings <= set(Settings.__struct_fields__)
