"""People by the embedded observer's two networks: no torch, and 10 MB instead of 78 or 186.

The detector finds hips and size of a person, the landmarks make a box of it. Expected people are looked
for first, each in his own region. What is not to be taken for a person is decided as in
`workers/blazepose/search.py`, but from boxes alone.
"""

import math
from collections.abc import Iterator, Sequence

from workers.blazepose.detector import Detection, Detector, Tile, whole_frame
from workers.blazepose.landmarks import LandmarkFinder, Landmarks, box_around
from workers.blazepose.likeness import belongs, explains, in_picture, same_person
from workers.blazepose.region import Region, regions_of_box
from workers.blazepose.scouting import keeps, next_tile, tiles
from workers.boxes import overlap
from workers.detectors.person import DetectedPerson, Look, Thresholds
from workers.types import Array, Image, Progress, unnoticed

#: The least scores of a detection that is looked at, and of a person's first and second landmarks: the second
#: look tells bodies that the first imagined from real ones, as in `workers/blazepose/search.py`.
_DETECTION, _FIRST_LOOK, _SECOND_LOOK = 0.5, 0.8, 0.95
#: An expected person's landmarks are believed from here on.
_EXPECTED = 0.75
#: Landmarks are of whom the box was expected around if theirs overlaps it this much.
_SAME_PLACE_IOU = 0.3
#: How those may lie whose box is wider than tall.
_LYING = (math.pi / 2, -math.pi / 2)


class BlazePoseDetector:
    """The two networks as a person detector. Not thread-safe; it keeps nothing between calls."""

    name = "blazepose"

    def __init__(self, *, detector: Detector, finder: LandmarkFinder, thresholds: Thresholds) -> None:
        """thresholds: they come on top of this detector's own, which are stricter for newcomers."""
        self._detector = detector
        self._finder = finder
        self._thresholds = thresholds

    def people(self, looks: Sequence[Look], on_progress: Progress = unnoticed) -> list[list[DetectedPerson]]:
        """The people of each picture, the expected ones first; no masks.

        A picture's answer is the same alone or in company, bit by bit.
        """
        answers = []
        for look in looks:
            answers.append(self._people(look))
            on_progress()
        return answers

    def _people(self, look: Look) -> list[DetectedPerson]:
        seen = [*self._expected(look)]
        confirmed: set[int] = set()
        for detection in self._detections(look, anybody=bool(seen)):
            known = _explained(detection, [landmarks for landmarks, _ in seen])
            if known is None:
                known = self._newcomer(look.image, detection, seen)
            if known is not None:
                confirmed.add(known)
        people = [
            DetectedPerson(
                box=box_around(landmarks),
                score=landmarks.score,
                mask=None,
                expected=expected,
                detected=number in confirmed,
            )
            for number, (landmarks, expected) in enumerate(seen)
        ]
        return [person for person in people if self._is_large(person.box)]

    def _expected(self, look: Look) -> list[tuple[Landmarks, int | None]]:
        """Those of the expected people who are where they are expected, with their indices, no one twice."""
        least = max(self._thresholds.expected_score, _EXPECTED)
        seen: list[tuple[Landmarks, int | None]] = []
        nearness: list[float] = []
        for number, box in enumerate(look.expected):
            landmarks, near = self._at(look.image, box, least)
            if landmarks is None:
                continue
            twin = _same(landmarks, [one for one, _ in seen])
            if twin is None:
                seen.append((landmarks, number))
                nearness.append(near)
            elif near > nearness[twin]:
                # Two people are expected where one is seen: he is the one whose box fits better.
                seen[twin], nearness[twin] = (landmarks, number), near
        return seen

    def _at(self, image: Image, box: Array, least: float) -> tuple[Landmarks | None, float]:
        """Who is in `box` (4,), pixels, and how well his own box fits it; None: nobody."""
        for region in _regions(box):
            landmarks = self._look(image, region, least)
            if landmarks is not None:
                near = float(overlap(box_around(landmarks)[None], box)[0])
                if near > _SAME_PLACE_IOU:
                    return landmarks, near
        return None, 0.0

    def _detections(self, look: Look, *, anybody: bool) -> Iterator[Detection]:
        """What the detector sees: in the whole picture, and in one part of it a frame by turns.

        Where nobody is known and the whole picture shows nobody, in all its parts.
        """
        height, width = look.image.shape[:2]
        found = self._in(look.image, whole_frame(width, height))
        yield from found
        if anybody or found:
            tile = next_tile(width, height, turn=look.turn, unconfirmed=())
            parts: Sequence[Tile] = (tile,) if tile else ()
        else:
            parts = tiles(width, height)
        for part in parts:
            yield from self._in(look.image, part)

    def _in(self, image: Image, tile: Tile) -> list[Detection]:
        height, width = image.shape[:2]
        found = self._detector.detect(image, tile, min_score=_DETECTION)
        return [detection for detection in found if keeps(tile, detection, width=width, height=height)]

    def _newcomer(
        self, image: Image, detection: Detection, seen: list[tuple[Landmarks, int | None]]
    ) -> int | None:
        """The place in `seen` of whom `detection` shows, who is added if new; None: a false box."""
        first = self._look(image, detection.region, _FIRST_LOOK)
        if first is None:
            return None
        landmarks = self._look(image, first.following, max(self._thresholds.detection_score, _SECOND_LOOK))
        if landmarks is None:
            return None
        known = _same(landmarks, [one for one, _ in seen])
        if known is None:
            seen.append((landmarks, None))
            known = len(seen) - 1
        return known

    def _look(self, image: Image, region: Region, least: float) -> Landmarks | None:
        """The landmarks of the person whom `region` is drawn around, if they score more than `least`."""
        landmarks = self._finder.find(image, region, min_score=least)
        if landmarks is None or not landmarks.score > least or not belongs(landmarks):
            return None
        return landmarks if in_picture(landmarks, width=image.shape[1], height=image.shape[0]) else None

    def _is_large(self, box: Array) -> bool:
        width, height = box[2:] - box[:2]
        return bool(width >= self._thresholds.min_width_px and height >= self._thresholds.min_height_px)


def _regions(box: Array) -> list[Region]:
    """Where to look for whom `box` (4,) is expected around: upright, and lying if it is wider than tall."""
    width, height = box[2:] - box[:2]
    return regions_of_box(box, angles=(0.0, *(_LYING if width > height else ())))


def _explained(detection: Detection, seen: Sequence[Landmarks]) -> int | None:
    return next((number for number, one in enumerate(seen) if explains(one, detection)), None)


def _same(landmarks: Landmarks, seen: Sequence[Landmarks]) -> int | None:
    return next((number for number, one in enumerate(seen) if same_person(one, landmarks)), None)
