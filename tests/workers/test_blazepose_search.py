"""Who is found in real pictures: the expected people, the newcomers, and nobody twice."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from workers.blazepose.detector import Detection, Detector, Tile
from workers.blazepose.landmarks import LandmarkFinder, Landmarks
from workers.blazepose.search import Expected, Search, Sighting
from workers.types import BodyPose, Image, Proposal

Clips = dict[str, dict[int, Image]]

#: Landmarks whose mean lies where the SMPL joint does, near enough.
LANDMARKS_OF_JOINT = (
    (23, 24), (23,), (24,), (11, 12, 23, 24, 23, 24), (25,), (26,), (11, 12, 23, 24), (27,), (28,),
    (11, 12, 23, 24, 11, 12), (31,), (32,), (11, 12), (11,), (12,), (7, 8), (11,), (12,), (13,), (14,),
    (15,), (16,), (19,), (20,),
)  # fmt: skip

NO_POSE = BodyPose(np.zeros((24, 3, 3), np.float32), np.zeros(10, np.float32), np.zeros(3, np.float32))


@pytest.fixture(scope="module")
def search(detector: Detector, finder: LandmarkFinder) -> Search:
    return Search(detector=detector, finder=finder, max_people=8)


def expect(
    landmarks: Landmarks,
    *,
    track_id: int = 1,
    moved_px: float = 0,
    turned: float = 0,
    continuous: bool = True,
    unseen: int = 1,
    trusted: bool = False,
    anywhere: bool = False,
) -> Expected:
    """Someone who was seen with `landmarks`, expected `moved_px` farther right, `turned` radians."""
    joints = np.array([landmarks.pixels[list(points), :2].mean(axis=0) for points in LANDMARKS_OF_JOINT])
    turn = np.array([[np.cos(turned), np.sin(turned)], [-np.sin(turned), np.cos(turned)]])
    joints = (joints - joints[0]) @ turn + joints[0] + np.array([moved_px, 0])
    return Expected(
        Proposal(track_id, NO_POSE, continuous, unseen, trusted=trusted, anywhere=anywhere), joints
    )


def hips(sighting: Sighting) -> tuple[int, int]:
    x, y = sighting.landmarks.pixels[23:25, :2].mean(axis=0)
    return round(float(x)), round(float(y))


def test_nobody_known_means_everyone_is_looked_for_also_in_tiles(search: Search, clips: Clips) -> None:
    (man,) = search.people(clips["sports2d"][0], [], turn=0)
    assert hips(man) == pytest.approx((654, 270), abs=20)
    assert man.detected
    assert man.expected is None


def test_an_expected_person_is_found_where_the_whole_picture_shows_nobody(
    search: Search, clips: Clips
) -> None:
    (man,) = search.people(clips["sports2d"][0], [], turn=0)

    # In this turn the tile is one on the right; he is on the left.
    (again,) = search.people(clips["sports2d"][10], [expect(man.landmarks, track_id=7)], turn=4)

    assert again.expected is not None
    assert again.expected.proposal.track_id == 7
    assert not again.detected
    assert hips(again) == pytest.approx((642, 270), abs=25)


def test_a_followed_person_is_confirmed_by_a_detection_around_him(search: Search, clips: Clips) -> None:
    (man,) = search.people(clips["sports2d"][0], [], turn=0)
    (again,) = search.people(clips["sports2d"][10], [expect(man.landmarks)], turn=1)
    assert again.expected is not None
    assert again.detected


def test_a_newcomer_is_found_beside_a_known_person(search: Search, clips: Clips) -> None:
    (man,) = search.people(clips["sports2d"][0], [], turn=0)
    people = search.people(clips["sports2d"][60], [expect(man.landmarks)], turn=0)
    assert [one.expected is not None for one in people] == [True, False]
    assert hips(people[1]) == pytest.approx((1415, 735), abs=25)  # a woman walks in


def test_two_proposals_for_one_person_keep_the_better_one(search: Search, clips: Clips) -> None:
    image = clips["cam01"][0]
    (man, *_) = search.people(image, [], turn=0)
    wrong, right = (
        expect(man.landmarks, track_id=track_id, moved_px=moved_px)
        for track_id, moved_px in ((1, 60), (2, 0))
    )
    for expected in ([wrong, right], [right, wrong]):
        followed = [one for one in search.people(image, expected, turn=0) if one.expected]
        assert [one.expected.proposal.track_id for one in followed if one.expected] == [2]


@pytest.mark.parametrize(("frame", "hands"), [(60, [(472, 465), (737, 883)]), (70, [(408, 510), (736, 853)])])
def test_a_person_whom_the_network_reads_two_ways_is_read_one_way(
    search: Search, clips: Clips, frame: int, hands: list[tuple[int, int]]
) -> None:
    image = clips["cam02"][frame]  # ten pixels farther right or left, his left is taken for his right or not
    man = max(search.people(image, [], turn=0), key=lambda one: one.landmarks.region.side_px)
    for moved_px in range(-40, 41, 10):
        found = search.people(image, [expect(man.landmarks, moved_px=moved_px)], turn=0)
        (again,) = [one for one in found if one.expected]
        wrists = sorted(again.landmarks.pixels[15:17, :2].tolist())
        assert wrists == [pytest.approx(hand, abs=50) for hand in hands], "not between his hands"


def test_a_person_who_is_not_there_is_not_made_up(search: Search, clips: Clips) -> None:
    (man,) = search.people(clips["sports2d"][0], [], turn=0)
    beside = expect(man.landmarks, moved_px=700)  # against the wall of a house
    people = search.people(clips["sports2d"][0], [beside], turn=0)
    assert [one.expected for one in people] == [None]


def test_a_neighbour_does_not_stand_in_for_the_expected_person(search: Search, clips: Clips) -> None:
    image = clips["cam01"][0]
    (man, *_) = search.people(image, [], turn=0)
    farther = expect(man.landmarks, moved_px=0.6 * man.landmarks.following.side_px)
    assert all(one.expected is None for one in search.people(image, [farther], turn=0))


def test_who_turned_over_is_sought_if_trusted(search: Search, clips: Clips) -> None:
    image = clips["cam01"][0]
    (man, *_) = search.people(image, [], turn=0)
    over = [expect(man.landmarks, turned=1.2, continuous=False, trusted=trusted) for trusted in (False, True)]
    waiting, sought = ([one for one in search.people(image, [who], turn=0) if one.expected] for who in over)
    assert waiting == []
    assert hips(sought[0]) == pytest.approx(hips(man), abs=20)


def test_a_picture_without_people_stays_empty(search: Search) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (540, 960, 3), dtype=np.uint8)
    assert search.people(noise, [], turn=0) == []


def test_no_more_people_are_looked_at_than_allowed(
    detector: Detector, finder: LandmarkFinder, clips: Clips
) -> None:
    search = Search(detector=detector, finder=finder, max_people=1)
    assert len(search.people(clips["sports2d"][60], [], turn=0)) == 1


def test_who_was_expected_is_told_while_the_detector_still_looks(search: Search, clips: Clips) -> None:
    image = clips["sports2d"][60]
    (man,) = search.people(clips["sports2d"][0], [], turn=0)
    told: list[Sighting] = []

    people = search.people(image, [expect(man.landmarks)], turn=0, meanwhile=told.extend)

    assert told == people[:1]
    assert len(people) == 2
    unheard = search.people(image, [expect(man.landmarks)], turn=0)
    assert [(one.landmarks.pixels.tobytes(), one.detected) for one in people] == [
        (one.landmarks.pixels.tobytes(), one.detected) for one in unheard
    ]


def test_where_nobody_expected_is_seen_nobody_is_told_early(search: Search, clips: Clips) -> None:
    told: list[Sighting] = []
    assert search.people(clips["sports2d"][0], [], turn=0, meanwhile=told.extend)
    assert told == []


def test_the_same_question_gets_the_same_answer(search: Search, clips: Clips) -> None:
    image = clips["sports2d"][60]
    first = search.people(image, [], turn=0)
    search.people(clips["cam01"][0], [], turn=3)
    second = search.people(image, [], turn=0)
    assert [one.landmarks.pixels.tobytes() for one in first] == [
        one.landmarks.pixels.tobytes() for one in second
    ]


def test_who_may_be_anywhere_is_looked_for_everywhere_at_once(search: Search, clips: Clips) -> None:
    (man,) = search.people(clips["sports2d"][0], [], turn=0)
    image = clips["sports2d"][160]  # he leaps from a roof, and is small; the woman below is not
    woman = min(search.people(image, [expect(man.landmarks)], turn=0), key=hips)
    waiting, looking = (
        search.people(
            image,
            [expect(woman.landmarks), expect(man.landmarks, track_id=2, anywhere=anywhere)],
            turn=2,
        )
        for anywhere in (False, True)
    )
    known = pytest.approx(hips(woman), abs=5)
    assert [hips(one) for one in waiting] == [known]
    assert [hips(one) for one in looking] == [known, pytest.approx((780, 305), abs=40)]


def test_who_was_not_found_when_the_picture_jumped_is_looked_for_everywhere_within_three_frames(
    search: Search, detector: Detector, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Tile] = []

    def detect(image: Image, tile: Tile, **how: Any) -> list[Detection]:
        looked.append(tile)
        return Detector.detect(detector, image, tile, **how)

    def detect_all(image: Image, where: Sequence[Tile], **how: Any) -> list[list[Detection]]:
        looked.extend(where)
        return Detector.detect_all(detector, image, where, **how)

    (man,) = search.people(clips["sports2d"][0], [], turn=0)
    image = clips["sports2d"][160]  # he leaps; the woman below shows that the picture goes on
    woman = min(search.people(image, [expect(man.landmarks)], turn=0), key=hips)
    expected = [expect(woman.landmarks), expect(man.landmarks, track_id=2, unseen=3, anywhere=True)]
    known, leaping = pytest.approx(hips(woman), abs=5), pytest.approx((780, 305), abs=40)
    monkeypatch.setattr(detector, "detect", detect)
    monkeypatch.setattr(detector, "detect_all", detect_all)
    found = []
    for turn in range(3):
        looked.clear()
        found.append([hips(one) for one in search.people(image, expected, turn=turn)])
        assert len(looked) <= 5, "of twelve, which would take longer than all else"
    assert all(people[0] == known for people in found)
    assert any(people[1:] == [leaping] for people in found)
