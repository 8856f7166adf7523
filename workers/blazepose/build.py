"""Which parts make the embedded observer."""

from pathlib import Path
from typing import NamedTuple

from body.model import OPEN_BODY, Body
from wire.settings import Settings
from workers import assets
from workers.appearance import Appearance
from workers.blazepose.detector import Detector
from workers.blazepose.fit import Fit
from workers.blazepose.landmarks import LandmarkFinder
from workers.blazepose.observer import BlazePoseObserver
from workers.blazepose.search import Search
from workers.observer import Eyes


class Networks(NamedTuple):
    """BlazePose's two networks."""

    detector: Detector
    finder: LandmarkFinder


def networks(directory: Path, *, threads: int) -> Networks:
    """The two, of their files in `directory`. Raises `ModelNotLoaded`, naming what is missing or wrong."""
    return Networks(
        Detector(assets.read("pose_detection.tflite", directory), threads=threads),
        LandmarkFinder(assets.read("pose_landmark_full.tflite", directory), threads=threads),
    )


def observer(settings: Settings, body: Body) -> BlazePoseObserver:
    """The observer, which lays `body` over the people it sees. Raises as `networks` does."""
    detector, finder = networks(assets.directory(settings), threads=settings.threads)
    min_width_px, min_height_px = settings.min_person_px()
    search = Search(
        detector=detector,
        finder=finder,
        max_people=settings.max_people,
        min_width_px=min_width_px,
        min_height_px=min_height_px,
    )
    return BlazePoseObserver(search=search, fit=Fit(body), appearance=Appearance(body), body=body)


def eyes(settings: Settings) -> Eyes:
    """The observer, its body, and what runs. Raises as `networks` does."""
    body = Body.open()
    published = {asset.name: asset.published for asset in assets.in_groups([assets.DEFAULT_GROUP])}
    files = {name: digest.sha256 for name, digest in published.items() if digest}
    files[OPEN_BODY.name] = assets.digest(OPEN_BODY).sha256
    return Eyes(
        observer=observer(settings, body),
        body=body,
        device="cpu",
        models={name: f"sha256:{sha256}" for name, sha256 in files.items()},
    )
