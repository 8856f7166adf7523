"""The second pass: people whose motion is known, as they were answered, and what becomes of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from client import motion
from client.motion import About, Motion, Track
from client.records import STATES
from client.second_pass import smoothing, story
from client.second_pass.feet import LEGS
from client.second_pass.turns import between, turns_of
from tests.client.made_up_people import BODY, RATE, SIZE_PX, answers, spool, turned, walking
from wire.camera import project
from wire.skeleton import SMPL_JOINTS

PREDICTED = STATES.index("predicted")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "ride.partial"


def finished(folder: Path, *, before_s: float = story.BEFORE_S) -> Motion:
    """The result of what is in a spool."""
    rows, merged = story.finish(folder, before_s=before_s)
    path = folder.with_suffix(".npz")
    motion.write(rows, path, About("ride", RATE, "made-up", passes=2, merged=merged), identity={})
    return motion.load(path)


def only(told: Motion) -> Track:
    [track] = told.tracks
    return track


def swinging(frames: int, *, hz: float = 0.5, reach: float = 0.5) -> np.ndarray:
    angles = reach * np.sin(np.arange(frames) / RATE * 2 * np.pi * hz)
    return turned(joint="left_shoulder", axis="z", angles=angles)


def in_frames(rows: np.ndarray, frames: range | np.ndarray) -> dict[int, np.void]:
    return dict(zip([int(frame) for frame in frames], rows, strict=True))


# ------------------------------------------------------------------------ gaps


def test_a_constant_turn_goes_on_through_a_gap_by_true_time() -> None:
    times_s = np.cumsum(np.random.default_rng(1).uniform(0.01, 0.06, 60))
    truth = turned(joint="pelvis", axis="y", angles=4.0 * times_s)  # more than once round
    seen, weights = truth.copy(), np.ones(60)
    seen[20:35], weights[20:35] = truth[0], 0.0

    np.testing.assert_allclose(between(truth, smoothing.turns(seen, weights, times_s)), 0, atol=1e-6)


def test_a_constant_speed_goes_on_through_a_gap_by_true_time() -> None:
    times_s = np.cumsum(np.random.default_rng(2).uniform(0.01, 0.06, 60))
    truth = np.stack([2 * times_s, 1 - times_s], axis=1)
    seen, weights = truth.copy(), np.ones(60)
    seen[20:35], weights[20:35] = 0.0, 0.0

    np.testing.assert_allclose(smoothing.vectors(seen, weights, times_s, smoothing.ACROSS), truth, atol=1e-6)


def test_a_gap_is_filled_from_both_sides_and_stays_predicted(folder: Path) -> None:
    truth = swinging(60)
    shown = truth.copy()
    shown[20:30] = truth[19]  # predicted: held
    states = ["predicted" if 20 <= frame < 30 else "detected" for frame in range(60)]
    rows = answers(shown, states=states)
    rows["expected_error_mm"][20:30] = np.linspace(20, 65, 10)
    spool(folder, [in_frames(rows, range(60))], frames=60)

    track = only(finished(folder))

    assert track.states.tolist() == [STATES.index(state) for state in states]
    assert track.filled.tolist() == [20 <= frame < 30 for frame in range(60)]
    held, made = (
        np.linalg.norm(between(truth[20:30], some[20:30]), axis=-1).max()
        for some in (shown, turns_of(track.rotations))
    )
    assert made < 0.25 * held
    assert track.expected_error_mm[24] > track.expected_error_mm[20] > track.expected_error_mm[19]
    assert track.confidence[24] < track.confidence[19]


def test_frames_before_somebody_is_first_seen_are_filled_no_longer_than_said(folder: Path) -> None:
    spool(folder, [in_frames(answers(swinging(40)), range(20, 60))], frames=60)

    told = finished(folder, before_s=0.5)

    track = only(told)
    assert track.frames.tolist() == list(range(5, 60))
    assert track.frames_since_detected[:16].tolist() == [*range(-15, 0), 0]
    assert (track.states[:15] == PREDICTED).all() and track.filled[:15].all() and not track.filled[15:].any()
    assert told.primary_tracks.tolist() == [-1] * 5 + [1] * 55
    assert only(finished(folder, before_s=0.0)).frames.tolist() == list(range(20, 60))


def test_nobody_is_filled_in_before_a_cut_nor_across_one(folder: Path) -> None:
    rows = answers(swinging(60))
    frames = np.array([*range(10, 25), *range(35, 60)])
    spool(folder, [in_frames(rows[frames], frames)], frames=60, shots=[8, 30])

    track = only(finished(folder))

    assert track.frames.tolist() == [*range(8, 25), *range(30, 60)]
    assert track.filled.sum() == 2 + 5


def test_failed_frames_stay_empty(folder: Path) -> None:
    spool(folder, [in_frames(answers(swinging(30)), range(30))], frames=30, failed=[12])

    told = finished(folder)

    assert told.errors[12] == "poison_frame"
    assert 12 not in only(told).frames


def test_a_long_video_is_smoothed_in_pieces_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    times_s = np.arange(2500) / RATE
    seen = np.random.default_rng(3).normal(0, 0.02, (2500, 2)) + np.sin(times_s)[:, None]
    pieces = smoothing.vectors(seen, np.ones(2500), times_s, smoothing.ACROSS)
    monkeypatch.setattr(smoothing, "_BLOCK", 10_000)

    np.testing.assert_allclose(
        pieces, smoothing.vectors(seen, np.ones(2500), times_s, smoothing.ACROSS), atol=1e-6
    )


# ------------------------------------------------------------------------ shape


def test_shape_is_one_and_everything_else_fits_it(folder: Path) -> None:
    random = np.random.default_rng(4)
    betas = random.normal(0, 0.8, 10) + random.normal(0, 0.05, (40, 10))
    spool(folder, [in_frames(answers(swinging(40), betas=betas), range(40))], frames=40)

    track = only(finished(folder))

    assert (track.betas == track.betas[0]).all()
    np.testing.assert_allclose(track.betas[0], betas.mean(axis=0), atol=0.05)
    mesh = BODY.mesh(track.rotations, track.betas)
    np.testing.assert_allclose(track.joints, mesh.joints, atol=1e-4)
    np.testing.assert_allclose(track.keypoints, BODY.keypoints(mesh), atol=5e-3)
    np.testing.assert_allclose(
        track.keypoints_2d, project(track.keypoints, track.translation, *SIZE_PX), atol=0.05
    )


# ------------------------------------------------------------------------ smoothness


def test_jitter_goes_from_somebody_who_stands_still() -> None:
    random = np.random.default_rng(5)
    times_s = np.arange(90) / RATE
    still = turned(joint="left_shoulder", axis="z", angles=np.zeros(90))
    noise = np.stack(
        [turned(joint="left_elbow", axis="xyz"[d], angles=random.normal(0, 0.05, 90)) for d in range(3)]
    )
    seen = noise[0] @ np.swapaxes(still, -1, -2) @ noise[1] @ np.swapaxes(still, -1, -2) @ noise[2]

    smooth = smoothing.turns(seen, np.ones(90), times_s)

    def jerk(some: np.ndarray) -> float:
        return float(np.abs(np.diff(between(some[:-1], some[1:]), axis=0)).mean())

    assert jerk(smooth) < 0.1 * jerk(seen)


def test_fast_motion_keeps_its_peaks() -> None:
    truth = swinging(90, hz=2.0, reach=0.8)

    smooth = smoothing.turns(truth, np.ones(90), np.arange(90) / RATE)

    off = np.linalg.norm(between(truth, smooth), axis=-1)[5:-5]
    assert off.max() < 0.05 * 0.8


def test_an_arm_that_leaps_for_a_frame_does_not_leap() -> None:
    truth = swinging(60)
    seen = truth.copy()
    seen[30] = turned(joint="left_shoulder", axis="z", angles=np.array([2.0]))[0]

    smooth = smoothing.turns(seen, np.ones(60), np.arange(60) / RATE)

    assert np.linalg.norm(between(truth, smooth), axis=-1).max() < 0.15


# ------------------------------------------------------------------------ feet


def test_standing_feet_of_a_walk_do_not_slide(folder: Path) -> None:
    random = np.random.default_rng(6)
    turns, pelvis, stood = walking(120)
    seen = turns.copy()
    seen[:, 1:12] = seen[:, 1:12] @ _small_turns(random, (120, 11), 0.02)
    shaken = pelvis + random.normal(0, 1, (120, 3)) * [0.006, 0.006, 0.1]
    spool(folder, [in_frames(answers(seen, pelvis=shaken), range(120))], frames=120)

    track = only(finished(folder))

    assert track.standing[stood].mean() > 0.5
    assert not track.standing[~stood].mean() > 0.3
    before = _farthest_m(answers(seen, pelvis=shaken), track.standing)
    joints = _farthest_m(track, track.standing)
    assert joints < 0.01 < before


def _small_turns(random: np.random.Generator, shape: tuple[int, int], size: float) -> np.ndarray:
    flat = Rotation.from_rotvec(random.normal(0, size, (shape[0] * shape[1], 3)))
    return flat.as_matrix().reshape(*shape, 3, 3)


def _farthest_m(rows: "np.ndarray | Track", standing: np.ndarray) -> float:
    """Farthest that an ankle or toes get from their middle in any contact."""
    joints, translation = (
        (rows["joints"], rows["translation"])
        if isinstance(rows, np.ndarray)
        else (rows.joints, rows.translation)
    )
    world = joints.astype(float) + translation[:, None]
    farthest = [0.0]
    for leg, held in zip(LEGS, standing.T, strict=True):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], held, [False]]))).reshape(-1, 2)
        for first, last in edges:
            feet = world[first:last][:, list(leg[2:])]
            farthest.append(float(np.linalg.norm(feet - feet.mean(axis=0), axis=-1).max()))
    return max(farthest)


# ------------------------------------------------------------------------ who is who


def lives(
    *,
    away_m: float = 0.1,
    betas: float = 0.0,
    begins: int = 38,
) -> list[dict[int, np.void]]:
    """Somebody who is seen in frames 0 to 29, and then again, or somebody else who is."""
    turns = swinging(90)
    former = answers(turns[:30], track_id=1)
    there = np.tile([away_m, 0.0, 40.0], (90 - begins, 1))
    later = answers(
        turns[begins:], track_id=2, pelvis=there, betas=np.tile([betas, *[0.0] * 9], (90 - begins, 1))
    )
    return [in_frames(former, range(30)), in_frames(later, range(begins, 90))]


def test_who_comes_back_where_he_was_is_one_person_and_the_gap_is_filled(folder: Path) -> None:
    spool(folder, lives(), frames=90)

    told = finished(folder)

    track = only(told)
    assert told.about.merged == {2: 1}
    assert track.track_id == 1
    assert track.frames.tolist() == list(range(90))
    assert track.filled.tolist() == [30 <= frame < 38 for frame in range(90)]
    assert (told.primary_tracks == 1).sum() >= 82


@pytest.mark.parametrize(
    ("who", "shots"),
    [
        pytest.param({"begins": 20}, [], id="both are seen at once"),
        pytest.param({"away_m": 1.5}, [], id="elsewhere"),
        pytest.param({"betas": 4.0}, [], id="of another shape"),
        pytest.param({}, [33], id="in another shot"),
        pytest.param({"begins": 85}, [], id="after a long time"),
    ],
)
def test_who_may_be_somebody_else_stays_somebody_else(
    folder: Path, who: dict[str, Any], shots: list[int]
) -> None:
    spool(folder, lives(**who), frames=90, shots=shots)

    told = finished(folder)

    assert told.about.merged == {}
    assert [track.track_id for track in told.tracks] == [1, 2]


def test_where_two_might_be_meant_nobody_is(folder: Path) -> None:
    former, later = lives()
    another = answers(swinging(90)[38:], track_id=3, pelvis=np.tile([-0.1, 0.0, 40.0], (52, 1)))
    spool(folder, [former, later, in_frames(another, range(38, 90))], frames=90)

    assert finished(folder).about.merged == {}


# ------------------------------------------------------------------------ all together


def test_the_same_answers_give_the_same_file_and_are_left_as_they_were(folder: Path) -> None:
    spool(folder, lives(), frames=90)
    answered = (folder / "people").read_bytes()

    finished(folder)
    first = folder.with_suffix(".npz").read_bytes()
    finished(folder)

    assert folder.with_suffix(".npz").read_bytes() == first
    assert (folder / "people").read_bytes() == answered


def test_a_video_that_shows_nobody_has_a_result(folder: Path) -> None:
    spool(folder, [], frames=5)

    told = finished(folder)

    assert told.tracks == () and len(told.times_s) == 5


def test_a_person_seen_once_stays_as_he_was_seen(folder: Path) -> None:
    rows = answers(swinging(1))
    spool(folder, [in_frames(rows, range(7, 8))], frames=20)

    track = only(finished(folder, before_s=0.0))

    np.testing.assert_allclose(track.rotations, rows["rotations"], atol=1e-6)
    np.testing.assert_allclose(track.joints, rows["joints"], atol=1e-5)


def test_limbs_that_are_joints_are_the_joints_they_are_called(folder: Path) -> None:
    spool(folder, [in_frames(answers(swinging(10)), range(10))], frames=10)

    track = only(finished(folder))

    np.testing.assert_array_equal(track.keypoints[:, 5], track.joints[:, SMPL_JOINTS.index("left_shoulder")])
