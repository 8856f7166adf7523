"""Who is in the picture: landmarks for those who are expected, and for those whom the detector finds.

Expected people are looked for first, each in his own region, so that following someone needs no
detection; the detector confirms them and finds the others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from workers.blazepose import given
from workers.blazepose.detector import Detection, Detector, Tile, whole_frame
from workers.blazepose.landmarks import LandmarkFinder, Landmarks, box_around
from workers.blazepose.likeness import belongs, clarity, explains, in_picture, same_person, strangeness
from workers.blazepose.region import Region, region_of_joints
from workers.blazepose.scouting import keeps, next_tile, one_look, some_tiles, tiles
from workers.blazepose.seeking import regions_around, regions_beside
from workers.blazepose.sighting import Expected, Sighting, is_expected
from workers.blazepose.together import Together
from workers.types import Array, Image


@dataclass(frozen=True, slots=True)
class _Thresholds:
    """The least scores of a detection that is looked at, and of a person's first and second landmarks."""

    detection: float
    first_look: float
    second_look: float


#: mediapipe's default for the detector. Bodies imagined over two people, or over one and the scenery, reach
#: 0.91 at the second look; real ones get 0.97 and more.
_NEWCOMER = _Thresholds(detection=0.5, first_look=0.8, second_look=0.95)
#: When a picture has shown nobody at all, anybody is welcome.
_LAST_RESORT = _Thresholds(detection=0.2, first_look=0.5, second_look=0.5)
#: An expected person's landmarks are believed from here on.
_EXPECTED_SCORE = 0.75
#: Limbs that are seen less clearly are looked at again. Of 2,286 looks at people who are read well none is
#: below 0.65; where left and right are mixed up, 0.25 to 0.55.
_CLEAR = 0.6


