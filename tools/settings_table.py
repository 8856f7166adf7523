"""The README's table of settings, from the settings themselves: `python -m tools.settings_table`.

Prints the table; with `--write` it is put into the README.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from wire.settings import PREFIX, Settings

README = Path(__file__).parents[1] / "README.md"
BEGIN, END = "<!-- settings", "<!-- end of settings -->"

#: Defaults that depend on the machine, in words.
_COMPUTED = {"runtime_dir": "`/tmp/everyframe-UID`", "threads": "usable processors, at most 4"}


def table() -> str:
    """The table, in Markdown."""
    return "\n".join(["| variable | default | what |", "|---|---|---|", *_rows()])


def _rows() -> Iterator[str]:
    for field in msgspec.structs.fields(Settings):
        kind, *metas = _parts(field.type)
        described = [meta.description for meta in metas if isinstance(meta, Meta) and meta.description]
        choices = f" ({', '.join(get_args(kind))})" if get_origin(kind) is Literal else ""
        default = _COMPUTED.get(field.name) or ("" if field.default in ("", None) else f"`{field.default}`")
        yield f"| `{PREFIX}{field.name.upper()}` | {default} | {' '.join(described)}{choices} |"


def _parts(kind: object) -> tuple[object, ...]:
    return get_args(kind) if get_origin(kind) is Annotated else (kind,)


def current() -> str:
    """The table that the README holds now."""
    text = README.read_text()
    return text[text.index("\n", text.index(BEGIN)) : text.index(END)].strip()


def main(arguments: Sequence[str]) -> None:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(prog="python -m tools.settings_table", description=__doc__)
    parser.add_argument("--write", action="store_true", help="put it into the README")
    if parser.parse_args(arguments).write:
        README.write_text(README.read_text().replace(current(), table()))
    else:
        print(table())


if __name__ == "__main__":
    main(sys.argv[1:])
