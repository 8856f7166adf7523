"""Whatever a worker sends, an answer is whole, strict JSON, or it is not given."""

import json
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from http_edge import contract, results, topology
from http_edge.contract import Style
from tests.fake_worker import body_arrays, result_header
from wire.arrays import pack_arrays
from wire.camera import crop_camera, crop_square, focal_length_px
from wire.messages import Result
from wire.skeleton import COCO_KEYPOINTS, JOINT_ANGLES, SMPL_JOINTS

WORK = {"request_id": bytes(16), "session_id": "a", "epoch": 1, "frame_number": 5}
TOPOLOGY = topology.encode(np.arange(9).reshape(3, 3) % 6890, vertex_count=6890)
STATES = ["detected", "recovered", "predicted"]


def result(people: int, primary: int | None, **changes: object) -> Result:
    header = result_header(WORK, {}, states=[STATES[row % 3] for row in range(people)], primary=primary)
    return msgspec.convert(header | changes, Result)


def written(
    header: Result, arrays: dict[str, np.ndarray], *, full_people: bool = False, keypoints: str = "coco17"
) -> dict[str, Any]:
    """The answer's body, read back as strictly as a browser does."""
    style = Style(keypoints=keypoints, meshes="everyone" if full_people else "primary")
    specs, payload = pack_arrays(arrays)
    people = results.read(
        msgspec.structs.replace(header, arrays=specs), payload, topology=TOPOLOGY, meshes=style.meshes
    )
    body = contract.answer(people, topology=TOPOLOGY, style=style, elapsed_ms=12.3456)
    return json.loads(body.whole(), parse_constant=pytest.fail)


def numbers(value: object) -> list[float | None]:
    """Every number in a JSON value, and every null within a list: what NaN would have become."""
    if isinstance(value, dict):
        return [number for inner in value.values() for number in numbers(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in ([None] if inner is None else numbers(inner))]
    return [value] if isinstance(value, float | int) else []


any_float32 = st.floats(width=32, allow_nan=True, allow_infinity=True)


@st.composite
def any_results(draw: st.DrawFn) -> tuple[Result, dict[str, np.ndarray], bool]:
    """Results of up to three people with anything at all in their small arrays."""
    count = draw(st.integers(0, 3))
    primary = draw(st.none() | st.integers(0, count - 1)) if count else None
    full = draw(st.booleans())
    arrays = body_arrays(people=count, meshes=count if full else int(primary is not None))
    for name in draw(st.lists(st.sampled_from(sorted(set(arrays) - {"vertices"})), max_size=3)):
        arrays[name] = draw(arrays_of.arrays(np.float32, arrays[name].shape, elements=any_float32))
    return result(count, primary), arrays, full


@settings(max_examples=300, deadline=None)
@given(any_results(), st.sampled_from(["coco17", "smpl24"]))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # overflow in a projection is among what is tried
def test_an_answer_is_finite_and_whole_or_refused(
    sent: tuple[Result, dict[str, np.ndarray], bool], keypoints: str
) -> None:
    header, arrays, full = sent
    try:
        body = written(header, arrays, full_people=full, keypoints=keypoints)
    except (ValueError, ZeroDivisionError):
        return

    found = numbers(body)
    assert None not in found
    assert np.isfinite(np.array(found, dtype=np.float64)).all()
    names = list(COCO_KEYPOINTS if keypoints == "coco17" else SMPL_JOINTS)
    for shown in [*body["people"], *([body] if body["has_3d"] else [])]:
        assert [point["name"] for point in shown["keypoints"]] == names
        assert list(shown["joint_angles_3d"]) == list(JOINT_ANGLES)
        assert np.shape(shown["joints_3d_raw"]) == (24, 3)
    assert body["mesh_vertices"] == (0 if header.primary is None else 6890) == len(body["mesh_vertices_data"])
    assert len(body["mesh_faces_data"]) == (0 if header.primary is None else 3)
    assert body["keypoint_count"] == len(body["keypoints"])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("joints", lambda array: array[:, :23]),
        ("keypoints", lambda array: array[:0]),
        ("vertices", lambda array: array[:, :6889]),
        ("vertices", lambda array: array[:0]),
        ("angles", lambda array: array.astype(np.int32)),
        ("boxes", lambda array: array * np.float32("inf")),
        ("translation", lambda array: array * np.float32(1e20)),
    ],
)
def test_arrays_that_do_not_fit_the_contract_are_refused_by_name(name: str, change: Any) -> None:
    arrays = body_arrays(people=1, meshes=1)
    arrays[name] = change(arrays[name])

    with pytest.raises(ValueError, match=name):
        written(result(1, 0), arrays)