class Search:
    """The two networks, and the rules by which they share a picture. One per worker; not thread-safe."""

    def __init__(
        self,
        *,
        detector: Detector,
        finder: LandmarkFinder,
        max_people: int,
        min_width_px: float = 0,
        min_height_px: float = 0,
    ) -> None:
        """People whose boxes are narrower or lower than the least sizes are passed over."""
        self._detector = detector
        self._finder = finder
        self._max_people = max_people
        self._min_width_px = min_width_px
        self._min_height_px = min_height_px
        self._together = Together(threads=detector.threads)

    def people(
        self,
        image: Image,
        expected: Sequence[Expected],
        *,
        turn: int,
        meanwhile: Callable[[Sequence[Sighting]], None] | None = None,
    ) -> list[Sighting]:
        """The people in `image`, HWC uint8 RGB: the expected ones first, no one twice.

        meanwhile: called with the expected ones who are seen, the first of the people, while the detector
        looks for the others, who may yet confirm them: `detected` is not known so early.
        """
        seen = self._follow(image, expected)
        looking = partial(self._look_around, image, expected, seen, turn)
        if meanwhile and seen:
            self._together(looking, partial(meanwhile, tuple(seen)))
        else:
            looking()
        return seen

    def people_in(self, image: Image, boxes: Array, expected: Sequence[Expected]) -> list[Sighting]:
        """The people in `boxes` (B, 4), pixels of `image`, and nobody else: see `given`."""
        return given.people_in(self._finder, image, boxes, expected)

    def _look_around(
        self, image: Image, expected: Sequence[Expected], seen: list[Sighting], turn: int
    ) -> None:
        """Find the others, and confirm those in `seen`, by the detector."""
        height, width = image.shape[:2]
        whole = whole_frame(width, height)
        modest = bool(seen)  # what is known of them keeps the caller busy for as long as a look takes
        if expected and len(seen) == len(expected):
            regions = [one.landmarks.following for one in seen]
            look = one_look(width, height, turn=turn, followed=regions)
            self._discover(image, [look], seen, modest=modest)
            return
        self._discover(image, [whole], seen, modest=modest)
        if seen and _missing(expected, seen):
            self._look_everywhere(image, expected, seen, turn)
        elif seen:
            tile = next_tile(width, height, turn=turn, unconfirmed=_unconfirmed(expected, seen))
            self._discover(image, [tile] if tile else [], seen)
        else:
            self._discover(image, tiles(width, height), seen)
        if not seen:
            self._discover(image, [whole], seen, thresholds=_LAST_RESORT)

    def _look_everywhere(
        self, image: Image, expected: Sequence[Expected], seen: list[Sighting], turn: int
    ) -> None:
        """Look closer, part by part, until nobody is missing who may be anywhere."""
        height, width = image.shape[:2]
        again = _jumped_before(expected, seen)
        parts = some_tiles(width, height, turn=turn) if again else tiles(width, height)
        for pair in (parts[at : at + 2] for at in range(0, len(parts), 2)):
            for detections in self._detections(image, pair, _NEWCOMER.detection):
                self._recognise(image, detections, seen)
                if not _missing(expected, seen):
                    return

    def _follow(self, image: Image, expected: Sequence[Expected]) -> list[Sighting]:
        """Those of the expected people who are where they are expected, or near it."""
        seen: list[Sighting] = []
        lost: list[Expected] = []
        found = self._look_for(image, [(one, region_of_joints(one.joints)) for one in expected])
        self._look_again(image, expected, found)
        for one, landmarks in zip(expected, found, strict=True):
            if landmarks is None:
                lost.append(one)
                continue
            twin = _same(landmarks, seen)
            if twin is None:
                seen.append(Sighting(landmarks, one, detected=False))
            elif strangeness(landmarks, one.joints) < _strangeness(twin):
                # Two people are expected where one is seen: he is the one whom he resembles more.
                twin.landmarks, twin.expected = landmarks, one
        return seen + self._seek(image, [one for one in lost if one.proposal.trusted], seen)

    def _look_again(self, image: Image, expected: Sequence[Expected], found: list[Landmarks | None]) -> None:
        """Replace the least clear of those `found` by a clear look from beside, if there is one.

        A look that is hardly clearer shows the same blur, and only moves the limbs. The others wait.
        """
        unclear = [(clarity(one), index) for index, one in enumerate(found) if one and clarity(one) < _CLEAR]
        if not unclear:
            return
        _, index = min(unclear)
        one = expected[index]
        beside = [(one, region) for region in regions_beside(region_of_joints(one.joints))]
        clear = [look for look in self._look_for(image, beside) if look and clarity(look) >= _CLEAR]
        found[index] = max(clear, key=clarity, default=found[index])

    def _seek(self, image: Image, lost: Sequence[Expected], seen: Sequence[Sighting]) -> list[Sighting]:
        """The one of `lost` who was in view last, if he is near; the others wait: looks are dear."""
        if not lost:
            return []
        one = min(lost, key=lambda other: other.proposal.unseen)
        regions = regions_around(region_of_joints(one.joints), unseen=one.proposal.unseen)
        found = [
            landmarks
            for landmarks in self._look_for(image, [(one, region) for region in regions])
            if landmarks is not None and _same(landmarks, seen) is None
        ]
        # Upside down the network imagines people too, but it believes less in them.
        surest = max(found, key=lambda landmarks: landmarks.score, default=None)
        return [] if surest is None else [Sighting(surest, one, detected=False)]

    def _look_for(self, image: Image, whom: Sequence[tuple[Expected, Region]]) -> list[Landmarks | None]:
        """The landmarks of each expected person in a region; None: nobody is there, or someone else."""
        found = self._finder.find_all(image, [region for _, region in whom], min_score=_EXPECTED_SCORE)
        return [
            landmarks
            if landmarks and self._is_person(landmarks, image) and is_expected(landmarks, one)
            else None
            for (one, _), landmarks in zip(whom, found, strict=True)
        ]

    def _discover(
        self,
        image: Image,
        where: Sequence[Tile],
        seen: list[Sighting],
        *,
        thresholds: _Thresholds = _NEWCOMER,
        modest: bool = False,
    ) -> None:
        """Look `where`; confirm those in `seen` whom the detector shows, and add the others to it."""
        found = self._detections(image, where, thresholds.detection, modest=modest)
        self._recognise(image, [one for detections in found for one in detections], seen, thresholds)

    def _recognise(
        self,
        image: Image,
        detections: Sequence[Detection],
        seen: list[Sighting],
        thresholds: _Thresholds = _NEWCOMER,
    ) -> None:
        """Confirm those in `seen` whom `detections` show, and add the others to it; the best ones first."""
        for detection in sorted(detections, key=lambda detection: -detection.score):
            known = next((one for one in seen if explains(one.landmarks, detection)), None)
            if known is None and len(seen) < self._max_people:
                known = self._newcomer(image, detection, seen, thresholds)
            if known is not None:
                known.detected = True

    def _detections(
        self, image: Image, where: Sequence[Tile], min_score: float, *, modest: bool = False
    ) -> list[list[Detection]]:
        """What the detector sees in each of `where`."""
        height, width = image.shape[:2]
        if len(where) == 1:
            looks = [self._detector.detect(image, where[0], min_score=min_score, modest=modest)]
        else:
            looks = self._detector.detect_all(image, where, min_score=min_score)
        return [
            [one for one in look if keeps(tile, one, width=width, height=height)]
            for tile, look in zip(where, looks, strict=True)
        ]

    def _newcomer(
        self, image: Image, detection: Detection, seen: list[Sighting], thresholds: _Thresholds
    ) -> Sighting | None:
        """Whom `detection` shows, added to `seen` if not yet there; None: nobody, it is a false box."""
        first = self._look(image, detection.region, thresholds.first_look)
        if first is None:
            return None
        # A false box can pass once; a person is still there when looked at where the first look put him.
        landmarks = self._look(image, first.following, thresholds.second_look)
        if landmarks is None:
            return None
        known = _same(landmarks, seen)
        if known is None:
            known = Sighting(landmarks, None, detected=True)
            seen.append(known)
        return known

    def _look(self, image: Image, region: Region, min_score: float) -> Landmarks | None:
        """The landmarks of the person whom `region` is drawn around; None: nobody, or someone else."""
        landmarks = self._finder.find(image, region, min_score=min_score)
        return landmarks if landmarks and self._is_person(landmarks, image) else None

    def _is_person(self, landmarks: Landmarks, image: Image) -> bool:
        """Whether these are of whom their region is drawn around, who is in the picture, and large enough."""
        if not (belongs(landmarks) and in_picture(landmarks, width=image.shape[1], height=image.shape[0])):
            return False
        x0, y0, x1, y1 = box_around(landmarks)
        return bool(x1 - x0 >= self._min_width_px and y1 - y0 >= self._min_height_px)


