"""Which parts make a worker: the one place that knows them all."""

from dataclasses import dataclass

from wire.settings import Settings
from workers import assets
from workers.appearance import Appearance
from workers.blazepose.detector import Detector
from workers.blazepose.fit import Fit
from workers.blazepose.landmarks import LandmarkFinder
from workers.blazepose.observer import BlazePoseObserver
from workers.blazepose.search import Search
from workers.body.model import Body
from workers.phalp.tracker import Tracker
from workers.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Parts:
    """A pipeline ready to fold frames, its body, and what `/health` says of it."""

    pipeline: Pipeline
    body: Body
    device: str
    models: dict[str, str]


def build(settings: Settings) -> Parts:
    """Load the networks and the body. Raises `ModelNotLoaded` naming the file that is missing or wrong."""
    body = Body.open()
    return Parts(
        pipeline=Pipeline(
            observer=blazepose_observer(settings, body),
            tracker=Tracker(joints_of=body.joints, max_people=settings.max_people),
            body=body,
            max_image_pixels=settings.max_image_pixels,
        ),
        body=body,
        device="cpu",
        models={"pose_detection": "loaded", "pose_landmark_full": "loaded", "open_body": "loaded"},
    )


def blazepose_observer(settings: Settings, body: Body) -> BlazePoseObserver:
    """The embedded observer."""
    directory = assets.directory(settings)
    search = Search(
        detector=Detector(assets.read("pose_detection.tflite", directory), threads=settings.threads),
        finder=LandmarkFinder(assets.read("pose_landmark_full.tflite", directory), threads=settings.threads),
        max_people=settings.max_people,
    )
    return BlazePoseObserver(search=search, fit=Fit(body), appearance=Appearance(body), body=body)
