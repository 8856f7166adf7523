"""Log lines: the same for all programs, for people and for programs, and nobody can forge one."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from wire import logs

FORGED = "/x\n2026-11-22 22:22:22,222 http_edge ERROR all is lost\u2028\x1b[2J"


@pytest.fixture
def told(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What is logged in the format that the test names; logging is as before afterwards."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []  # `force` would close pytest's own
    stream = io.StringIO()
    logs.configure("http_edge", level="info", log_format=request.param, stream=stream)
    yield stream
    root.handlers, root.level = handlers, level


def failed() -> Any:
    try:
        raise ValueError(FORGED)
    except ValueError:
        return sys.exc_info()


@pytest.mark.parametrize("told", ["text"], indirect=True)
def test_a_line_for_people_names_program_and_level(told: io.StringIO) -> None:
    logging.getLogger("any").info("session=%s frame=%d für alle", "dance", 7)
    logging.getLogger("any").debug("not told")

    assert told.getvalue().endswith(" http_edge INFO session=dance frame=7 für alle\n")
    assert told.getvalue().count("\n") == 1


@pytest.mark.parametrize("told", ["text"], indirect=True)
def test_what_callers_wrote_cannot_look_like_a_line(told: io.StringIO) -> None:
    logging.getLogger("any").warning("GET %s", FORGED)
    logging.getLogger("any").error("failed", exc_info=failed())
    warned, error, *traceback = told.getvalue().splitlines()

    assert warned.endswith(r"http_edge ERROR all is lost\u2028\x1b[2J")
    assert error.endswith("ERROR failed")
    assert len(traceback) >= 4
    assert all(line.startswith("    ") for line in traceback)


@pytest.mark.parametrize("told", ["json"], indirect=True)
def test_a_line_for_programs_holds_what_the_message_names(told: io.StringIO) -> None:
    logging.getLogger("any").info(
        "session=%s frame=%d share=%d%% %s elapsed_ms=%.1f none=%s", "a b", 7, 50, "unnamed", 41.26, None
    )
    line = json.loads(told.getvalue())
    moment = line.pop("time")

    assert moment[10] == "T" and moment.endswith("Z")
    assert line == {
        "program": "http_edge",
        "level": "info",
        "message": "session=a b frame=7 share=50% unnamed elapsed_ms=41.3 none=None",
        "session": "a b",
        "frame": 7,
        "share": 50,
        "elapsed_ms": 41.3,
        "none": None,
    }


@pytest.mark.parametrize("told", ["json"], indirect=True)
def test_every_message_is_one_object_on_one_line(told: io.StringIO) -> None:
    logging.getLogger("any").error("failed level=%s", FORGED, exc_info=failed())
    logging.getLogger("any").info("plain, 100% sure")
    logging.getLogger("any").info("%(by)s", {"by": "name"})
    lines = [json.loads(line) for line in told.getvalue().splitlines()]

    assert [line["message"] for line in lines[1:]] == ["plain, 100% sure", "name"]
    assert lines[0]["level"] == "error"  # what a message names never hides the line's own
    assert "ValueError" in lines[0]["exception"]