def _same(landmarks: Landmarks, seen: Sequence[Sighting]) -> Sighting | None:
    return next((one for one in seen if same_person(one.landmarks, landmarks)), None)


def _unconfirmed(expected: Sequence[Expected], seen: Sequence[Sighting]) -> list[Region]:
    """Where the detector should look closer: at those who were not found, or only by following them."""
    met = [one.expected for one in seen]
    lost = [region_of_joints(one.joints) for one in expected if one not in met]
    return lost + [one.landmarks.following for one in seen if not one.detected]


def _missing(expected: Sequence[Expected], seen: Sequence[Sighting]) -> int:
    """How many who may be anywhere in the picture are not seen; whom nobody expected may be one of them."""
    met = [one.expected for one in seen]
    lost = sum(one.proposal.anywhere for one in expected if one not in met)
    return max(lost - met.count(None), 0)


def _jumped_before(expected: Sequence[Expected], seen: Sequence[Sighting]) -> bool:
    """Whether the picture goes on, and whoever may be anywhere was looked for in the frame of the jump."""
    met = [one.expected for one in seen]
    lost = [one.proposal for one in expected if one.proposal.anywhere and one not in met]
    return any(not one.proposal.anywhere for one in expected) and all(one.unseen > 1 for one in lost)


def _strangeness(sighting: Sighting) -> float:
    if sighting.expected is None:
        raise ValueError("only an expected person can be strange")
    return strangeness(sighting.landmarks, sighting.expected.joints)
