"""PHALP made of its official files: the tracker, and what the observer needs to show it people's surfaces."""

from dataclasses import dataclass
from typing import Final

from wire.settings import Settings
from workers import assets
from workers.phalp.learned.tracker import LearnedTracker
from workers.phalp.learned.unfold import Atlas

#: The files that are read. PHALP's others draw pictures.
FILES: Final = (
    "hmar_v2_weights.pth",
    "pose_predictor.pth",
    "pose_predictor.yaml",
    "mean_std.npy",
    "bmap_256.npy",
    "fmap_256.npy",
    "texture.npz",
)


@dataclass(frozen=True, slots=True, eq=False)
class Phalp:
    """The tracker, the atlas of the surfaces that it compares, and the files that they are of.

    models: SHA-256 by name, for `/health`. published: every file is as its publisher gave it out.
    """

    tracker: LearnedTracker
    atlas: Atlas
    models: dict[str, str]
    published: bool


def open_phalp(settings: Settings, *, index: int) -> Phalp:
    """PHALP for worker `index`. Raises `ModelNotLoaded` naming the file, or the device, that is wrong."""
    from workers import compute  # torch is not there where nobody asked for what needs it
    from workers.phalp.learned.networks.files import open_networks

    directory = assets.directory(settings)
    files = {name: assets.path(name, directory) for name in FILES}
    where = compute.decide(settings.device, settings.precision, index=index)
    networks = open_networks(
        encoder=files["hmar_v2_weights.pth"],
        transformer=files["pose_predictor.pth"],
        config=files["pose_predictor.yaml"],
        mean_std=files["mean_std.npy"],
        device=where.device,
    )
    digests = {name: assets.digest(place).sha256 for name, place in files.items()}
    return Phalp(
        tracker=LearnedTracker(looks=networks.looks, poses=networks.poses, max_people=settings.max_people),
        atlas=Atlas.open(
            shares=files["bmap_256.npy"], faces=files["fmap_256.npy"], texture=files["texture.npz"]
        ),
        models={name: f"sha256:{sha256}" for name, sha256 in digests.items()},
        published=all(
            assets.comes_from_its_publisher(name, sha256, directory) for name, sha256 in digests.items()
        ),
    )
