"""Regions, tiles and likeness: pure geometry, for pictures and people of any size."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.skeleton import SMPL_JOINTS
from workers.blazepose.detector import Detection, Tile, merge_overlapping, whole_frame
from workers.blazepose.landmarks import Landmarks, refine
from workers.blazepose.likeness import belongs, explains, in_picture, same_person, strangeness
from workers.blazepose.region import SIDE_RADII, Region, region_of_circle, region_of_joints
from workers.blazepose.scouting import keeps, next_tile, one_look, tiles

coordinates = st.floats(-5000, 5000)
radii = st.floats(1, 3000)
angles = st.floats(-math.pi, math.pi)
sides = st.integers(1, 8000)

#: A standing person seen from the front, SMPL joints, in radii from the hips; the left is at x > 0.
STANDING = {
    "pelvis": (0.0, 0.0),
    "left_hip": (0.09, 0.05),
    "spine1": (0.0, -0.1),
    "left_knee": (0.1, 0.45),
    "spine2": (0.0, -0.2),
    "left_ankle": (0.1, 0.85),
    "spine3": (0.0, -0.3),
    "left_foot": (0.12, 0.92),
    "neck": (0.0, -0.5),
    "left_collar": (0.07, -0.45),
    "head": (0.0, -0.62),
    "left_shoulder": (0.18, -0.48),
    "left_elbow": (0.22, -0.2),
    "left_wrist": (0.24, 0.03),
    "left_hand": (0.24, 0.1),
}
#: Which SMPL joint a BlazePose landmark lies on, near enough.
JOINT_OF_LANDMARK = ["head"] * 11 + [
    f"{side}_{name}"
    for name in (
        "shoulder",
        "elbow",
        "wrist",
        "hand",
        "hand",
        "hand",
        "hip",
        "knee",
        "ankle",
        "ankle",
        "foot",
    )
    for side in ("left", "right")
]


def standing_joints() -> np.ndarray:
    def place(name: str) -> tuple[float, float]:
        if name in STANDING:
            return STANDING[name]
        x, y = STANDING[name.replace("right", "left")]
        return -x, y

    return np.array([place(name) for name in SMPL_JOINTS])


def person(*, x: float = 500, y: float = 500, radius_px: float = 200, mirrored: bool = False) -> Landmarks:
    """A standing person's landmarks, seen in just the right region."""
    joints = standing_joints() * radius_px * (-1 if mirrored else 1, 1) + (x, y)
    points = joints[[SMPL_JOINTS.index(name) for name in JOINT_OF_LANDMARK]]
    region = Region(cx=x, cy=y, side_px=SIDE_RADII * radius_px, angle=0)
    return Landmarks(
        pixels=np.column_stack([points, np.zeros(33)]).astype(np.float32),
        visibility=np.ones(33, np.float32),
        presence=np.ones(33, np.float32),
        clarity=np.ones(33, np.float32),
        world=np.zeros((33, 3), np.float32),
        score=1.0,
        region=region,
        following=region,
    )


def detection(*, x: float, y: float, radius_px: float) -> Detection:
    points = np.array([(x, y), (x, y - radius_px), (x, y - radius_px / 2), (x, y - radius_px)])
    return Detection(box=np.zeros(4), points=points, score=1.0)


# ------------------------------------------------------------------ regions


@given(coordinates, coordinates, radii, angles)
def test_the_top_of_the_circle_is_straight_up_in_the_crop(
    x: float, y: float, radius: float, angle: float
) -> None:
    centre = np.array([x, y])
    top = centre + radius * np.array([np.sin(angle), -np.cos(angle)])

    to_image = region_of_circle(centre, top).to_image(256)

    centre_in_image = to_image @ (128, 128, 1)
    top_in_image = to_image @ (128, 128 - 256 / SIDE_RADII, 1)
    assert np.allclose(centre_in_image, centre, atol=1e-6)
    assert np.allclose(top_in_image, top, atol=1e-6)


@given(coordinates, coordinates, radii, angles)
def test_a_region_contains_what_is_in_its_crop_and_nothing_else(
    x: float, y: float, side: float, angle: float
) -> None:
    region = Region(cx=x, cy=y, side_px=side, angle=angle)
    inside, outside = [(1, 1), (255, 1), (128, 128)], [(-1, 128), (128, 257), (300, 300)]
    in_image = np.array([region.to_image(256) @ (u, v, 1) for u, v in inside + outside])
    assert region.contains(in_image).tolist() == [True] * 3 + [False] * 3


