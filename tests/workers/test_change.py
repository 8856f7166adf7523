"""How much people are expected to change is what they were seen to change by."""

from dataclasses import replace

import numpy as np
import pytest

from tests.workers.stick_people import HEIGHT, WIDTH, Person, joints_of
from workers.geometry import rotation_from_vector
from workers.phalp.change import LEAST_KNOWN, changes_of
from workers.phalp.past import quaternions
from workers.phalp.skeleton import Skeleton
from workers.phalp.state import TrackState
from workers.phalp.tracker import Tracker
from workers.tracker import FrameFacts

FRAMES = 60
PERIOD = 24


@pytest.fixture(scope="module")
def skeleton() -> Skeleton:
    return Skeleton(joints_of)


def swinging(*, known: int = FRAMES, radians: float = 0.5) -> TrackState:
    """Somebody whose whole body swings about the axis to his left, there and back in `PERIOD` frames."""
    tracker = Tracker(joints_of=joints_of, max_people=1)
    state, _, _ = tracker.track(tracker.start(), FrameFacts(0, WIDTH, HEIGHT), [Person(1).observed(0)])
    [track] = state.tracks
    angles = radians * np.sin(2 * np.pi * np.arange(known) / PERIOD)
    turns = rotation_from_vector(np.repeat(angles[:, None, None], 24, axis=1) * np.array([1.0, 0, 0]))
    return replace(track, past_turns=quaternions(turns), past_places=np.ones((known, 3)))


def test_a_swing_changes_most_within_half_its_period_and_is_not_taken_to_be_back_after_a_whole_one(skeleton):
    track, frames = swinging(), np.array([1, 6, 12, 24, 48, 100])
    once, within = changes_of([track] * len(frames), frames, skeleton).T
    assert (np.diff(within) > 0).all() and (once == within[0]).all()
    arm_m = np.linalg.norm(
        skeleton.joints(np.tile(np.eye(3), (1, 24, 1, 1)), track.betas[None])[0, :, 1:], axis=1
    )
    turned = [
        0.5 * np.abs(2 * np.sin(np.pi * apart / PERIOD)) * 2 / np.pi for apart in (1, 12)
    ]  # mean radians
    expected = [2000 * np.sin(angle / 2) * arm_m.mean() for angle in turned]
    np.testing.assert_allclose([once[0], within[2]], expected, rtol=0.2)
    assert within[3] < 1.1 * within[2] and within[5] < 1.2 * within[2]


def test_a_short_past_is_taken_to_go_on_as_fast_and_a_shorter_one_tells_nothing(skeleton):
    tracks = [swinging(known=LEAST_KNOWN), swinging(known=LEAST_KNOWN - 1)]
    (once, within), unknown = changes_of(tracks, np.array([8, 8]), skeleton)
    assert 4 * once < within < 9 * once
    assert np.isnan(unknown).all()


def test_people_are_told_apart_from_each_other(skeleton):
    tracks, frames = [swinging(radians=0.1), swinging(known=20), swinging()], np.array([3, 9, 12])
    alone = np.concatenate([changes_of([one], frames[[row]], skeleton) for row, one in enumerate(tracks)])
    np.testing.assert_allclose(changes_of(tracks, frames, skeleton), alone, rtol=1e-6)
