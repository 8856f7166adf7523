"""What is asked of a person detector, and what it answers. No torch: the observer needs only this."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from workers.types import Array, Image, Progress, unnoticed

Mask = npt.NDArray[np.bool_]  # (height, width) of the picture


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One picture to look at.

    image (height, width, 3): uint8 RGB. expected (E, 4): boxes x0 y0 x1 y1 in pixels where the tracker
    expects people; they may reach out of the picture. turn: counts the session's frames.
    """

    image: Image
    expected: Array = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    turn: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class DetectedPerson:
    """One person in one picture.

    box (4,): x0 y0 x1 y1, pixels, float32. score: 0..1, how surely this is a person. mask (height, width):
    which pixels are the person's, where the detector can tell. expected: index of the expected box that
    showed the person; it says where he was seen, not who he is. detected: found without such help.
    """

    box: Array
    score: float
    mask: Mask | None
    expected: int | None
    detected: bool


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Who counts as a person; all but the sizes are exclusive bounds.

    detection_score, expected_score: 0..1, of people the detector finds by itself, and of those whom an
    expected box shows. min_width_px, min_height_px: of the box, in pixels of the picture.
    """

    detection_score: float
    expected_score: float
    min_width_px: float
    min_height_px: float


class PersonDetector(Protocol):
    """Finds the people in pictures. Not thread-safe; it keeps nothing between calls."""

    name: str

    def people(self, looks: Sequence[Look], on_progress: Progress = unnoticed) -> list[list[DetectedPerson]]:
        """The people of each picture; a picture's answer does not depend on its company."""
        ...
