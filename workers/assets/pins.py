"""What the files were when they first came: the digests held where a publisher gives none.

One small JSON file in the assets directory, written whole or not at all.
"""

from pathlib import Path

import msgspec

from workers.assets.asset import AssetUnavailable, Digest

NAME = "pins.json"

#: The source of a file that was there before anything was recorded of it.
BY_HAND = "found in place"


class Pin(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file's contents as they first were, the address they came from, and the day (UTC)."""

    size_bytes: int
    sha256: str
    source: str
    recorded: str

    def digest(self) -> Digest:
        """What the file must be from then on."""
        return Digest(self.size_bytes, self.sha256)


def read(assets_dir: Path) -> dict[str, Pin]:
    """Asset name -> pin. Raises `AssetUnavailable` if the file is not as `record` left it."""
    try:
        return msgspec.json.decode((assets_dir / NAME).read_bytes(), type=dict[str, Pin])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as error:
        raise AssetUnavailable(
            f"{assets_dir / NAME} cannot be read ({error}); mend or delete it: without it the files"
            " that lie there are taken as they are"
        ) from None


def record(name: str, pin: Pin, assets_dir: Path) -> None:
    """Hold `name` to `pin` from now on."""
    pins = {**read(assets_dir), name: pin}
    written = assets_dir / f".{NAME}.new"
    written.write_bytes(msgspec.json.format(msgspec.json.encode(pins, order="sorted"), indent=2) + b"\n")
    written.replace(assets_dir / NAME)
