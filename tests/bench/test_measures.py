"""The measures say what they promise, on clips drawn by hand."""

import numpy as np
import pytest

from bench import measures

WIDTH, HEIGHT = 640, 360
SURE = np.full((20, 17), 0.9)


def walk(count: int = 20, *, speed_px: float = 4.0) -> np.ndarray:
    """17 keypoints (count, 17, 2) that move along a line at one speed."""
    start = np.random.default_rng(0).uniform([200, 100], [300, 250], (17, 2))
    return start + np.arange(count)[:, None, None] * np.array([speed_px, 0.5])


def outliers(keypoints: np.ndarray) -> list[int]:
    verdicts = measures.backend_filter(keypoints, SURE, width=WIDTH, height=HEIGHT)
    return np.flatnonzero(verdicts.outlier).tolist()


def test_even_motion_is_kept():
    verdicts = measures.backend_filter(walk(), SURE, width=WIDTH, height=HEIGHT)
    assert verdicts.kept() == 1


def test_a_frame_off_its_neighbours_line_is_an_outlier():
    keypoints = walk(speed_px=4.0)
    keypoints[10] += [0, 3.0]  # 3 px off, at a speed of 4: 3 / (4 + 1) is over a half
    assert outliers(keypoints) == [10]


def test_the_faster_the_motion_the_more_deviation_is_forgiven():
    keypoints = walk(speed_px=9.0)
    keypoints[10] += [0, 3.0]
    assert outliers(keypoints) == []


def test_one_wild_keypoint_does_not_condemn_a_frame():
    keypoints = walk()
    keypoints[10, 3] += [150, 150]
    assert outliers(keypoints) == []


def test_a_person_who_does_not_move_at_all_is_no_outlier_though_the_frame_jumps():
    keypoints = walk(speed_px=0.0)
    keypoints[:] = keypoints[0]
    keypoints[10] += 5.0
    assert 10 not in outliers(keypoints)


def test_the_deviation_agrees_with_a_line_fitted_by_numpy():
    keypoints = walk() + np.random.default_rng(1).normal(0, 2, (20, 17, 2))
    times = np.array([-2, -1, 1, 2])
    expected = []
    for keypoint in range(17):
        around = keypoints[8 + np.array([0, 1, 3, 4]), keypoint]
        slope, value = np.polyfit(times, around, 1)
        off = np.linalg.norm(keypoints[10, keypoint] - value) / (np.linalg.norm(slope) + 1)
        expected.append(min(off, 1))
    assert measures.deviations(keypoints)[10] == pytest.approx(np.mean(expected))


def test_frames_without_a_pose_or_with_low_confidence_are_deleted_and_their_neighbours_are_not():
    keypoints, confidence = walk(), SURE.copy()
    keypoints[5] = np.nan
    confidence[9] = 0.29
    verdicts = measures.backend_filter(keypoints, confidence, width=WIDTH, height=HEIGHT)
    assert np.flatnonzero(verdicts.unsure).tolist() == [5, 9]
    assert not verdicts.outlier.any()
    assert verdicts.kept() == pytest.approx(18 / 20)


def test_a_person_at_the_border_is_off_screen():
    keypoints = walk()
    keypoints[12, :9, 0] = 10
    verdicts = measures.backend_filter(keypoints, SURE, width=WIDTH, height=HEIGHT)
    assert np.flatnonzero(verdicts.off_screen).tolist() == [12]


def test_coverage_counts_from_the_first_pose():
    keypoints = walk()
    keypoints[:5] = np.nan
    assert measures.coverage(keypoints) == 1
    keypoints[10:13] = np.nan
    assert measures.coverage(keypoints) == pytest.approx(12 / 15)
    assert measures.coverage(np.full((3, 17, 2), np.nan)) == 0


def test_limb_error_is_in_heights_of_the_box():
    keypoints = walk()
    landmarks = keypoints[:, measures.LIMBS] + [3, 4]
    boxes = np.tile([0.0, 100.0, 50.0, 200.0], (20, 1))
    assert measures.limb_error(keypoints, landmarks, boxes) == pytest.approx(0.05)


def test_shape_spread_ignores_the_frames_in_which_it_settles():
    heights = np.linspace(2.0, 1.0, 30).tolist() + [1.7, 1.717] * 10
    assert measures.shape_spread(np.array(heights)[:, None]) == pytest.approx(0.01)


def test_switches_count_changes_of_the_person_shown_only():
    assert measures.switches(np.array([1, 1, -1, 1, 2, 2, 1])) == 2


def test_a_pose_beyond_its_box_is_measured_in_heights_of_the_box():
    keypoints = np.array([[[15.0, 60.0], [10.0, 50.0]], [[15.0, 20.0], [12.0, 30.0]]])
    boxes = np.array([[10.0, 10.0, 20.0, 40.0]] * 2)
    assert measures.beyond_box(keypoints, boxes) == pytest.approx([20 / 30, 0])


def test_smoothing_with_hindsight_takes_the_noise_and_leaves_the_motion_where_it_is():
    time = np.arange(120)
    slow = np.sin(2 * np.pi * 0.02 * time)
    both = slow + 0.3 * (-1.0) ** time
    smoothed = measures.low_passed(both[:, None, None], 0.1)[:, 0, 0]
    assert np.abs(smoothed - slow)[30:-30].max() < 0.02
