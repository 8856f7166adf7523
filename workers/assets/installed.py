"""Which model files are in the assets directory, whether they are right, and reading them."""

import hashlib
from pathlib import Path
from typing import Literal

from wire.settings import Settings
from workers.assets import pins
from workers.assets.asset import Asset, AssetUnavailable, Digest, Hand
from workers.assets.catalogue import named

#: `unproven`: there, but no digest was ever published or recorded for it.
State = Literal["ready", "missing", "corrupt", "unproven"]


def directory(settings: Settings) -> Path:
    """Where the model files are: `assets_dir`, or else the user's cache directory."""
    return settings.assets_directory()


def path(name: str, assets_dir: Path) -> Path:
    """Where the file called `name` is. Raises `AssetUnavailable` if it is not there."""
    asset = named(name)
    if place := find(asset, assets_dir):
        return place
    raise AssetUnavailable(f"{name} is missing in {assets_dir}; {asset.remedy()}")


def read(name: str, assets_dir: Path) -> bytes:
    """The contents of the file called `name`, checked. Raises `AssetUnavailable`."""
    asset = named(name)
    contents = path(name, assets_dir).read_bytes()
    must = expected(asset, assets_dir)
    if must and Digest(len(contents), hashlib.sha256(contents).hexdigest()) != must:
        raise AssetUnavailable(f"{name} in {assets_dir} is not the published file; {asset.remedy()}")
    return contents


def comes_from_its_publisher(name: str, sha256: str, assets_dir: Path) -> bool:
    """Whether contents with this digest are what the publisher of `name` gave out.

    Either the publisher says so, or the file was once fetched from the publisher's address.
    """
    asset = named(name)
    if asset.published:
        return asset.published.sha256 == sha256
    pin = pins.read(assets_dir).get(name)
    return pin is not None and pin.source != pins.BY_HAND and pin.sha256 == sha256


def state(asset: Asset, assets_dir: Path) -> State:
    """Whether `asset` is there and right. Reads all of it."""
    place = find(asset, assets_dir)
    if place is None:
        return "missing"
    must = expected(asset, assets_dir)
    if must is None:
        # A user's own file is what the user says it is; whoever loads it checks its structure.
        return "ready" if isinstance(asset.source, Hand) else "unproven"
    return "ready" if place.stat().st_size == must.size_bytes and digest(place) == must else "corrupt"


def find(asset: Asset, assets_dir: Path) -> Path | None:
    """Where `asset` is, under whichever of its names."""
    places = (assets_dir / name for name in asset.names())
    return next((place for place in places if place.is_file()), None)


def expected(asset: Asset, assets_dir: Path) -> Digest | None:
    """What `asset` must be: as published, or else as it first was."""
    if asset.published:
        return asset.published
    pin = pins.read(assets_dir).get(asset.name)
    return pin.digest() if pin else None


def digest(place: Path) -> Digest:
    """What the file at `place` is."""
    with place.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return Digest(file.tell(), sha256)
