"""PHALP's pickle, CSV and JSON lines, read as their users read them, beside the motion."""

import csv
import json
import pickletools
import zlib
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from body.joint_sets import Hmr2Joints
from body.model import Body
from client.exports import formats
from client.exports.formats import Choice
from client.motion import Motion
from client.records import STATES
from tests import smpl_files
from tests.client.motions import FRAMES, SIZE_PX, moving
from tests.fixtures import rules
from wire.camera import focal_length_px
from wire.skeleton import COCO_KEYPOINTS, JOINT_ANGLES, SMPL_JOINTS

WIDTH, HEIGHT = SIZE_PX


@pytest.fixture(scope="module")
def motion() -> Motion:
    return moving(Body.open())


@pytest.fixture(scope="module")
def out(motion: Motion, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    written(motion, folder, "phalp", "phalp-npz", "csv", "jsonl")
    return folder


def written(motion: Motion, folder: Path, *names: str, tracks: tuple[int, ...] = ()) -> None:
    chosen = Choice(names, tracks=tracks)
    scene = formats.scene_of(motion, chosen, assets_dir=folder, video=None)
    formats.export(formats.targets(motion, chosen, folder / "ride"), scene)


# ------------------------------------------------------------------ PHALP


@pytest.fixture(scope="module")
def phalp(out: Path) -> dict[str, dict[str, Any]]:
    return joblib.load(out / "ride.phalp.pkl")


def test_every_frame_has_its_entry_under_the_name_of_its_picture(phalp: dict[str, Any]) -> None:
    assert list(phalp) == [f"outputs//_DEMO/ride/img/{number + 1:06d}.jpg" for number in range(FRAMES)]
    assert [frame["time"] for frame in phalp.values()] == list(range(FRAMES))
    assert phalp["outputs//_DEMO/ride/img/000001.jpg"]["tid"] == [3]
    assert phalp["outputs//_DEMO/ride/img/000011.jpg"]["tid"] == [3, 5]


def test_its_lists_have_an_entry_for_each_person(phalp: dict[str, Any], motion: Motion) -> None:
    track = motion.tracks[1]
    row = 2
    frame = phalp[f"outputs//_DEMO/ride/img/{track.frames[row] + 1:06d}.jpg"]
    of_each = {key: len(value) for key, value in frame.items() if isinstance(value, list)}

    assert {key for key, count in of_each.items() if count != 2} == set()
    assert frame["smpl"][1]["global_orient"].shape == (1, 3, 3)
    np.testing.assert_array_equal(frame["smpl"][1]["body_pose"], track.rotations[row, 1:])
    np.testing.assert_array_equal(frame["smpl"][1]["betas"], track.betas[row])
    np.testing.assert_array_equal(frame["camera"][1], track.translation[row])
    x0, y0, x1, y1 = track.boxes[row].tolist()
    assert frame["bbox"][1].tolist() == pytest.approx([x0, y0, x1 - x0, y1 - y0])
    assert frame["center"][1].tolist() == pytest.approx([(x0 + x1) / 2, (y0 + y1) / 2])
    assert frame["scale"][1] == pytest.approx(max((x1 - x0) / 0.75, y1 - y0) / WIDTH)
    assert (frame["size"][1], frame["class_name"][1], frame["img_name"][1]) == (
        [HEIGHT, WIDTH],
        0,
        "000009.jpg",
    )
    scale, tx, ty = frame["camera_bbox"][1]
    side = frame["scale"][1] * WIDTH
    depth = 2 * focal_length_px(WIDTH, HEIGHT) / (side * scale)
    assert depth == pytest.approx(track.translation[row, 2], rel=1e-4)
    moved = (frame["center"][1] - np.array(SIZE_PX) / 2) * 2 / (side * scale)
    np.testing.assert_allclose(np.array([tx, ty]) + moved, track.translation[row, :2], atol=1e-3)


def test_who_is_not_seen_has_the_frames_since_and_is_not_among_the_tracked(phalp: dict[str, Any]) -> None:
    times = [frame["tracked_time"][frame["tid"].index(3)] for frame in phalp.values()]
    tracked = [3 in frame["tracked_ids"] for frame in phalp.values()]

    assert times == [0, 0, 0, 1, 2, 3, *[0] * (FRAMES - 6)]
    assert tracked == [time == 0 for time in times]


def test_its_joints_are_those_of_4d_humans_in_3d_and_in_the_padded_square(
    phalp: dict[str, Any], motion: Motion
) -> None:
    track = motion.tracks[0]
    for row, frame in enumerate(phalp.values()):
        joints, flat = frame["3d_joints"][0], frame["2d_joints"][0].reshape(45, 2)
        pixels = flat * WIDTH - [0, (WIDTH - HEIGHT) // 2]
        # OpenPose's elbow, mid hip and knee; the first of the regressed ones is the right ankle.
        for joint, name in {3: "right_elbow", 8: "pelvis", 10: "right_knee", 25: "right_ankle"}.items():
            np.testing.assert_allclose(joints[joint], track.joints[row, SMPL_JOINTS.index(name)], atol=1e-5)
        for joint, name in {0: "nose", 3: "right_elbow", 15: "right_eye", 16: "left_eye"}.items():
            expected = track.keypoints_2d[row, COCO_KEYPOINTS.index(name)]
            np.testing.assert_allclose(pixels[joint], expected, atol=0.02)
        assert joints[44].tolist() == [0, 0, 0]


def test_with_smpl_and_its_regressor_the_joints_are_4d_humans_own(tmp_path: Path) -> None:
    said = smpl_files.write(tmp_path / "SMPL_NEUTRAL.pkl", smpl_files.smpl_model("a")).name
    regressor = rules.j19("a").astype(np.float32)
    smpl_files.write(tmp_path / "SMPL_to_J19.pkl", regressor)
    body = smpl_files.smpl_body("a")
    motion = moving(body, said=said, frames=4)
    written(motion, tmp_path, "phalp")
    track = motion.tracks[0]
    expected = Hmr2Joints(body, regressor)(body.mesh(track.rotations, track.betas))

    told = joblib.load(tmp_path / "ride.phalp.pkl").values()
    np.testing.assert_allclose([frame["3d_joints"][0][:44] for frame in told], expected, atol=1e-5)


def test_masks_are_pictures_that_show_nothing(phalp: dict[str, Any]) -> None:
    mask = phalp["outputs//_DEMO/ride/img/000001.jpg"]["mask"][0]
    run, shift = 0, 0
    for byte in mask["counts"]:  # COCO's run lengths: five bits a byte, the lowest first
        run |= ((byte - 48) & 0x1F) << shift
        shift += 5

    assert mask["size"] == [HEIGHT, WIDTH]
    assert run == WIDTH * HEIGHT
    assert not (mask["counts"][-1] - 48) & 0x30  # the last byte, and not negative


def test_the_pickle_names_nothing_that_an_older_numpy_does_not_have(out: Path) -> None:
    content = zlib.decompressobj().decompress((out / "ride.phalp.pkl").read_bytes(), 20_000)
    names = set()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name in ("GLOBAL", "SHORT_BINUNICODE", "BINUNICODE") and "numpy" in str(argument):
                names.add(argument)
    except ValueError:
        pass  # joblib puts the bytes of arrays between
    assert names
    assert not any("_core" in name for name in names)


def test_the_arrays_say_the_same_as_the_pickle(phalp: dict[str, Any], out: Path) -> None:
    with np.load(out / "ride.phalp.npz", allow_pickle=False) as file:
        arrays = dict(file)

    assert arrays["frame_path"].tolist() == list(phalp)
    assert arrays["people"].tolist() == [len(frame["tid"]) for frame in phalp.values()]
    for name in (
        "tid",
        "bbox",
        "tracked_time",
        "conf",
        "scale",
        "camera",
        "camera_bbox",
        "3d_joints",
        "2d_joints",
    ):
        told = np.array([entry for frame in phalp.values() for entry in frame[name]])
        np.testing.assert_array_equal(arrays[name], told, err_msg=name)
    for name in ("global_orient", "body_pose", "betas"):
        told = np.array([entry[name] for frame in phalp.values() for entry in frame["smpl"]])
        np.testing.assert_array_equal(arrays[name], told, err_msg=name)


# ------------------------------------------------------------------ CSV and JSON lines


def test_the_table_has_a_row_for_each_person_and_frame(motion: Motion, out: Path) -> None:
    with (out / "ride.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    track = motion.tracks[0]
    mine = [row for row in rows if row["track_id"] == "3"]

    def column(*names: str) -> np.ndarray:
        return np.array([[float(row[name]) for name in names] for row in mine])

    assert len(rows) == sum(len(track.frames) for track in motion.tracks)
    assert [int(row["frame"]) for row in rows] == sorted(int(row["frame"]) for row in rows)
    assert [row["state"] for row in mine] == [STATES[state] for state in track.states]
    assert [row["primary"] for row in mine] == ["1"] * FRAMES
    assert [row["expected_error_mm"] for row in mine[2:4]] == ["12.5", ""]
    np.testing.assert_allclose(column("time_s")[:, 0], track.times_s, atol=1e-6)
    for number, joint in enumerate(SMPL_JOINTS):
        found = column(f"{joint}_x", f"{joint}_y", f"{joint}_z")
        np.testing.assert_allclose(found, track.joints[:, number], atol=1e-6)
        vectors = column(f"{joint}_turn_x", f"{joint}_turn_y", f"{joint}_turn_z")
        turned = Rotation.from_rotvec(vectors).as_matrix()
        np.testing.assert_allclose(turned, track.rotations[:, number], atol=1e-5)
    for number, name in enumerate(COCO_KEYPOINTS):
        found = column(f"keypoint_{name}_x_px", f"keypoint_{name}_y_px")
        np.testing.assert_allclose(found, track.keypoints_2d[:, number], rtol=1e-6)
    for number, name in enumerate(JOINT_ANGLES):
        np.testing.assert_allclose(column(f"angle_{name}")[:, 0], track.angles[:, number], rtol=1e-6)
    np.testing.assert_allclose(
        column("translation_x", "translation_y", "translation_z"), track.translation, rtol=1e-6
    )


def test_the_lines_have_everything_of_every_frame(motion: Motion, out: Path) -> None:
    frames = [json.loads(line) for line in (out / "ride.jsonl").read_text().splitlines()]
    track = motion.tracks[1]
    people = [person for frame in frames for person in frame["people"] if person["track_id"] == 5]

    assert [frame["frame"] for frame in frames] == list(range(FRAMES))
    assert [frame["primary_track"] for frame in frames] == [3] * FRAMES
    assert {(frame["width"], frame["height"], frame["error"]) for frame in frames} == {(WIDTH, HEIGHT, None)}
    assert [len(frame["people"]) for frame in frames[5:8]] == [1, 2, 2]
    assert [person["state"] for person in people] == [STATES[state] for state in track.states]
    assert [person["expected_error_mm"] for person in people[2:4]] == [12.5, None]
    np.testing.assert_array_equal(np.array([person["box"] for person in people], np.float32), track.boxes)
    for name in ("rotations", "betas", "translation", "joints", "keypoints", "keypoints_2d", "angles"):
        told = np.array([person[name] for person in people], np.float32)
        np.testing.assert_array_equal(told, getattr(track, name), err_msg=name)


def test_one_person_alone_may_be_wanted(motion: Motion, tmp_path: Path) -> None:
    written(motion, tmp_path, "phalp", "csv", "jsonl", tracks=(5,))

    assert {tid for frame in joblib.load(tmp_path / "ride.phalp.pkl").values() for tid in frame["tid"]} == {5}
    frames = [json.loads(line) for line in (tmp_path / "ride.jsonl").read_text().splitlines()]
    assert {person["track_id"] for frame in frames for person in frame["people"]} == {5}
    with (tmp_path / "ride.csv").open(newline="") as file:
        assert {row["track_id"] for row in csv.DictReader(file)} == {"5"}
