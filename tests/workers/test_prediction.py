"""How people go on out of sight: by what their own past teaches, and where nothing is known, by velocity."""

from dataclasses import replace

import numpy as np
import pytest

from tests.workers.stick_people import HEIGHT, WIDTH, Person, joints_of
from workers.geometry import rotation_from_vector, vector_from_rotation
from workers.phalp import past
from workers.phalp.past import LONGEST_BREAK, NO_PLACES, NO_TURNS
from workers.phalp.predict import TURNS, out_of_sight
from workers.phalp.regression import PAST, continued
from workers.phalp.sighting import lift
from workers.phalp.skeleton import Skeleton
from workers.phalp.track import begin


def of_swing(frames: np.ndarray, *, period: float) -> np.ndarray:
    """Angles (N,) of a swing, from what it is in frame 0."""
    return 0.5 * np.sin(2 * np.pi * frames / period)


def test_a_swing_swings_back():
    period, ahead = 30.0, np.arange(1, 13)
    seen = np.zeros((1, 3, PAST, 24))
    seen[0, 2] = of_swing(np.arange(1.0 - PAST, 1.0), period=period)[:, None]
    truth = of_swing(ahead.astype(float), period=period)
    known = np.array([PAST])
    said = [continued(seen, known=known, ahead=ahead[n : n + 1], response=TURNS)[0, 2, 0] for n in range(12)]
    off, held_off = np.abs(np.array(said) - truth).mean(), np.abs(truth).mean()
    assert off < 0.3 * held_off


def test_who_stands_still_is_held():
    still = np.zeros((2, 3, PAST, 24))
    said = continued(still, known=np.array([PAST, 6]), ahead=np.array([1, 30]), response=TURNS)
    assert said == pytest.approx(np.zeros((2, 3, 24)))


def test_each_track_goes_on_as_it_does_alone():
    random = np.random.default_rng(1)
    seen = np.cumsum(random.normal(0, 0.02, (3, 3, PAST, 24)), axis=2)
    seen -= seen[:, :, -1:]
    known, ahead = np.array([PAST, 20, 6]), np.array([1, 7, 30])
    together = continued(seen, known=known, ahead=ahead, response=TURNS)
    for row in range(3):
        one = slice(row, row + 1)
        alone = continued(seen[one], known=known[one], ahead=ahead[one], response=TURNS)
        assert together[one] == pytest.approx(alone, abs=1e-9)


def test_rotations_come_back_from_quaternions_as_they_were_also_near_half_turns():
    vectors = np.random.default_rng(2).normal(0, 1, (200, 3))
    vectors *= np.linspace(0, np.pi, 200)[:, None] / np.linalg.norm(vectors, axis=-1, keepdims=True)
    stored = past.quaternions(rotation_from_vector(vectors)) / 32767
    again = rotation_from_vector(past.vector_from_quaternion(stored))
    off = vector_from_rotation(np.swapaxes(rotation_from_vector(vectors), -1, -2) @ again)
    assert np.abs(off).max() < 1e-4


def test_a_past_is_bounded_and_breaks_lie_between_what_was_seen():
    turns = past.quaternions(np.tile(np.eye(3), (24, 1, 1)))
    quarter = past.quaternions(np.tile(rotation_from_vector(np.array([0.0, 1.0, 0.0])), (24, 1, 1)))
    known = past.extended((NO_TURNS, NO_PLACES), turns, np.zeros(3), frames=1)
    known = past.extended(known, quarter, np.array([4.0, 0.0, 0.0]), frames=4)
    assert known[1][:, 0] == pytest.approx([0, 1, 2, 3, 4])
    halfway = np.cos(0.25) * 32767  # of half a radian
    assert known[0][2, 0, 3] == pytest.approx(halfway, rel=2e-3)
    for _ in range(2 * PAST):
        known = past.extended(known, turns, np.zeros(3), frames=1)
    assert len(known[0]) == len(known[1]) == PAST
    assert len(past.extended(known, turns, np.zeros(3), frames=LONGEST_BREAK + 1)[1]) == 1


def test_someone_of_whom_little_is_known_stays_as_the_filter_has_him():
    skeleton = Skeleton(joints_of)
    [seen] = lift([Person(1).observed(0)], skeleton=skeleton, width=WIDTH, height=HEIGHT)
    track = replace(begin(1, seen), unseen=1)
    [after] = out_of_sight([track], lost=[0])
    assert after is track