@given(coordinates, coordinates, radii, angles)
def test_the_region_of_a_body_turns_grows_and_moves_with_it(
    x: float, y: float, size: float, angle: float
) -> None:
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, -sine], [sine, cosine]])
    upright = region_of_joints(standing_joints())

    moved = region_of_joints(size * standing_joints() @ turn.T + (x, y))

    centre = size * turn @ (upright.cx, upright.cy) + (x, y)
    assert np.allclose((moved.cx, moved.cy), centre, atol=1e-6)
    assert moved.side_px == pytest.approx(size * upright.side_px)
    assert math.cos(moved.angle - upright.angle - angle) == pytest.approx(1)


def test_a_trunk_that_points_at_the_camera_still_has_a_region() -> None:
    joints = standing_joints()
    joints[:, 1] = 0
    region = region_of_joints(joints)
    assert region.angle == 0
    assert region.side_px > 0


# ------------------------------------------------------------------ tiles


@given(sides, sides)
def test_tiles_lie_inside_the_picture_and_cover_it(width: int, height: int) -> None:
    around = tiles(width, height)
    for tile in around:
        assert tile.x0 >= 0
        assert tile.y0 >= 0
        assert tile.x0 + tile.side_px <= width + 1e-6
        assert tile.y0 + tile.side_px <= height + 1e-6
    for side in {tile.side_px for tile in around}:
        covered = [tile for tile in around if tile.side_px == side]
        assert covers([tile.x0 for tile in covered], side, width)
        assert covers([tile.y0 for tile in covered], side, height)


def covers(starts: Sequence[float], side: float, length: int) -> bool:
    """Whether squares beginning at `starts` leave no gap, and overlap by a third where there are several."""
    ordered = sorted(set(starts))
    steps = np.diff(ordered)
    return (
        ordered[0] == 0 and ordered[-1] + side >= length - 1e-6 and bool(np.all(steps <= side * 2 / 3 + 1e-6))
    )


@given(st.integers(320, 4000), st.integers(320, 4000), st.integers(0, 10**6))
def test_every_tile_has_its_turn(width: int, height: int, turn: int) -> None:
    around = tiles(width, height)
    seen = {next_tile(width, height, turn=turn + i, unconfirmed=[]) for i in range(len(around))}
    assert seen == set(around)


def test_known_people_whom_the_whole_picture_does_not_show_are_confirmed_by_turns() -> None:
    regions = [Region(cx=x, cy=300, side_px=200, angle=0) for x in (200.0, 900.0)]

    looked_at = [next_tile(1920, 1080, turn=turn, unconfirmed=regions) for turn in range(4)]

    assert {tile for tile in looked_at if tile.side_px == 300} == {Tile(50, 150, 300), Tile(750, 150, 300)}
    assert sum(tile in tiles(1920, 1080) for tile in looked_at) == 2


def test_while_nobody_is_lost_one_look_a_frame_takes_in_everything_by_turns() -> None:
    region = Region(cx=900, cy=300, side_px=200, angle=0)

    looks = [one_look(1920, 1080, turn=turn, followed=[region]) for turn in range(4 * len(tiles(1920, 1080)))]

    assert set(looks) == {whole_frame(1920, 1080), Tile(750, 150, 300), *tiles(1920, 1080)}
    assert looks.count(whole_frame(1920, 1080)) == len(looks) / 2


def test_a_tile_reports_only_people_whose_hips_it_sees() -> None:
    size = {"width": 1920, "height": 1080}
    tile = Tile(100, 100, 600)
    assert keeps(tile, detection(x=300, y=300, radius_px=100), **size)
    assert not keeps(tile, detection(x=300, y=90, radius_px=100), **size)
    assert keeps(whole_frame(1920, 1080), detection(x=300, y=1200, radius_px=900), **size)


# ------------------------------------------------------------------ likeness


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(person(), True, id="the same landmarks"),
        pytest.param(person(x=510, y=490, radius_px=190), True, id="found again in another tile"),
        pytest.param(person(mirrored=True), True, id="left and right swapped"),
        pytest.param(person(x=580), False, id="someone beside"),
        pytest.param(person(radius_px=80), False, id="someone far behind"),
    ],
)
def test_people_are_told_apart_by_landmarks(other: Landmarks, same: bool) -> None:
    assert same_person(person(), other) is same
    assert same_person(other, person()) is same


