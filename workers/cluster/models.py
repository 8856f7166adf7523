"""The model files on every machine of a cluster: sent once to each, checked by their SHA-256.

Files travel as Ray objects, of which a machine holds one however many workers it has; from there they are
written to where workers read them, unless they are there already. Only what may be passed on travels: what a
licence gives to a person by name (SMPL) each machine's owner has to put there.
"""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import ray

from workers import assets
from workers.assets.asset import Hand


@dataclass(frozen=True, slots=True)
class Model:
    """One file that workers read: its contents are the Ray object `contents`, uint8."""

    name: str
    sha256: str
    contents: "ray.ObjectRef[npt.NDArray[np.uint8]]"


def send(groups: Iterable[str], directory: Path) -> list[Model]:
    """The files of `groups` that are in `directory`, put where every machine can have them."""
    there = [
        (asset.name, place)
        for asset in assets.in_groups(list(groups))
        if not isinstance(asset.source, Hand) and (place := assets.find(asset, directory))
    ]
    return [_sent(name, place) for name, place in there]


def place(models: Iterable[Model], directory: Path) -> None:
    """See that `directory` has the files, whoever else of this machine does the same just now."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".cluster.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for model in models:
            target = directory / model.name
            if not (target.is_file() and assets.digest(target).sha256 == model.sha256):
                _write(target, ray.get(model.contents))


def _sent(name: str, place: Path) -> Model:
    contents = np.fromfile(place, np.uint8)
    return Model(name, hashlib.sha256(contents.data).hexdigest(), ray.put(contents))


def _write(target: Path, contents: npt.NDArray[np.uint8]) -> None:
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    with os.fdopen(descriptor, "wb") as file:
        contents.tofile(file)
    Path(name).replace(target)
