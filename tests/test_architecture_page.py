"""The page of the architecture names no file that is not there."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text()

#: A line of the tree: how far it is indented, and what it is about.
_ENTRY = re.compile(r"^( {4,})(\S+)(?= |$)(.*)$")
_FILE = re.compile(r"\b([a-z_0-9]+\.py)\b")


def named() -> Iterator[str]:
    """Every module that the tree names, by its path."""
    tree = PAGE.partition("## Tree")[2].partition("\n##")[0].partition("Imports flow")[0]
    folders: list[tuple[int, str]] = []
    for line in tree.splitlines():
        entry = _ENTRY.match(line)
        if not entry:
            continue
        indent, name = len(entry[1]), entry[2]
        folders = [(depth, folder) for depth, folder in folders if depth < indent]
        if name.endswith("/"):
            folders.append((indent, name))
        for file in _FILE.findall(f"{name} {entry[3]}"):
            yield "".join(folder for _, folder in folders) + file


@pytest.mark.parametrize("path", sorted(set(named())))
def test_every_module_of_the_tree_is_there(path: str) -> None:
    assert (ROOT / path).is_file()


def test_every_path_of_the_text_is_there() -> None:
    paths = re.findall(r"`((?:\w+/)+\w+\.(?:py|md))`", PAGE)
    assert paths
    assert [path for path in paths if not (ROOT / path).is_file()] == []
