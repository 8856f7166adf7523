"""BVH, AMASS and TRC, opened by readers that are not ours, beside the motion that they were written from."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from trc import TRCData

from body.model import Body
from client.exports import formats
from client.exports.formats import Choice
from client.motion import Motion, Track
from tests import smpl_files
from tests.client.motions import (
    DEGREES,
    FRAMES,
    MM,
    PARENTS,
    RATE,
    UP,
    moving,
    off_degrees,
    off_mm,
    places,
    shift,
    turns,
)
from wire.skeleton import COCO_KEYPOINTS, SMPL_JOINTS


@pytest.fixture(scope="module")
def out(motion: Motion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that is compared here, of both people."""
    folder = tmp_path_factory.mktemp("out")
    written(motion, folder, "bvh", "amass", "trc")
    return folder


def written(motion: Motion, folder: Path, *names: str, **choice: bool) -> None:
    chosen = Choice(names, **choice)
    scene = formats.scene_of(motion, chosen, assets_dir=folder, video=None)
    formats.export(formats.targets(motion, chosen, folder / "ride"), scene)


def read_bvh(path: Path) -> tuple[np.ndarray, np.ndarray, float]:
    """Places (N, 24, 3) in metres and rotations (N, 24, 3, 3) of the joints, and seconds a frame."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)  # of how it imports its own library
        import bvhio
    container = bvhio.readAsBvh(str(path))
    root = bvhio.convertBvhToHierarchy(container.Root)
    joints = {joint.Name: joint for joint, _, _ in root.layout()}
    assert set(joints) == set(SMPL_JOINTS)

    def turned() -> np.ndarray:
        quaternions = [list(joints[name].RotationWorld) for name in SMPL_JOINTS]
        return Rotation.from_quat(quaternions, scalar_first=True).as_matrix()

    root.loadRestPose()
    rest = turned()  # this reader turns the axes of each joint along its bone
    at, turns = [], []
    for frame in range(container.FrameCount):
        root.loadPose(frame)
        at.append([list(joints[name].PositionWorld) for name in SMPL_JOINTS])
        turns.append(turned() @ rest.swapaxes(1, 2))
    return np.array(at) / 100, np.array(turns), container.FrameTime


def test_a_bvh_has_the_joints_where_they_are_and_turned_as_they_are(motion: Motion, out: Path) -> None:
    at, turned, seconds = read_bvh(out / "ride.track3.bvh")

    assert seconds == pytest.approx(1 / RATE, rel=1e-7)
    assert off_mm(at, places(motion, motion.tracks[0])) < MM
    assert off_degrees(turned, turns(motion.tracks[0])) < DEGREES


def test_angles_of_a_bvh_do_not_jump_while_somebody_turns_round(out: Path) -> None:
    lines = (out / "ride.track3.bvh").read_text().splitlines()
    rows = np.array([line.split() for line in lines[lines.index("MOTION") + 3 :]], float)

    assert rows.shape == (FRAMES, 3 + 24 * 3)
    assert np.abs(np.diff(rows[:, 3:], axis=0)).max() < 60
    assert abs(rows[-1, 5] - rows[0, 5]) > 300  # about the upright axis


def test_frames_in_which_somebody_was_out_of_reach_are_on_the_way_between(motion: Motion, out: Path) -> None:
    track = motion.tracks[1]
    at, turned, _ = read_bvh(out / "ride.track5.bvh")
    rows = track.frames - track.frames[0]

    assert len(at) == track.frames[-1] - track.frames[0] + 1 > len(rows)
    assert off_mm(at[rows], places(motion, track)) < MM
    assert off_degrees(turned[rows], turns(track)) < DEGREES
    filled = np.setdiff1d(np.arange(len(at)), rows)
    before, after = at[filled[0] - 1, 0], at[filled[-1] + 1, 0]
    for step, row in enumerate(filled, start=1):
        assert off_mm(at[row, 0], before + (after - before) * step / (len(filled) + 1)) < MM


def read_amass(path: Path, body: Body) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Places and rotations of 24 joints as those read them who go on from AMASS with SMPL, and all arrays."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    vectors = arrays["poses"].reshape(-1, 52, 3)[:, [*range(22), 22, 37]]
    rotations = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(-1, 24, 3, 3)
    betas = np.tile(arrays["body_betas"], (len(rotations), 1)).astype(np.float32)
    at = body.joints(rotations.astype(np.float32), betas) + arrays["trans"][:, None]
    for joint, parent in enumerate(PARENTS[1:], start=1):
        rotations[:, joint] = rotations[:, parent] @ rotations[:, joint]
    return at, rotations, arrays


def test_amass_has_the_same_motion_with_z_up(motion: Motion, body: Body, out: Path) -> None:
    at, turned, arrays = read_amass(out / "ride.track3.amass.npz", body)
    z_up = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])

    assert off_mm(at, places(motion, motion.tracks[0]) @ z_up.T) < MM
    assert off_degrees(turned, z_up @ turns(motion.tracks[0])) < DEGREES
    assert off_mm(arrays["pelvis"], at[:, 0]) < MM


def test_amass_has_what_its_readers_ask_for(out: Path, body: Body) -> None:
    _, _, arrays = read_amass(out / "ride.track3.amass.npz", body)
    fingers = arrays["poses"].reshape(FRAMES, 52, 3)[:, 22:].reshape(FRAMES, 2, 5, 3, 3)

    assert arrays["poses"].shape == (FRAMES, 156)
    assert arrays["trans"].shape == (FRAMES, 3)
    assert (arrays["betas"].shape, arrays["dmpls"].shape) == ((16,), (FRAMES, 8))
    assert (str(arrays["gender"]), float(arrays["mocap_framerate"])) == ("neutral", pytest.approx(RATE))
    assert not arrays["betas"].any()  # the open body's shapes are not SMPL's
    assert str(arrays["body"]) == "open_body.npz"
    assert not fingers[:, :, :, 1:].any()
    np.testing.assert_array_equal(fingers[:, :, :, 0], np.repeat(fingers[:, :, :1, 0], 5, axis=2))


def test_amass_of_smpl_has_smpls_shape_and_turns_about_its_pelvis(tmp_path: Path) -> None:
    smpl = smpl_files.smpl_body("a")  # whose pelvis is not where its origin is
    motion = moving(smpl, said="SMPL_NEUTRAL.pkl sha256:00", frames=4)
    written(motion, tmp_path, "amass")
    at, _, arrays = read_amass(tmp_path / "ride.track3.amass.npz", smpl)
    z_up = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])

    assert off_mm(at, places(motion, motion.tracks[0]) @ z_up.T) < MM
    np.testing.assert_allclose(arrays["betas"][:10], motion.tracks[0].betas[0], atol=1e-6)
    assert not arrays["betas"][10:].any()


def read_trc(path: Path) -> tuple[np.ndarray, np.ndarray, TRCData]:
    """Times (N,), places (N, 29, 3) in metres, and all that the reader says."""
    told = TRCData()
    told.load(str(path))
    rows = [told[frame] for frame in told["Frame#"]]
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows]) / 1000, told


def markers(motion: Motion, track: Track) -> np.ndarray:
    face = (track.keypoints[:, :5] + track.translation[:, None]).astype(float) @ UP
    return np.concatenate([places(motion, track), face + shift(motion)], axis=1)


def test_a_trc_has_every_marker_in_millimetres(motion: Motion, out: Path) -> None:
    times_s, at, told = read_trc(out / "ride.track3.trc")

    assert told["Markers"] == [*SMPL_JOINTS, *COCO_KEYPOINTS[:5]]
    assert (told["Units"], told["NumFrames"], told["DataRate"]) == ("mm", FRAMES, pytest.approx(RATE))
    np.testing.assert_allclose(times_s, motion.times_s, atol=1e-6)
    assert off_mm(at, markers(motion, motion.tracks[0])) < MM


def test_a_trc_of_somebody_who_comes_later_begins_later(motion: Motion, out: Path) -> None:
    track = motion.tracks[1]
    times_s, at, _ = read_trc(out / "ride.track5.trc")

    assert times_s[0] == pytest.approx(track.times_s[0], abs=1e-6)
    assert off_mm(at[track.frames - track.frames[0]], markers(motion, track)) < MM


def test_a_video_whose_rate_varies_is_read_at_an_even_one(body: Body, tmp_path: Path) -> None:
    steps = np.where(np.arange(FRAMES) % 2, 1.4, 0.6)
    uneven = moving(body, times_s=np.cumsum(steps) / RATE)
    written(uneven, tmp_path, "bvh", "trc")
    at, _, _ = read_bvh(tmp_path / "ride.track3.bvh")
    times_s, markers_at, _ = read_trc(tmp_path / "ride.track3.trc")
    expected = places(uneven, uneven.tracks[0])

    assert len(at) == len(times_s) == round((uneven.times_s[-1] - uneven.times_s[0]) * RATE) + 1
    for axis in range(3):
        pelvis = np.interp(times_s, uneven.times_s, expected[:, 0, axis])
        np.testing.assert_allclose(markers_at[:, 0, axis], pelvis, atol=MM / 1e3)
        np.testing.assert_allclose(at[:, 0, axis], pelvis, atol=MM / 1e3)


def test_the_camera_may_be_the_origin(motion: Motion, tmp_path: Path) -> None:
    written(motion, tmp_path, "bvh", camera_origin=True)
    at, _, _ = read_bvh(tmp_path / "ride.track3.bvh")
    track = motion.tracks[0]

    assert off_mm(at, (track.joints + track.translation[:, None]).astype(float) @ UP) < MM


def test_somebody_seen_in_one_frame_alone_is_a_motion_of_one_frame(body: Body, tmp_path: Path) -> None:
    written(moving(body, frames=3), tmp_path, "bvh", "trc", "amass")
    at, _, _ = read_bvh(tmp_path / "ride.track5.bvh")

    assert len(at) == 1


@pytest.mark.parametrize("times_s", [np.full(FRAMES, np.nan), np.repeat(np.arange(FRAMES // 2) / 10, 2)])
def test_where_times_say_nothing_the_numbers_of_frames_do(
    body: Body, tmp_path: Path, times_s: np.ndarray
) -> None:
    written(moving(body, times_s=times_s), tmp_path, "trc")
    told, _, _ = read_trc(tmp_path / "ride.track3.trc")

    np.testing.assert_allclose(told, np.arange(FRAMES) / RATE, atol=1e-6)
