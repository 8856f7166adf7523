"""How every program writes its log: a line for people, or an object a line for programs.

What callers wrote (paths, session ids) may stand in a message. It cannot begin a line of its own: what is not
printable is escaped, and lines of a traceback are indented.
"""

import json
import logging
import re
import sys
import time
from collections.abc import Iterator
from typing import IO, Literal

Format = Literal["text", "json"]

#: One place of a message's template, with the name before it: `frame=%d`.
_PLACE = re.compile(r"(?:\b(\w+)=)?(%[-+ #0]*\d*(?:\.\d+)?[a-zA-Z%])")


def configure(program: str, *, level: str, log_format: Format, stream: IO[str] | None = None) -> None:
    """Let the root logger write to `stream`, by default standard error."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(program) if log_format == "json" else TextLines(program))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class TextLines(logging.Formatter):
    """`2026-11-22 22:22:22,222 program LEVEL message`."""

    def __init__(self, program: str) -> None:
        super().__init__(f"%(asctime)s {program} %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """The line without a traceback."""
        record.message = _printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: object) -> str:  # noqa: N802  # logging's name
        """A traceback, none of whose lines looks like one of ours."""
        traceback: str = super().formatException(ei)  # type: ignore[arg-type]  # whatever logging passes
        return "\n".join(f"    {_printable(line)}" for line in traceback.splitlines())


class JsonLines(logging.Formatter):
    """An object with `time`, `program`, `level`, `message`, and each `name=value` of the message."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        told = dict(_named(record)) | {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "program": self._program,
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told)


def _named(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    """The arguments that the message's template names, numbers as such."""
    if not isinstance(record.args, tuple):
        return
    places = [place for place in _PLACE.findall(str(record.msg)) if place[1] != "%%"]
    for (name, conversion), value in zip(places, record.args, strict=False):
        if not name:
            continue
        if isinstance(value, float):
            yield name, float(conversion % value)  # as many digits as people are told
        else:
            yield name, value if value is None or isinstance(value, int | str) else str(value)


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(character: str) -> str:
    return character if character.isprintable() else character.encode("unicode_escape").decode()
