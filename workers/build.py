"""Which parts make a worker: the one place that knows them all."""

import time
from dataclasses import dataclass

from wire.settings import Settings
from workers import answers, assets
from workers.appearance import Appearance
from workers.blazepose.detector import Detector
from workers.blazepose.fit import Fit
from workers.blazepose.landmarks import LandmarkFinder
from workers.blazepose.observer import BlazePoseObserver
from workers.blazepose.search import Search
from workers.body.model import Body
from workers.lmdb_store import LmdbStore
from workers.phalp.state import SessionState
from workers.phalp.tracker import Tracker
from workers.pipeline import FrameAnswer, Pipeline
from workers.sessions import Codec, Sessions
from workers.store import Store


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


def open_store(settings: Settings, *, index: int) -> Store:
    """Where worker `index` keeps its sessions. Raises `OSError`, `lmdb.Error` where it cannot."""
    return LmdbStore(
        settings.store_directory(),
        index=index,
        max_bytes=settings.store_max_bytes,
        kept_answers=kept_answers(settings),
        idle_s=settings.session_idle_s,
        now=time.time(),
    )


def sessions(settings: Settings, pipeline: Pipeline, store: Store) -> Sessions[SessionState, FrameAnswer]:
    """The sessions that `pipeline` folds."""
    return Sessions(
        store=store,
        start=pipeline.start,
        states=Codec(SessionState.to_bytes, SessionState.from_bytes),
        answers=Codec(answers.to_bytes, answers.from_bytes),
        kept_answers=kept_answers(settings),
    )


def kept_answers(settings: Settings) -> int:
    """Answers kept of a session: at least those that a worker that ends may not have got rid of."""
    return max(settings.kept_answers, settings.worker_credits)
