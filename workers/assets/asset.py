"""What is known of a model file before it is here: its name, its publisher, its digest, its bounds."""

from dataclasses import dataclass

from wire.errors import ModelNotLoaded


class AssetUnavailable(ModelNotLoaded):
    """A model file is missing or is not what it should be."""


class FetchError(Exception):
    """A file could not be fetched; the message says what was tried and what went wrong."""


@dataclass(frozen=True, slots=True)
class Digest:
    """What a file's contents must be."""

    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Wheel:
    """A pinned wheel of the package index, used as a container only: it is never installed."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True)
class Address:
    """One file on the publisher's servers: the same file at each address, tried in this order."""

    urls: tuple[str, ...]

    def __str__(self) -> str:
        return self.urls[0]


@dataclass(frozen=True, slots=True)
class Archive:
    """A tar on the publisher's servers, compressed or not: the same file at each address."""

    urls: tuple[str, ...]

    def __str__(self) -> str:
        return self.urls[0]


@dataclass(frozen=True, slots=True)
class Hand:
    """A file that its publisher gives to registered users only: they put it in place themselves.

    `also` are the names it has at the publisher's, taken as well as the asset's own.
    """

    also: tuple[str, ...]
    how: str

    def __str__(self) -> str:
        return "put in place by you"


@dataclass(frozen=True, slots=True)
class Asset:
    """A file under the name that it has in the assets directory.

    `member` is its name inside the wheel or archive. Where nobody publishes a digest, the one of
    the first download counts from then on (`pins.py`). No file may be larger than `most_bytes`.
    """

    name: str
    group: str
    source: Wheel | Address | Archive | Hand
    licence: str
    published: Digest | None = None
    member: str = ""
    most_bytes: int = 2**30

    def names(self) -> tuple[str, ...]:
        """The file names that are taken for this asset, its own first."""
        return (self.name, *self.source.also) if isinstance(self.source, Hand) else (self.name,)

    def limit_bytes(self) -> int:
        """The size it has, where that is published, or else the most it may have."""
        return self.published.size_bytes if self.published else self.most_bytes

    def remedy(self) -> str:
        """What to do when the file is missing."""
        if isinstance(self.source, Hand):
            return self.source.how
        return f"run: python -m workers.assets fetch {self.group}"
