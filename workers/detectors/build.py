"""Which person detector a worker uses. torch is imported only for those that need it."""

from pathlib import Path
from typing import TYPE_CHECKING

from wire.settings import Settings
from workers import assets
from workers.blazepose import build as blazepose
from workers.detectors.blazepose import BlazePoseDetector
from workers.detectors.person import PersonDetector, Thresholds

if TYPE_CHECKING:
    import torch


def build(settings: Settings, device: "torch.device", *, assets_dir: Path) -> PersonDetector:
    """The detector that `settings` ask for, with its published weights from `assets_dir`, on `device`.

    BlazePose's networks run on the CPU whatever the device. Raises `ModelNotLoaded` naming the file that
    is missing or wrong.
    """
    min_width_px, min_height_px = settings.min_person_px()
    thresholds = Thresholds(
        detection_score=settings.detection_score,
        expected_score=settings.expected_score,
        min_width_px=min_width_px,
        min_height_px=min_height_px,
    )
    if settings.detector == "blazepose":
        detector, finder = blazepose.networks(assets_dir, threads=settings.threads)
        return BlazePoseDetector(detector=detector, finder=finder, thresholds=thresholds)
    from workers.detectors import networks
    from workers.detectors.rcnn import RcnnDetector

    name = settings.detector
    if name == "auto":
        name = "fasterrcnn" if device.type == "cpu" else "maskrcnn"
    network = networks.load(name, assets.path(networks.FILES[name], assets_dir), device)
    return RcnnDetector(network, thresholds, device)
