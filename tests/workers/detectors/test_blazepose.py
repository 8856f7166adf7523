"""The embedded networks as a person detector, on real pictures."""

from dataclasses import replace

import numpy as np
import pytest

from workers.blazepose.detector import Detector
from workers.blazepose.landmarks import LandmarkFinder
from workers.detectors.blazepose import BlazePoseDetector
from workers.detectors.person import DetectedPerson, Look, Thresholds
from workers.types import Array, Image

Clips = dict[str, dict[int, Image]]

USUAL = Thresholds(detection_score=0.8, expected_score=0.3, min_width_px=50, min_height_px=100)


@pytest.fixture(scope="module")
def people_in(detector: Detector, finder: LandmarkFinder) -> BlazePoseDetector:
    return BlazePoseDetector(detector=detector, finder=finder, thresholds=USUAL)


def alone(people_in: BlazePoseDetector, look: Look) -> list[DetectedPerson]:
    (people,) = people_in.people([look])
    return people


def moved(box: Array, *, by_px: float) -> Array:
    return (box + np.array([by_px, 0, by_px, 0]))[None].astype(np.float32)


def test_a_man_and_a_woman_are_found_with_boxes_around_them(
    people_in: BlazePoseDetector, clips: Clips
) -> None:
    people = alone(people_in, Look(clips["sports2d"][60], turn=0))
    assert len(people) >= 1
    for person in people:
        assert person.detected
        assert person.expected is None
        assert person.mask is None
        assert person.box.dtype == np.float32
        assert person.score > 0.95
    (woman,) = [person for person in people if person.box[0] < 1415 < person.box[2]]
    assert woman.box[1] < 735 < woman.box[3]
    width, height = woman.box[2:] - woman.box[:2]
    assert 1.5 < height / width < 5


def test_an_expected_box_shows_the_man_whom_the_whole_picture_hides(
    people_in: BlazePoseDetector, clips: Clips
) -> None:
    (man,) = alone(people_in, Look(clips["sports2d"][0]))
    # In this turn the part that is looked at closer is on the right; he is on the left.
    look = Look(clips["sports2d"][10], expected=moved(man.box, by_px=-12), turn=2)
    (again,) = alone(people_in, look)
    assert (again.expected, again.detected) == (0, False)
    assert (again.box[:2] + again.box[2:]) / 2 == pytest.approx([642, 270], abs=30)


def test_who_is_expected_and_found_is_both(people_in: BlazePoseDetector, clips: Clips) -> None:
    (man,) = alone(people_in, Look(clips["cam01"][0]))[:1]
    people = alone(people_in, Look(clips["cam01"][10], expected=man.box[None]))
    assert (people[0].expected, people[0].detected) == (0, True)


def test_a_box_beside_the_man_is_not_he(people_in: BlazePoseDetector, clips: Clips) -> None:
    (man,) = alone(people_in, Look(clips["sports2d"][0]))
    people = alone(people_in, Look(clips["sports2d"][0], expected=moved(man.box, by_px=700)))
    assert all(person.expected is None for person in people)


def test_of_two_boxes_for_one_man_the_nearer_counts(people_in: BlazePoseDetector, clips: Clips) -> None:
    image = clips["cam01"][0]
    (man, *_) = alone(people_in, Look(image))
    far, near = moved(man.box, by_px=0.1 * (man.box[3] - man.box[1])), man.box[None]
    for boxes, index in ((np.concatenate([far, near]), 1), (np.concatenate([near, far]), 0)):
        shown = [
            person.expected for person in alone(people_in, Look(image, boxes)) if person.expected is not None
        ]
        assert shown == [index]


def test_thresholds_and_sizes_come_on_top(
    detector: Detector, finder: LandmarkFinder, people_in: BlazePoseDetector, clips: Clips
) -> None:
    look = Look(clips["cam01"][0])
    (man, *_) = alone(people_in, look)
    width, height = man.box[2:] - man.box[:2]
    for stricter in (
        replace(USUAL, min_width_px=width + 1),
        replace(USUAL, min_height_px=height + 1),
        replace(USUAL, detection_score=0.99999999),
    ):
        strict = BlazePoseDetector(detector=detector, finder=finder, thresholds=stricter)
        assert not any((person.box == man.box).all() for person in alone(strict, look))


@pytest.mark.parametrize("box", [[np.nan, 0, 9, 9], [50, 50, 20, 90], [9e9, 9e9, 9e9 + 5e8, 9e9 + 5e8]])
def test_a_box_that_shows_nothing_is_passed_over(
    people_in: BlazePoseDetector, clips: Clips, box: list[float]
) -> None:
    image = clips["cam01"][0]
    expected = np.array([box], np.float32)
    assert len(alone(people_in, Look(image, expected))) == len(alone(people_in, Look(image)))


def test_a_picture_without_people_stays_empty(people_in: BlazePoseDetector) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (540, 960, 3), dtype=np.uint8)
    assert alone(people_in, Look(noise)) == []


def test_a_picture_gets_the_same_answer_alone_and_in_company(
    people_in: BlazePoseDetector, clips: Clips
) -> None:
    looks = [Look(clips["cam01"][0]), Look(clips["sports2d"][60]), Look(clips["cam01"][10])]
    moments: list[int] = []
    together = people_in.people(looks, lambda: moments.append(1))
    assert len(moments) == len(looks)
    for look, people in zip(looks, together, strict=True):
        again = alone(people_in, look)
        assert [person.box.tobytes() for person in people] == [person.box.tobytes() for person in again]
