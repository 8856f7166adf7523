"""Drawn bodies: which face each pixel shows, and what the picture looks like with them."""

import io
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PillowImage

from body import drawing, rasteriser
from body.drawing import Figure, overlay
from body.model import Body
from body.rasteriser import fragments, rasterise
from wire.camera import project
from workers.geometry import rotation_from_vector
from workers.render import visualization_png

WIDTH, HEIGHT = 320, 240


@pytest.fixture(scope="module")
def body():
    return Body.open()


@pytest.fixture(scope="module")
def grey():
    return np.full((HEIGHT, WIDTH, 3), 100, np.uint8)


def figure(body, *, vectors=None, translation=(0.0, 0.0, 70.0), facing=True):
    """A body upright in front of the camera, 24 rotation vectors on top of its T-pose."""
    rotations = rotation_from_vector(np.zeros((24, 3)) if vectors is None else np.asarray(vectors))
    rotations[0] = np.diag([1.0, -1.0, -1.0] if facing else [-1.0, -1.0, 1.0]) @ rotations[0]
    mesh = body.mesh(rotations[None].astype(np.float32), np.zeros((1, 10), np.float32))
    return Figure(mesh.vertices[0], mesh.joints[0], np.array(translation, np.float32))


def one_pixel_at_a_time(points, depth, faces, *, width, height):
    """The definition: at each pixel centre, the nearest of all triangles around it."""
    face_id = np.full((height, width), -1)
    nearest = np.full((height, width), np.inf)
    for y in range(height):
        for x in range(width):
            for number, face in enumerate(faces):
                system = np.vstack([points[face].T, np.ones(3)])
                if abs(np.linalg.det(system)) < 1e-9:
                    continue
                shares = np.linalg.solve(system, [x, y, 1])
                if np.all(shares >= 0) and (z := 1 / (shares @ (1 / depth[face]))) < nearest[y, x]:
                    nearest[y, x], face_id[y, x] = z, number
    return face_id, nearest


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_every_pixel_shows_the_nearest_face_around_it(seed):
    random = np.random.default_rng(seed)
    points = random.uniform(-6, 18, (15, 2))
    depth = random.uniform(1, 5, 15)
    faces = random.permutation(15).reshape(5, 3)

    buffer = rasterise(points, depth, faces, width=12, height=10)

    face_id, nearest = one_pixel_at_a_time(points, depth, faces, width=12, height=10)
    np.testing.assert_array_equal(buffer.face_id, face_id)
    np.testing.assert_allclose(buffer.depth, nearest, rtol=1e-5)


def test_neighbouring_faces_leave_no_gap_and_edges_on_pixel_centres_count():
    points = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], float)
    buffer = rasterise(points, np.ones(4), np.array([[0, 1, 2], [0, 2, 3]]), width=6, height=6)
    covered = np.zeros((6, 6), bool)
    covered[:5, :5] = True
    np.testing.assert_array_equal(buffer.face_id >= 0, covered)


def test_whoever_has_a_buffer_of_his_own_gets_hidden_faces_and_pixels_at_the_rim_too():
    points = np.array([[0, 0], [2, 0], [0, 2], [0, 0], [2, 0], [0, 2]], float)
    depth, faces = np.array([1, 1, 1, 9, 9, 9], float), np.array([[0, 1, 2], [3, 4, 5]])
    inside = {(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (2, 0)}
    for rim_px, pixels in ((0.0, inside), (0.8, inside | {(0, 3), (1, 2), (2, 1)})):
        [found] = fragments(points, depth, faces, width=8, height=8, rim_px=rim_px)
        told = sorted(zip(found.face.tolist(), found.row.tolist(), found.column.tolist(), strict=True))
        assert told == sorted((face, *pixel) for face in (0, 1) for pixel in pixels)


def test_memory_bound_does_not_change_the_picture(body, monkeypatch):
    shown = figure(body)
    points = project(shown.vertices, shown.translation, WIDTH, HEIGHT)
    depth = shown.vertices[:, 2] + shown.translation[2]
    at_once = rasterise(points, depth, body.faces, width=WIDTH, height=HEIGHT)
    monkeypatch.setattr(rasteriser, "_AT_A_TIME", 500)
    in_portions = rasterise(points, depth, body.faces, width=WIDTH, height=HEIGHT)
    np.testing.assert_array_equal(at_once.face_id, in_portions.face_id)
    np.testing.assert_array_equal(at_once.depth, in_portions.depth)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
def test_faces_that_are_not_wholly_in_front_of_the_camera_are_left_out(bad):
    points = np.array([[0, 0], [8, 0], [0, 8], [8, 8]], float)
    faces = np.array([[0, 1, 2], [1, 3, 2]])
    buffer = rasterise(points, np.array([1, 1, 1, bad]), faces, width=8, height=8)
    assert set(np.unique(buffer.face_id)) == {-1, 0}
    assert np.all(np.isfinite(buffer.depth[buffer.face_id == 0]))


poses = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).normal(0, 0.3, (24, 3)))


