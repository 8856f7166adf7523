"""The benchmark of withheld detections measures what it says, on motions that are known."""

import numpy as np
import pytest

from bench import gaps
from bench.gaps import LEAD, Gap, Poses
from bench.predictors import constant_velocity, damped_line, hold
from tests.workers.stick_people import joints_of
from workers.geometry import rotation_from_vector
from workers.phalp.location import pelvis_at
from workers.phalp.skeleton import Skeleton

BETAS = np.zeros(10)


@pytest.fixture(scope="module")
def skeleton() -> Skeleton:
    return Skeleton(joints_of)


def spinning(frames: np.ndarray, *, spin: float = 0.05, drift: float = 0.01) -> Poses:
    """A body all of which turns about the camera's y axis, and moves right."""
    turns = rotation_from_vector(frames[:, None, None] * np.array([0.0, spin, 0.0]))
    places = np.array([-0.1, 0.0, 3.0]) + frames[:, None] * np.array([drift, 0.0, 0.0])
    return Poses(np.repeat(turns, 24, axis=1), places)


def errors_of(said: Poses, truth: Poses, skeleton: Skeleton) -> gaps.Errors:
    return gaps.errors(said, truth, betas=BETAS, skeleton=skeleton, longer_side_px=1000)


def test_constant_velocity_is_exact_on_a_constant_rotation(skeleton):
    truth = spinning(np.arange(30.0))
    off = errors_of(constant_velocity(truth.part(slice(0, 10)), 20), truth.part(slice(10, 30)), skeleton)
    assert max(off.root_mm.max(), off.absolute_mm.max(), off.px.max()) < 1e-3


def test_holding_the_last_pose_is_off_by_the_way_made_since(skeleton):
    truth = spinning(np.arange(15.0), drift=0.0)
    off = errors_of(hold(truth.part(slice(0, 10)), 5), truth.part(slice(10, 15)), skeleton)
    joints = skeleton.joints(np.tile(np.eye(3), (1, 24, 1, 1)), BETAS[None])[0]
    from_axis = np.hypot(joints[:, 0], joints[:, 2])
    chords_mm = [2000 * np.sin(0.05 * frames / 2) * from_axis.mean() for frames in range(1, 6)]
    assert off.root_mm == pytest.approx(chords_mm, rel=1e-3)


def test_a_damped_line_comes_to_rest_after_five_frames_of_motion():
    truth = spinning(np.arange(10.0))
    said = damped_line(truth, 60)
    assert said.places[-1] - truth.places[-1] == pytest.approx([5 * 0.01, 0, 0], rel=1e-3)


def test_errors_tell_place_from_pose(skeleton):
    truth = spinning(np.zeros(1))
    moved = Poses(truth.turns, truth.places + np.array([0.02, 0.0, 0.0]))
    off = errors_of(moved, truth, skeleton)
    length = skeleton.length(BETAS)
    way_m = pelvis_at(moved.places, length[None]) - pelvis_at(truth.places, length[None])
    assert off.root_mm == pytest.approx([0], abs=1e-9)
    assert off.absolute_mm == pytest.approx(1000 * np.linalg.norm(way_m, axis=-1))
    depths = skeleton.joints(np.tile(np.eye(3), (1, 24, 1, 1)), BETAS[None])[0, :, 2] + way_m[0, 2]
    assert off.px == pytest.approx([20], rel=np.abs(depths).max())


def test_the_reference_is_nearer_to_the_motion_than_what_was_seen_and_ignores_single_flips(skeleton):
    random = np.random.default_rng(1)
    truth = spinning(np.arange(60.0), spin=0.03)
    noise = rotation_from_vector(random.normal(0, 0.05, (60, 24, 3)))
    seen = Poses(truth.turns @ noise, truth.places + random.normal(0, 0.003, (60, 3)))
    flipped = seen.turns.copy()
    flipped[30] = flipped[30] @ rotation_from_vector(np.array([0.0, 2.5, 0.0]))
    known = np.ones(60, dtype=bool)

    smooth = gaps.reference(Poses(flipped, seen.places), known)

    inner = slice(8, 52)
    raw = errors_of(seen.part(inner), truth.part(inner), skeleton)
    off = errors_of(smooth.part(inner), truth.part(inner), skeleton)
    assert off.root_mm.mean() < 0.6 * raw.root_mm.mean()
    assert off.px.mean() < 0.6 * raw.px.mean()
    assert off.root_mm[30 - inner.start] < raw.root_mm.mean()


def test_the_reference_goes_by_the_frames_that_are_known(skeleton):
    truth = spinning(np.arange(40.0))
    known = np.ones(40, dtype=bool)
    known[18:21] = False
    seen = Poses(truth.turns.copy(), truth.places.copy())
    seen.turns[~known], seen.places[~known] = np.eye(3), 0.0
    off = errors_of(gaps.reference(seen, known), truth, skeleton)
    assert off.root_mm.max() < 0.5


def test_gaps_are_seeded_different_and_follow_frames_that_show_the_person_well():
    well = np.ones(200, dtype=bool)
    well[50] = well[120:130] = False
    drawn = gaps.draw(well, length=12, most=40, random=np.random.default_rng(3))
    again = gaps.draw(well, length=12, most=40, random=np.random.default_rng(3))
    assert drawn == again and len(set(drawn)) == 40
    for gap in drawn:
        assert well[gap.first - LEAD : gap.first].all()
        assert well[list(gap.frames)].mean() >= gaps.WELL_SHARE


def test_too_short_a_stretch_has_no_gaps():
    well = np.ones(LEAD + 3, dtype=bool)
    random = np.random.default_rng(3)
    assert gaps.draw(well, length=3, most=5, random=random) == []
    assert gaps.draw(well, length=2, most=5, random=random) == [Gap(LEAD, 2)]
