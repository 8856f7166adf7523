"""Which parts make the HMR2 observer. torch is imported from here on, and only where HMR2 was asked for."""

import os
import tempfile
from pathlib import Path

import numpy as np

from body import official
from body.mean import read_mean
from body.model import Body
from wire.settings import Settings
from workers import assets, compute
from workers.appearance import Appearance
from workers.detectors.build import build as person_detector
from workers.hmr2.architecture import RELEASE
from workers.hmr2.estimator import TorchEstimator
from workers.hmr2.observer import Hmr2Observer
from workers.hmr2.surfaces import Surfaces
from workers.hmr2.weights import open_network
from workers.observer import Eyes
from workers.phalp.learned.build import Phalp

#: How answers name the weights that 4D-Humans published, alone and with those of PHALP, and any others.
OFFICIAL, OFFICIAL_WITH_PHALP, OTHER = "4D-Humans", "4D-Humans-PHALP", "Everyframe-HMR2"


def eyes(settings: Settings, *, index: int, phalp: Phalp | None) -> Eyes:
    """The observer of worker `index`, its body, and what runs. It shows `phalp` people's surfaces.

    Raises `ModelNotLoaded` naming the file, or the device, that is missing or wrong.
    """
    directory = assets.directory(settings)
    checkpoint = assets.path("hmr2.ckpt", directory)
    means = assets.path("smpl_mean_params.npz", directory)
    body_file = assets.path("SMPL_NEUTRAL.pkl", directory)
    where = compute.decide(settings.device, settings.precision, index=index)
    compute.settle(where, threads=settings.threads)
    body = official.open_body(body_file)
    network = open_network(checkpoint, RELEASE, where=where, means=read_mean(means))
    digest = assets.digest(checkpoint).sha256
    published = assets.comes_from_its_publisher("hmr2.ckpt", digest, directory)
    observer = Hmr2Observer(
        detector=person_detector(settings, where.device, assets_dir=directory),
        estimator=TorchEstimator(network, device=where.device, batch_crops=settings.batch_crops),
        appearance=Appearance(body),
        body=body,
        surfaces=Surfaces(body=body, atlas=phalp.atlas) if phalp else None,
        model_version=_model_version(phalp, published=published),
    )
    _show_triangles(body, settings.body_file())
    files = {"hmr2.ckpt": digest, "SMPL_NEUTRAL.pkl": assets.digest(body_file).sha256}
    return Eyes(observer, body, str(where), {name: f"sha256:{sha256}" for name, sha256 in files.items()})


def _model_version(phalp: Phalp | None, *, published: bool) -> str:
    """How answers name the weights; PHALP is named where all are as they were published."""
    if not published:
        return OTHER
    return OFFICIAL_WITH_PHALP if phalp and phalp.published else OFFICIAL


def _show_triangles(body: Body, place: Path) -> None:
    """Write what the edge says of the mesh. Several workers may: each moves a whole file into place."""
    handle, written = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    with os.fdopen(handle, "wb") as file:
        np.savez(file, faces=body.faces, v_template=body.template)
    Path(written).replace(place)
