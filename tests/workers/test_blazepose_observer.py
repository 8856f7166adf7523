"""The embedded observer as the pipeline uses it: pictures and plans in, observations out."""

import numpy as np
import pytest

from body.model import Body
from wire.camera import project
from workers.appearance import Appearance
from workers.blazepose.detector import Detector
from workers.blazepose.fit import Fit
from workers.blazepose.landmarks import LandmarkFinder
from workers.blazepose.observer import BlazePoseObserver
from workers.blazepose.region import region_of_joints
from workers.blazepose.search import Search
from workers.types import Image, Observation, Plan, Proposal

Clips = dict[str, dict[int, Image]]

EMPTY = Plan(proposals=(), turn=0)


@pytest.fixture(scope="module")
def body() -> Body:
    return Body.open()


@pytest.fixture(scope="module")
def observer(body: Body, detector: Detector, finder: LandmarkFinder) -> BlazePoseObserver:
    search = Search(detector=detector, finder=finder, max_people=8)
    return BlazePoseObserver(search=search, fit=Fit(body), appearance=Appearance(body), body=body)


def joints_px(one: Observation, body: Body, image: Image) -> np.ndarray:
    """Where the observed body's joints (24, 2) lie in the picture."""
    joints = body.joints(one.pose.rotations[None], one.pose.betas[None])[0]
    return project(joints, one.pose.translation, image.shape[1], image.shape[0])


def bytes_of(observations: list[Observation]) -> list[bytes]:
    return [
        b"".join(
            array.tobytes() for array in (one.pose.rotations, one.pose.translation, one.box, one.appearance)
        )
        for one in observations
    ]


def test_a_person_is_observed_with_body_box_and_colours(
    observer: BlazePoseObserver, body: Body, clips: Clips
) -> None:
    image = clips["cam01"][0]
    man = observer.observe([(image, EMPTY)])[0][0]

    assert man.detected
    assert man.proposal is None
    assert man.score > 0.9
    joints = joints_px(man, body, image)
    x0, y0, x1, y1 = man.box
    assert np.all((joints > (x0, y0)) & (joints < (x1, y1)))
    assert man.patch_weight.max() > 0.5
    assert 0 <= man.appearance.min() <= man.appearance.max() <= 1


def test_a_proposal_is_answered_under_its_track(
    observer: BlazePoseObserver, body: Body, clips: Clips
) -> None:
    man = observer.observe([(clips["cam01"][0], EMPTY)])[0][0]
    plan = Plan(proposals=(Proposal(track_id=3, pose=man.pose, continuous=True),), turn=1)

    again = observer.observe([(clips["cam01"][0], plan)])[0][0]

    assert again.proposal == 3
    assert again.betas_measured is not None
    assert np.array_equal(again.pose.betas, man.pose.betas)  # the shape is the track's
    apart = joints_px(again, body, clips["cam01"][0]) - joints_px(man, body, clips["cam01"][0])
    assert np.median(np.linalg.norm(apart, axis=1)) < 8


@pytest.mark.parametrize("clip", ["cam01", "cam02"])
def test_the_fitted_body_predicts_the_region_that_the_networks_draw(
    clip: str,
    observer: BlazePoseObserver,
    body: Body,
    clips: Clips,
    detector: Detector,
    finder: LandmarkFinder,
) -> None:
    image = clips[clip][0]
    search = Search(detector=detector, finder=finder, max_people=8)
    drawn = search.people(image, [], turn=0)[0].landmarks.following

    region = region_of_joints(joints_px(observer.observe([(image, EMPTY)])[0][0], body, image))

    assert np.hypot(region.cx - drawn.cx, region.cy - drawn.cy) < 0.05 * drawn.side_px
    assert region.side_px == pytest.approx(drawn.side_px, rel=0.1)
    assert region.angle == pytest.approx(drawn.angle, abs=0.1)


def test_an_answer_does_not_depend_on_the_company(observer: BlazePoseObserver, clips: Clips) -> None:
    frames = [(clips["cam01"][0], EMPTY), (clips["sports2d"][60], EMPTY), (clips["cam02"][0], EMPTY)]
    together = observer.observe(frames)
    alone = [observer.observe([frame])[0] for frame in reversed(frames)][::-1]
    assert [bytes_of(people) for people in together] == [bytes_of(people) for people in alone]


def test_no_frames_are_no_observations(observer: BlazePoseObserver) -> None:
    assert observer.observe([]) == []


def test_a_picture_without_people_has_no_observations(observer: BlazePoseObserver) -> None:
    assert observer.observe([(np.full((360, 640, 3), 90, np.uint8), EMPTY)]) == [[]]
