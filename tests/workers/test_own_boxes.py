"""Boxes and targets that a caller gives: what is refused, whom they mean, and who is seen in them."""

import numpy as np
import pytest

from tests.workers.stick_people import HEIGHT, WIDTH, Person, joints_of
from wire.errors import InvalidRegion
from wire.messages import Options
from workers import boxes, regions
from workers.blazepose.detector import Detector
from workers.blazepose.landmarks import LandmarkFinder, box_around
from workers.blazepose.search import Search
from workers.phalp.tracker import Tracker
from workers.sessions import asked_of
from workers.tracker import FrameFacts
from workers.types import Image

Clips = dict[str, dict[int, Image]]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param(Options(boxes=((0, 0, 5, 5),) * 3), "POSE_MAX_PEOPLE is 2", id="too many"),
        pytest.param(Options(boxes=((0, 0, 5, 5), (9, 0, 9, 5))), r"boxes\[1\].*x0 < x1", id="no width"),
        pytest.param(Options(boxes=((0, 5, 5, 0),)), r"boxes\[0\].*y0 < y1", id="upside down"),
        pytest.param(Options(boxes=((100, 0, 120, 5),)), r"boxes\[0\]: outside.*100 x 50", id="on the right"),
        pytest.param(Options(boxes=((-9, 0, 0, 5),)), r"boxes\[0\]: outside", id="on the left"),
        pytest.param(Options(target=(9, 0, 5, 5)), "target.*x0 <= x1", id="turned target"),
        pytest.param(Options(target=(50, 51, 50, 51)), "target: outside", id="target below"),
    ],
)
def test_what_means_nothing_in_the_picture_is_refused_with_its_name(options: Options, reason: str) -> None:
    with pytest.raises(InvalidRegion, match=reason):
        regions.check(options, width=100, height=50, most=2)


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options(boxes=()),
        Options(boxes=((-5, -5, 1, 1), (99, 49, 500, 500)), target=(100, 50, 100, 50)),
    ],
    ids=["none", "nobody is there", "partly outside"],
)
def test_what_lies_at_least_partly_in_the_picture_is_taken(options: Options) -> None:
    regions.check(options, width=100, height=50, most=2)


def test_each_given_box_belongs_to_the_expected_person_it_overlaps_most() -> None:
    expected = np.array([[0, 0, 10, 20], [100, 0, 110, 20], [200, 0, 210, 20]], np.float32)
    given = np.array([[101, 0, 111, 20], [1, 1, 11, 21], [0, 0, 10, 20], [300, 0, 310, 20]], np.float32)
    assert boxes.paired(given, expected) == [1, None, 0, None]
    assert boxes.paired(given, expected[:0]) == [None] * 4
    assert boxes.paired(given[:0], expected) == []


def test_another_question_about_a_picture_is_none_that_was_answered() -> None:
    questions = [
        Options(),
        Options(boxes=()),
        Options(boxes=((0, 0, 5, 5),)),
        Options(target=(1, 1, 1, 1)),
        Options(target=(2, 1, 2, 1)),
    ]
    assert len({asked_of(one) for one in questions}) == len(questions)
    assert asked_of(Options(visualize=True, full_people=True)) == asked_of(Options()) == 0


# ------------------------------------------------------------------ the target

BIG = Person(2, start_px=(150.0, 180.0), speed_px=(0.0, 0.0), height_px=180)
SMALL = Person(1, start_px=(450.0, 200.0), speed_px=(0.0, 0.0), height_px=80)


def shown(
    targets: dict[int, tuple[float, float, float, float]], *, hidden: tuple[int, ...] = ()
) -> list[int]:
    """The primary person of each of 40 frames; SMALL is out of sight in `hidden`."""
    tracker = Tracker(joints_of=joints_of, max_people=8)
    state, primaries = tracker.start(), []
    for number in range(40):
        seen = [BIG, SMALL] if number not in hidden else [BIG]
        facts = FrameFacts(number, WIDTH, HEIGHT, target=targets.get(number))
        state, people, primary = tracker.track(state, facts, [one.observed(number) for one in seen])
        assert primary is not None
        primaries.append(people[primary].track_id)
    return primaries


@pytest.mark.parametrize(
    "target", [(450, 200, 450, 200), (420, 150, 480, 250), (440, 165, 460, 185)], ids=["point", "box", "head"]
)
def test_who_is_named_is_primary_from_that_frame_on(target: tuple[float, float, float, float]) -> None:
    big, small = shown({})[0], shown({0: target})[0]
    assert big != small
    assert shown({5: target}) == [big] * 5 + [small] * 35


def test_who_is_named_stays_primary_out_of_sight_even_if_hardly_known() -> None:
    small = shown({2: (450, 200, 450, 200)}, hidden=(3, 4, 5))
    assert len(set(small[2:])) == 1
    assert small[2] != small[0]


def test_a_target_where_nobody_is_changes_nothing() -> None:
    assert shown({5: (320, 10, 320, 10)}) == shown({})


# ------------------------------------------------------------------ the embedded observer


@pytest.fixture(scope="module")
def search(detector: Detector, finder: LandmarkFinder) -> Search:
    return Search(detector=detector, finder=finder, max_people=8)


def test_exactly_the_people_in_the_boxes_are_seen(search: Search, clips: Clips) -> None:
    image = clips["sports2d"][0]
    (man,) = search.people(image, [], turn=0)
    box = box_around(man.landmarks)
    # Someone else's idea of his box, and two where nobody is, or he again.
    rough = box + np.array([-12, -8, 9, 14], np.float32)
    nobody = np.array([1500, 100, 1600, 300], np.float32)

    (seen,) = search.people_in(image, np.stack([nobody, rough, box]), [])

    assert (seen.box_index, seen.detected, seen.expected) == (1, True, None)
    middle = seen.landmarks.pixels[23:25, :2].mean(axis=0)
    assert middle == pytest.approx(man.landmarks.pixels[23:25, :2].mean(axis=0), abs=8)
    assert search.people_in(image, np.zeros((0, 4), np.float32), []) == []


def test_people_under_the_least_size_are_passed_over_unless_a_box_shows_them(
    detector: Detector, finder: LandmarkFinder, clips: Clips
) -> None:
    image = clips["sports2d"][0]
    (man,) = Search(detector=detector, finder=finder, max_people=8).people(image, [], turn=0)
    box = box_around(man.landmarks)
    strict = Search(detector=detector, finder=finder, max_people=8, min_height_px=float(box[3] - box[1]) + 20)
    assert strict.people(image, [], turn=0) == []
    assert len(strict.people_in(image, box[None], [])) == 1
