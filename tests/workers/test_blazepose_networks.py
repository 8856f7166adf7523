"""The two networks on real pictures, against mediapipe's own results and against themselves."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from workers import assets
from workers.blazepose.detector import Detection, Detector, Tile, whole_frame
from workers.blazepose.graph import pruned
from workers.blazepose.landmarks import LandmarkFinder, Landmarks
from workers.blazepose.network import Network
from workers.blazepose.region import Region
from workers.blazepose.scouting import tiles
from workers.types import Image

Clips = dict[str, dict[int, Image]]

#: mediapipe 0.10.21's `solutions.pose`, single-image mode, complexity 1, on every tenth frame.
RECORDED = np.load(Path(__file__).parents[1] / "fixtures" / "blazepose_a.npz")


def best_person(image: Image, detector: Detector, finder: LandmarkFinder) -> Landmarks | None:
    """What mediapipe does in single-image mode: the landmarks of the best detection of the whole picture."""
    height, width = image.shape[:2]
    found = detector.detect(image, whole_frame(width, height))
    return finder.find(image, found[0].region) if found else None


@pytest.mark.parametrize("clip", ["sports2d", "cam01", "cam02"])
def test_landmarks_agree_with_mediapipe(
    clip: str, clips: Clips, detector: Detector, finder: LandmarkFinder
) -> None:
    numbers = RECORDED[f"{clip}_frame"].tolist()
    people = [best_person(clips[clip][number], detector, finder) for number in numbers]

    found = np.array([person is not None for person in people])
    assert found.tolist() == RECORDED[f"{clip}_found"].astype(bool).tolist()

    seen = [person for person in people if person is not None]
    recorded = RECORDED[f"{clip}_landmarks"][found]
    pixels = np.stack([person.pixels for person in seen])
    world = np.stack([person.world for person in seen])
    visibility = np.stack([person.visibility for person in seen])
    apart_px = np.linalg.norm(pixels[..., :2] - recorded[..., :2], axis=-1)
    apart_m = np.linalg.norm(world - RECORDED[f"{clip}_world"][found], axis=-1)
    # Two orders of magnitude better than needed: the slack is for other processors' arithmetic.
    assert np.median(apart_px) < 0.2
    assert np.median(apart_m) < 0.0005
    assert np.median(np.abs(pixels[..., 2] - recorded[..., 2])) < 1
    assert np.median(np.abs(visibility - recorded[..., 3])) < 0.001


def test_networks_keep_no_state_and_threads_change_nothing(
    clips: Clips, detector: Detector, finder: LandmarkFinder, model_files: Path
) -> None:
    alone = Detector(assets.read("pose_detection.tflite", model_files), threads=1)
    finder_alone = LandmarkFinder(assets.read("pose_landmark_full.tflite", model_files), threads=1)
    image, other = clips["cam01"][0], clips["sports2d"][50]

    first = best_person(image, detector, finder)
    best_person(other, detector, finder)
    again = best_person(image, detector, finder)
    single = best_person(image, alone, finder_alone)

    assert first is not None and again is not None and single is not None
    for same in (again, single):
        assert same.pixels.tobytes() == first.pixels.tobytes()
        assert same.world.tobytes() == first.world.tobytes()
        assert (same.score, same.region, same.following) == (first.score, first.region, first.following)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_people_looked_for_together_are_found_as_they_are_alone(
    threads: int, clips: Clips, detector: Detector, finder: LandmarkFinder, model_files: Path
) -> None:
    image = clips["cam01"][0]
    (found, *_) = detector.detect(image, whole_frame(image.shape[1], image.shape[0]))
    around = found.region
    regions = [around, replace(around, side_px=1.2 * around.side_px), Region(cx=0, cy=0, side_px=90, angle=1)]
    alone = [finder.find(image, region) for region in regions]
    assert [landmarks is None for landmarks in alone] == [False, False, True]

    several = LandmarkFinder(assets.read("pose_landmark_full.tflite", model_files), threads=threads)

    for count in range(len(regions) + 1):
        together = several.find_all(image, regions[:count])
        assert [one and one.pixels.tobytes() for one in together] == [
            one and one.pixels.tobytes() for one in alone[:count]
        ]


def test_a_detector_that_leaves_a_thread_to_others_sees_the_same(clips: Clips, detector: Detector) -> None:
    image = clips["cam01"][0]
    whole = whole_frame(image.shape[1], image.shape[0])
    found, modestly = detector.detect(image, whole), detector.detect(image, whole, modest=True)
    assert found
    assert [(one.score, one.points.tobytes()) for one in modestly] == [
        (one.score, one.points.tobytes()) for one in found
    ]


def test_several_looks_at_a_time_see_what_single_ones_do(detector: Detector, clips: Clips) -> None:
    image = clips["sports2d"][60]
    where = tiles(image.shape[1], image.shape[0])[:3]

    def bytes_of(found: list[Detection]) -> list[tuple[bytes, bytes, float]]:
        return [(one.box.tobytes(), one.points.tobytes(), one.score) for one in found]

    singly = [bytes_of(detector.detect(image, tile, min_score=0.2)) for tile in where]
    assert any(singly)
    assert [bytes_of(found) for found in detector.detect_all(image, where, min_score=0.2)] == singly


def test_a_graph_without_its_unread_outputs_gives_the_same_numbers(model_files: Path) -> None:
    model = assets.read("pose_landmark_full.tflite", model_files)
    read = (3, 0)
    whole, part = Network(model, threads=1), Network(pruned(model, outputs=read), threads=1)
    crop = np.random.default_rng(3).integers(0, 256, (256, 256, 3), dtype=np.uint8)

    whole.run(crop, low=0.0, high=1.0)
    part.run(crop, low=0.0, high=1.0)

    for place, index in enumerate(read):
        assert part.output(place).tobytes() == whole.output(index).tobytes()


def test_what_cannot_be_pruned_is_refused(model_files: Path) -> None:
    with pytest.raises(ValueError, match="not a TFLite file"):
        pruned(b"something else altogether", outputs=(0,))
    with pytest.raises(ValueError, match="5 outputs"):
        pruned(assets.read("pose_landmark_full.tflite", model_files), outputs=(0, 5))


def test_a_tile_shows_the_people_at_their_place_in_the_picture(clips: Clips, detector: Detector) -> None:
    # A man on a roof, too small in the whole picture.
    (man,) = detector.detect(clips["sports2d"][0], Tile(380, 0, 596))
    assert man.points[0] == pytest.approx((654, 270), abs=30)


def test_a_person_at_any_angle_stands_upright_in_the_region(
    clips: Clips, detector: Detector, finder: LandmarkFinder
) -> None:
    upright = clips["cam01"][0]
    lying = np.ascontiguousarray(np.rot90(upright, k=-1))  # a quarter turn clockwise
    height = upright.shape[0]

    standing = best_person(upright, detector, finder)
    assert standing is not None
    region = standing.region
    turned = Region(height - 1 - region.cy, region.cx, region.side_px, region.angle + np.pi / 2)
    found = finder.find(lying, turned)

    assert found is not None
    expected = np.column_stack([height - 1 - standing.pixels[:, 1], standing.pixels[:, 0]])
    assert np.median(np.linalg.norm(found.pixels[:, :2] - expected, axis=1)) < 5
    world = np.column_stack([-standing.world[:, 1], standing.world[:, 0], standing.world[:, 2]])
    assert np.median(np.linalg.norm(found.world - world, axis=1)) < 0.01


def test_the_region_that_follows_finds_the_same_person(
    clips: Clips, detector: Detector, finder: LandmarkFinder
) -> None:
    image = clips["cam01"][0]
    first = best_person(image, detector, finder)
    assert first is not None
    second = finder.find(image, first.following)
    assert second is not None
    assert np.median(np.linalg.norm(second.pixels[:, :2] - first.pixels[:, :2], axis=1)) < 5


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((1, 1), id="one pixel"),
        pytest.param((3, 900), id="a line"),
        pytest.param((480, 640), id="a plain picture"),
        pytest.param((40, 40_000), id="wider than OpenCV addresses"),
    ],
)
def test_an_empty_picture_of_any_shape_shows_nobody(
    shape: tuple[int, int], detector: Detector, finder: LandmarkFinder
) -> None:
    image = np.full((*shape, 3), 127, np.uint8)
    assert detector.detect(image, whole_frame(shape[1], shape[0])) == []
    assert finder.find(image, Region(cx=shape[1] / 2, cy=shape[0] / 2, side_px=500, angle=1)) is None


def test_a_region_far_outside_the_picture_shows_nobody(finder: LandmarkFinder) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    assert finder.find(image, Region(cx=1e6, cy=-1e6, side_px=1e5, angle=2)) is None
