"""The parts of a form whose heads are text; falcon decodes them as if they always were."""

from collections.abc import Iterable, Iterator
from typing import Any

from wire.errors import BadRequest


def readable(parts: Iterable[Any]) -> Iterator[Any]:
    """Falcon's parts, one after the other. Raises `BadRequest` at one whose head cannot be read."""
    for part in parts:
        try:
            part.name, part.filename, part.content_type  # noqa: B018  # decoded when asked for
        except UnicodeDecodeError:
            raise BadRequest("the head of a part of the form is not text") from None
        yield part