@settings(max_examples=40, deadline=None)  # 30 ms each, more on a busy machine
@given(poses, st.booleans())
def test_the_mesh_covers_the_joints_it_was_posed_by(vectors, facing):
    body = Body.open()
    shown = figure(body, vectors=vectors, facing=facing)
    points = project(shown.vertices, shown.translation, WIDTH, HEIGHT)
    depth = shown.vertices[:, 2] + shown.translation[2]
    buffer = rasterise(points, depth, body.faces, width=WIDTH, height=HEIGHT)
    joints = np.rint(project(shown.joints, shown.translation, WIDTH, HEIGHT)).astype(int)
    # Within 2 px: a wrist at this size is 5 px wide, and a bent one may push its joint to the rim.
    for x, y in joints:
        assert np.any(buffer.face_id[y - 2 : y + 3, x - 2 : x + 3] >= 0)


def test_a_mesh_is_light_blue_at_sixty_per_cent_and_the_rest_is_untouched(body, grey, monkeypatch):
    monkeypatch.setattr(drawing, "draw_skeletons", lambda *_: None)
    drawn = overlay(grey, [figure(body)], body.faces)
    changed = np.any(drawn != grey, axis=2)
    brightest = drawn[changed].max(axis=0)
    np.testing.assert_allclose(brightest, 0.4 * 100 + 0.6 * np.array(drawing.MESH_COLOUR), atol=2)
    assert np.all(np.diff(drawn[changed].astype(int), axis=1) >= 0), "more blue than green than red"
    assert 0.02 < changed.mean() < 0.2
    assert np.all(grey == 100), "the frame itself is not drawn on"


def test_of_two_people_the_nearer_one_is_in_front(body, grey, monkeypatch):
    monkeypatch.setattr(drawing, "draw_skeletons", lambda *_: None)
    near, far = figure(body, translation=(0, 0, 60.0)), figure(body, translation=(0.2, 0, 80.0))
    both = overlay(grey, [far, near], body.faces)
    alone = overlay(grey, [near], body.faces)
    inside = np.any(alone != grey, axis=2)
    np.testing.assert_array_equal(both[inside], alone[inside])
    np.testing.assert_array_equal(both, overlay(grey, [near, far], body.faces))


@pytest.mark.parametrize("x", [-0.9, 0.9, -50.0, 1e6])
def test_people_partly_or_wholly_outside_the_picture_are_clipped(body, grey, x):
    drawn = overlay(grey, [figure(body, translation=(x, 0.1, 70.0))], body.faces)
    assert drawn.shape == grey.shape
    assert np.any(drawn != grey) == (abs(x) < 1)


def test_nobody_leaves_the_frame_as_it_was(body, grey):
    np.testing.assert_array_equal(overlay(grey, [], body.faces), grey)


def pixels(png):
    with PillowImage.open(io.BytesIO(png)) as read:
        return np.asarray(read)


def test_the_png_shows_mesh_and_skeleton(body, grey):
    shown = [figure(body)]
    np.testing.assert_array_equal(
        pixels(visualization_png(grey, shown, body.faces)), overlay(grey, shown, body.faces)
    )


def test_without_a_mesh_the_skeleton_is_drawn_and_the_log_says_so(body, grey, caplog):
    whole = figure(body)
    broken = Figure(whole.vertices[:10], whole.joints, whole.translation)
    with caplog.at_level(logging.ERROR):
        drawn = pixels(visualization_png(grey, [broken], body.faces))
    assert "falling back to the skeleton" in caplog.text
    assert 0 < np.any(drawn != grey, axis=2).mean() < 0.02


def test_a_body_that_is_not_finite_leaves_the_plain_frame(body, grey, caplog):
    whole = figure(body)
    broken = Figure(whole.vertices * np.nan, whole.joints * np.nan, whole.translation)
    with caplog.at_level(logging.ERROR):
        np.testing.assert_array_equal(pixels(visualization_png(grey, [broken], body.faces)), grey)
    assert "falling back to the plain frame" in caplog.text


def test_without_a_skeleton_the_plain_frame_is_shown_and_the_log_says_so(body, grey, caplog):
    whole = figure(body)
    broken = Figure(whole.vertices[:10], whole.joints[:3], whole.translation)
    with caplog.at_level(logging.ERROR):
        drawn = pixels(visualization_png(grey, [broken], body.faces))
    assert "falling back to the plain frame" in caplog.text
    np.testing.assert_array_equal(drawn, grey)
