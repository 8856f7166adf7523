"""Rotations, cameras and projections are those of 4D-Humans and PHALP."""

import numpy as np
import torch

from tests.parity.pictures import (
    joints_and_origin,
    location_vector,
    project,
    square_points,
    square_translation,
)
from tests.parity.recordings import Recording, recorded
from wire.camera import focal_length_px
from workers.geometry import rotation_from_vector
from workers.hmr2.camera import full_translation
from workers.hmr2.network import rotation_from_6d
from workers.phalp.learned.pose import pose_vector
from workers.phalp.learned.sighting import in_square


def assert_close(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Within 1e-5, relative to the larger entries."""
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@recorded("geometry")
def test_six_numbers_are_two_columns_of_a_rotation(recording: Recording) -> None:
    ours = rotation_from_6d(torch.from_numpy(recording["in_r6d"])).numpy()
    np.testing.assert_allclose(ours, recording["rot6d"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(ours, recording["rot6d_phalp"], rtol=0, atol=1e-6)


@recorded("geometry")
def test_a_rotation_vector_is_the_recorded_rotation(recording: Recording) -> None:
    np.testing.assert_allclose(
        rotation_from_vector(recording["in_aa"]), recording["aa_rotmat"], rtol=0, atol=2e-6
    )


@recorded("geometry")
def test_the_camera_of_a_crop_becomes_that_of_the_picture(recording: Recording) -> None:
    crop = {"center": recording["in_center"], "side": recording["in_size"], "size": recording["in_img_wh"]}
    camera, focal_px = recording["in_cam"], float(recording["scaled_focal"])
    assert_close(full_translation(camera, **crop, focal_px=focal_px), recording["cam_full"])
    assert_close(full_translation(camera, **crop, focal_px=5000), recording["cam_full_f5000"])


@recorded("geometry")
def test_points_are_seen_where_they_were_recorded(recording: Recording) -> None:
    points, translation, focal = recording["in_pts"], recording["in_trans"], recording["in_focal"]
    assert_close(project(points, translation, focal=focal), recording["proj_default"])
    turned = np.einsum("bij,bnj->bni", recording["in_rot"], points)
    assert_close(project(turned, translation, focal=focal, center=recording["in_cc"]), recording["proj_full"])


@recorded("geometry")
def test_phalp_finds_people_where_they_were_recorded_in_its_padded_square(recording: Recording) -> None:
    height, width = (int(value) for value in recording["in_phalp_hw"])
    crops = {"center": recording["in_pcenter"], "side": recording["in_pscale"].max(axis=1)}
    translation = square_translation(recording["in_cam"][:3], **crops, width=width, height=height)
    joints = recording["phalp_j3d"]
    points = square_points(joints, translation)

    assert_close(translation, recording["phalp_cam"])
    np.testing.assert_array_equal(joints_and_origin(joints[:, :44]), joints)
    assert_close(points * 256, recording["phalp_j2d"])
    assert_close(location_vector(points, translation), recording["loca"])


@recorded("geometry")
def test_people_whom_the_service_finds_in_a_picture_are_where_phalp_has_them(recording: Recording) -> None:
    height, width = (int(value) for value in recording["in_phalp_hw"])
    in_picture = full_translation(
        recording["in_cam"][:3],
        center=recording["in_pcenter"],
        side=recording["in_pscale"].max(axis=1),
        size=np.array([width, height]),
        focal_px=focal_length_px(width, height),
    )

    ours = [in_square(translation, width, height) for translation in in_picture]

    assert_close(np.stack(ours), recording["phalp_cam"])


@recorded("geometry")
def test_phalp_compares_the_recorded_pose(recording: Recording) -> None:
    rotations = np.concatenate([recording["in_go"], recording["in_bp"]], axis=1)
    ours = pose_vector(rotations, recording["in_betas"], recording["phalp_cam"])
    assert_close(ours, recording["pose229"])
    assert_close(ours[0, -3:] * [1, 1, 200], recording["back_camera"])
