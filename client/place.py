"""Where a video's result goes, and what one run notes beside it for the next, until it is whole."""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from client import motion
from client.second_pass.story import BEFORE_S

_NOTES = "state.json"


class Notes(Struct, frozen=True, kw_only=True):
    """What is known of a video that is under way.

    identity: of the video (`inputs.Video`). attempt: how often it was begun anew. model_version: that of the
    last answers, empty: there is none yet. frames: as many as come of it, once all are there; None: not yet.
    error: code and message of what was wrong with the video by then; None: nothing.
    """

    identity: dict[str, Any]
    session_id: str
    attempt: int = 0
    model_version: str = ""
    frames: int | None = None
    error: tuple[str, str] | None = None


class Place(NamedTuple):
    """Where a video's result goes, and what is there of it until it is whole.

    before_s: people are filled in so long before they are first seen; None: only one pass is wanted.
    """

    result: Path
    before_s: float | None = BEFORE_S

    @property
    def folder(self) -> Path:
        """The frames that have come, and the notes."""
        return self.result.with_suffix(".partial")

    def identity(self) -> Mapping[str, Any] | None:
        """Of the video that the result or the folder belongs to; None: neither is there."""
        with suppress(OSError, ValueError, KeyError):
            identity: Mapping[str, Any] = motion.about(self.result)["identity"]
            return identity
        notes = self.notes()
        return None if notes is None else notes.identity

    def notes(self) -> Notes | None:
        """What was noted last; None: nothing that can be read."""
        with suppress(OSError, ValueError, msgspec.DecodeError):
            return msgspec.json.decode((self.folder / _NOTES).read_bytes(), type=Notes)
        return None

    def note(self, notes: Notes) -> None:
        """Write them down: whenever that is interrupted, what was noted before or these are there."""
        path = self.folder / _NOTES
        unfinished = path.with_suffix(".unfinished")
        unfinished.write_bytes(msgspec.json.encode(notes))
        unfinished.replace(path)


def begun(identity: dict[str, Any], *, attempt: int = 0) -> Notes:
    """Of a video that begins, in a session of its own."""
    return Notes(identity=identity, session_id=f"bulk-{uuid.uuid4().hex}", attempt=attempt)
