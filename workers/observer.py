"""What the pipeline asks of an observer, whichever it is: who is in each of these frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from body.model import Body
from workers.types import Image, Observation, Plan, Progress


class Observer(Protocol):
    """Whoever sees people in single frames; stateless, so frames of many sessions go in together."""

    name: str
    model_version: str

    def observe(self, frames: Sequence[tuple[Image, Plan]], on_progress: Progress) -> list[list[Observation]]:
        """The people of each frame: a picture (height, width, 3), uint8, RGB, and whom to look for in it."""


@dataclass(frozen=True, slots=True)
class Eyes:
    """An observer, and what belongs to it.

    body: the one that its poses are of. device: what its networks run on. models: SHA-256 of the files
    that they were made of, by name, for `/health`.
    """

    observer: Observer
    body: Body
    device: str
    models: dict[str, str]