def test_a_missing_array_and_a_missing_payload_frame_are_refused() -> None:
    arrays = body_arrays(people=1, meshes=1)
    specs, payload = pack_arrays(arrays)
    header = msgspec.structs.replace(result(1, 0), arrays=specs)

    with pytest.raises(ValueError, match="broken"):
        results.read(header, payload[:-1], topology=TOPOLOGY, meshes="primary")
    del arrays["betas"]
    with pytest.raises(ValueError, match="betas"):
        written(result(1, 0), arrays)


def test_a_primary_who_is_not_among_the_people_is_refused() -> None:
    with pytest.raises(ValueError, match="primary"):
        written(result(1, 1), body_arrays(people=1, meshes=1))


def test_full_people_need_a_mesh_for_everyone() -> None:
    with pytest.raises(ValueError, match="vertices"):
        written(result(2, 0), body_arrays(people=2, meshes=1), full_people=True)


def test_smpl24_keypoints_lie_where_the_joints_project() -> None:
    arrays = body_arrays(people=1, meshes=1)
    body = written(result(1, 0), arrays, keypoints="smpl24")

    moved = arrays["joints"][0].astype(np.float64) + arrays["translation"][0]
    expected = focal_length_px(640, 360) * moved[:, :2] / moved[:, 2:] + [320, 180]
    np.testing.assert_allclose([[p["x"], p["y"]] for p in body["keypoints"]], expected, atol=0.03)
    assert [p["confidence"] for p in body["keypoints"]] == pytest.approx(
        arrays["joint_confidence"][0], abs=1e-4
    )


def test_an_answer_counts_the_frames_that_time_went_on_without() -> None:
    tracking = written(result(1, 0, skipped=3, expired=1), body_arrays(people=1, meshes=1))["tracking"]

    assert (tracking["frames_skipped"], tracking["frames_expired"]) == (3, 1)


def test_numbers_carry_no_more_digits_than_a_reader_needs() -> None:
    body = written(result(1, 0), body_arrays(people=1, meshes=1))

    assert max(decimals(value) for vertex in body["mesh_vertices_data"] for value in vertex) == 4
    assert max(decimals(point["x"]) for point in body["keypoints"]) == 2


def decimals(value: float) -> int:
    return len(np.format_float_positional(value).partition(".")[2])


@given(
    st.tuples(*[st.floats(-500, 2500)] * 2),
    st.tuples(*[st.floats(10, 2000)] * 2),
    st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(1, 200)),
)
def test_the_crop_camera_inverts_cam_crop_to_full(
    corner: tuple[float, float], size: tuple[float, float], translation: tuple[float, float, float]
) -> None:
    center, side = crop_square(np.array([*corner, corner[0] + size[0], corner[1] + size[1]]))
    assert side > max(size) - 1e-6
    scale, tx, ty = crop_camera(
        np.array(translation), box_center=center, box_size=side, width=1920, height=1080
    )

    box = side * scale
    back = [tx + 2 * (center[0] - 960) / box, ty + 2 * (center[1] - 540) / box, 2 * 37500 / box]
    np.testing.assert_allclose(back, translation, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("box", "side"),
    [
        pytest.param((0, 0, 90, 160), 160, id="taller than 3:4"),
        pytest.param((0, 0, 300, 300), 400, id="square grows to 3:4"),
        pytest.param((0, 0, 300, 100), 400, id="wide"),
    ],
)
def test_the_crop_square_is_the_one_of_4d_humans(box: tuple[float, ...], side: float) -> None:
    center, size = crop_square(np.array(box))
    assert size == pytest.approx(side)
    assert center == (box[2] / 2, box[3] / 2)


@pytest.mark.parametrize("faces", [np.zeros((4, 4), int), np.array([[0, 1, 8]]), np.array([[-1, 0, 1]])])
def test_faces_that_are_not_triangles_of_the_mesh_are_refused(faces: np.ndarray) -> None:
    with pytest.raises(ValueError, match="triangles"):
        topology.encode(faces, vertex_count=8)


def test_a_refusal_is_three_fields() -> None:
    body: object = json.loads(contract.refusal(code="busy", message='"full"', frame_number=None))
    assert body == {"error": '"full"', "code": "busy", "frame_number": None}
