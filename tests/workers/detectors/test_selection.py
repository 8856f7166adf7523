"""Which boxes are people, and which of them were expected."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.detectors.person import Thresholds
from workers.detectors.selection import OWN, SAME_PERSON_IOU, Candidates, Selected, overlap, select

PHALP = Thresholds(detection_score=0.8, expected_score=0.3, min_width_px=50, min_height_px=100)
NOBODY = np.zeros((0, 4), np.float32)
MAN = (100, 100, 200, 400)
BESIDE = (300, 100, 400, 400)


def candidates(*rows: tuple[tuple[float, ...], float, int]) -> Candidates:
    boxes, scores, origins = zip(*rows, strict=True) if rows else ((), (), ())
    return Candidates(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        origins=np.array(origins, np.int64),
    )


def expected(*boxes: tuple[float, ...]) -> np.ndarray:
    return np.array(boxes, np.float32).reshape(-1, 4)


@pytest.mark.parametrize(
    ("score", "origin", "is_person"),
    [
        (0.81, OWN, True),
        (0.79, OWN, False),
        (0.31, 0, True),
        (0.29, 0, False),
        (float("nan"), 0, False),
    ],
)
def test_a_score_must_exceed_its_threshold(score: float, origin: int, is_person: bool) -> None:
    assert bool(select(candidates((MAN, score, origin)), expected(MAN), PHALP)) == is_person


def test_a_score_at_the_threshold_is_not_enough() -> None:
    half = Thresholds(detection_score=0.5, expected_score=0.25, min_width_px=50, min_height_px=100)
    assert select(candidates((MAN, 0.5, OWN), (BESIDE, 0.25, 0)), expected(BESIDE), half) == []


@pytest.mark.parametrize(
    ("box", "is_person"),
    [
        pytest.param((0, 0, 50, 100), True, id="just large enough"),
        pytest.param((0, 0, 49, 100), False, id="too narrow"),
        pytest.param((0, 0, 50, 99), False, id="too low"),
        pytest.param((0, 0, float("nan"), 100), False, id="not a number"),
    ],
)
def test_people_have_a_least_size(box: tuple[float, ...], is_person: bool) -> None:
    assert bool(select(candidates((box, 0.9, OWN)), NOBODY, PHALP)) == is_person


def test_an_expected_box_adds_whom_the_network_missed() -> None:
    people = select(candidates((MAN, 0.9, OWN), (BESIDE, 0.5, 1)), expected(MAN, BESIDE), PHALP)
    assert people == [Selected(0, None, True), Selected(1, 1, False)]


def test_who_is_found_and_expected_is_one_person_with_the_box_that_was_found() -> None:
    shifted = (105, 100, 205, 400)
    people = select(candidates((MAN, 0.85, OWN), (shifted, 0.99, 0)), expected(shifted), PHALP)
    assert people == [Selected(0, 0, True)]


def test_of_two_boxes_that_show_one_person_the_nearer_is_named() -> None:
    far, near = (160, 100, 260, 400), (110, 100, 210, 400)
    rows = (MAN, 0.7, 0), (MAN, 0.6, 1)
    assert select(candidates(*rows), expected(far, near), PHALP) == [Selected(0, 1, False)]


def test_nothing_shows_nobody() -> None:
    assert select(candidates(), NOBODY, PHALP) == []


SIDE = st.floats(0, 300, width=16)
BOX = st.tuples(SIDE, SIDE, SIDE, SIDE).map(lambda box: (box[0], box[1], box[0] + box[2], box[1] + box[3]))
SCORED = st.tuples(BOX, st.floats(0, 1, width=16))


@given(st.lists(SCORED, max_size=8), st.lists(st.tuples(SCORED, BOX), max_size=4))
def test_whatever_is_expected_no_one_is_found_twice_and_the_network_finds_the_same(
    found: list[tuple[tuple[float, ...], float]],
    helped: list[tuple[tuple[tuple[float, ...], float], tuple[float, ...]]],
) -> None:
    rows = [(*one, OWN) for one in found] + [(*one, number) for number, (one, _) in enumerate(helped)]
    given_boxes = expected(*(box for _, box in helped))
    every = candidates(*rows)
    people = select(every, given_boxes, PHALP)

    own = [row for row in rows if row[2] == OWN]
    alone = [own[one.index] for one in select(candidates(*own), NOBODY, PHALP)]
    assert [rows[one.index] for one in people if one.detected] == alone

    marks = [one.expected for one in people if one.expected is not None]
    assert len(marks) == len(set(marks))
    for number, one in enumerate(people):
        assert one.detected or one.expected is not None
        others = [other.index for other in people[number + 1 :]]
        assert not (overlap(every.boxes[others], every.boxes[one.index]) > SAME_PERSON_IOU).any()