def test_hidden_landmarks_do_not_part_one_person() -> None:
    scattered = person().pixels.copy()
    scattered[[15, 16]] += 400
    hidden = np.ones(33, np.float32)
    hidden[[15, 16]] = 0
    assert same_person(person(), replace(person(), pixels=scattered, visibility=hidden))
    assert not same_person(person(), replace(person(), pixels=scattered))


@given(st.floats(-300, 300), st.floats(-300, 300))
def test_a_person_is_the_stranger_the_farther_from_the_prediction(dx: float, dy: float) -> None:
    joints = 200 * standing_joints() + (500, 500)
    near, far = (strangeness(person(x=500 + k * dx, y=500 + k * dy), joints) for k in (1, 3))
    assert near <= far + 1e-5
    assert strangeness(person(), joints) < 0.01


def test_a_detection_belongs_to_the_landmarks_with_its_hips_and_its_size() -> None:
    assert explains(person(), detection(x=530, y=480, radius_px=220))
    assert not explains(person(), detection(x=700, y=500, radius_px=200))
    assert not explains(person(), detection(x=500, y=500, radius_px=80))


def test_landmarks_that_lie_outside_their_region_are_a_neighbours() -> None:
    assert belongs(person())
    assert not belongs(replace(person(), region=Region(cx=800, cy=500, side_px=500, angle=0)))
    assert not belongs(replace(person(), region=Region(cx=500, cy=500, side_px=200, angle=0)))


def test_a_bust_is_a_person_and_a_leg_at_the_edge_is_not() -> None:
    assert in_picture(person(), width=1000, height=1000)
    assert in_picture(person(), width=1000, height=480)  # the hips are below the edge
    assert not in_picture(person(x=-60), width=1000, height=1000)
    assert not in_picture(replace(person(), visibility=np.zeros(33, np.float32)), width=1000, height=1000)


# ------------------------------------------------------------------ decoding


def square(x: float, y: float, side: float) -> np.ndarray:
    """A box of the detector's: two corners and four points (6, 2)."""
    return np.array([(x, y), (x + side, y + side), *[(x + side / 2, y + side / 2)] * 4])


def test_overlapping_boxes_become_their_mean_weighted_by_score() -> None:
    shapes = np.stack([square(0, 0, 10), square(2, 0, 10), square(50, 50, 10)])

    merged = merge_overlapping(shapes, np.array([0.6, 0.9, 0.7]))

    assert [score for _, score in merged] == [0.9, 0.7]
    assert merged[0][0][0] == pytest.approx((2 * 0.9 / 1.5, 0))
    assert merged[1][0] == pytest.approx(square(50, 50, 10))


def test_boxes_without_area_stand_for_themselves() -> None:
    assert len(merge_overlapping(np.stack([square(5, 5, 0)] * 2), np.array([0.5, 0.6]))) == 2


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100), st.floats(1, 50)), min_size=1, max_size=20))
def test_merged_boxes_are_sorted_and_no_more_than_before(boxes: list[tuple[float, float, float]]) -> None:
    scores = np.linspace(0.5, 1, len(boxes))
    merged = merge_overlapping(np.stack([square(*box) for box in boxes]), scores)
    kept = [score for _, score in merged]
    assert kept == sorted(kept, reverse=True)
    assert 1 <= len(kept) <= len(boxes)
    assert kept[0] == scores.max()


def test_a_landmark_moves_to_the_heat_beside_it() -> None:
    heat = np.full((64, 64, 3), -20.0, np.float32)
    heat[30, 20, 0] = heat[30, 21, 0] = 5  # row 30, columns 20 and 21: x = 82, y = 120 in a crop of 256
    heat[10, 10, 1] = -3  # not hot enough
    points = np.array([(86, 118), (40, 40), (-8, 300)], np.float32)

    refined, peaks = refine(points, heat, crop_px=256)

    assert refined[0] == pytest.approx((82, 120), abs=1e-3)
    assert refined[1:].tolist() == points[1:].tolist()  # the third lies outside the crop
    assert peaks == pytest.approx([0.993, 0.047, 0], abs=1e-3)
