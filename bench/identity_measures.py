"""How well people keep their identities: switches as CLEAR MOT counts them, and IDF1.

Bernardin and Stiefelhagen, EURASIP J. Image Video Process. 2008; Ristani et al., ECCV Workshops 2016. Of
the libraries, motmetrics calls what numpy 2 has dropped, and trackeval brings another build of OpenCV that
overwrites ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

Floats = npt.NDArray[np.floating]

#: Likeness from which an answer may be taken for a person.
LIKE: Final = 0.5
#: Worth of going on with the pair that a person was last in, beside likenesses of 0..1.
_GOES_ON: Final = 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """One frame: persons (P,) truly there, ids (A,) of the answers, and their likeness (P, A), 0..1."""

    persons: tuple[int, ...]
    ids: tuple[int, ...]
    likeness: Floats


@dataclass(frozen=True, slots=True)
class Score:
    """Sums over scenes. matched: person-frames that an answer with the right identity stands for."""

    person_frames: int
    answers: int
    switches: int
    matched: int

    def __add__(self, other: "Score") -> "Score":
        return Score(
            self.person_frames + other.person_frames,
            self.answers + other.answers,
            self.switches + other.switches,
            self.matched + other.matched,
        )

    @property
    def per_thousand(self) -> float:
        """Identity switches in 1,000 person-frames."""
        return 1000 * self.switches / max(self.person_frames, 1)

    @property
    def idf1(self) -> float:
        """F1 of the best one-to-one naming of persons by ids, 0..1."""
        return 2 * self.matched / max(self.person_frames + self.answers, 1)


def score(frames: Sequence[Judged]) -> Score:
    """The figures of one scene."""
    return Score(
        person_frames=sum(len(frame.persons) for frame in frames),
        answers=sum(len(frame.ids) for frame in frames),
        switches=len(switches(frames)),
        matched=_well_named(frames),
    )


def switches(frames: Sequence[Judged]) -> list[tuple[int, int, int, int]]:
    """(frame, person, id before, id now) wherever a person is matched to another id than the last time.

    The pair in which a person was last goes on where it may, however long ago that was, as motmetrics has it;
    the others are matched to be most alike.
    """
    latest: dict[int, int] = {}
    found = []
    for number, frame in enumerate(frames):
        pairs = _matched(frame, latest)
        for person, track_id in pairs.items():
            if latest.get(person, track_id) != track_id:
                found.append((number, person, latest[person], track_id))
        latest |= pairs
    return found


def _matched(frame: Judged, latest: dict[int, int]) -> dict[int, int]:
    """Person -> id."""
    if not frame.persons or not frame.ids:
        return {}
    goes_on = np.array([[latest.get(person) == one for one in frame.ids] for person in frame.persons])
    worth = np.where(frame.likeness >= LIKE, frame.likeness + _GOES_ON * goes_on, 0.0)
    rows, columns = linear_sum_assignment(-worth)
    return {
        frame.persons[row]: frame.ids[column]
        for row, column in zip(rows, columns, strict=True)
        if worth[row, column] > 0
    }


def _well_named(frames: Sequence[Judged]) -> int:
    """Frames in which persons and ids are alike (IDTP), for the naming that makes most of them."""
    persons = sorted({person for frame in frames for person in frame.persons})
    ids = sorted({one for frame in frames for one in frame.ids})
    if not persons or not ids:
        return 0
    alike = np.zeros((len(persons), len(ids)), int)
    for frame in frames:
        rows, columns = np.nonzero(frame.likeness >= LIKE)
        for row, column in zip(rows, columns, strict=True):
            alike[persons.index(frame.persons[row]), ids.index(frame.ids[column])] += 1
    rows, columns = linear_sum_assignment(-alike)
    return int(alike[rows, columns].sum())
