"""The keys of encrypted connections (CURVE): their files, and which of them a program uses.

A line is a key: `ROLE NAME PUBLIC` in `NAME.public`, with the secret half behind it in `NAME.secret`; `#` at
the beginning of a line makes a remark of it. Keys are in Z85 (ZeroMQ RFC 32), forty signs for 32 bytes.
`wire.links` puts them on sockets.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple, cast, get_args

from wire.endpoints import check_endpoint, is_tcp, listens
from wire.settings import Settings

#: What a key is for: a client's opens the door for clients only, a worker's the one for workers.
Role = Literal["broker", "client", "worker"]
ROLES: tuple[Role, ...] = get_args(Role)

#: Safe in file names and log lines.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")

_Z85 = r"[0-9a-zA-Z.:+=^!/*?&<>()\[\]{}@%$#-]{40}"
_PUBLIC = re.compile(rf"({'|'.join(ROLES)})\s+({NAME.pattern})\s+({_Z85})")
_SECRET = re.compile(rf"{_PUBLIC.pattern}\s+({_Z85})")

#: Who owns files that an administrator, or Kubernetes, put there.
_ROOT = 0


class PublicKey(NamedTuple):
    """What everybody may know of a key."""

    role: Role
    name: str
    key: bytes  # Z85

    def line(self) -> str:
        """Its line in a file."""
        return f"{self.role} {self.name} {self.key.decode()}\n"


@dataclass(frozen=True, slots=True)
class SecretKey:
    """A key whose secret half is known; it is not shown in logs and tracebacks."""

    public: PublicKey
    secret: bytes = field(repr=False)  # Z85

    def line(self) -> str:
        """Its line in a file that nobody else may read."""
        return f"{self.public.line().rstrip()} {self.secret.decode()}\n"


class PeerKeys(NamedTuple):
    """What it takes to connect to a broker: our key, and the one that the broker must have."""

    own: SecretKey
    broker: PublicKey


class Allowed(NamedTuple):
    """Whom a list lets in, and what in it could not be read, and so lets nobody in."""

    keys: tuple[PublicKey, ...]
    unreadable: tuple[str, ...]


def for_endpoint(endpoint: str, settings: Settings, *, role: Role) -> PeerKeys | None:
    """What a `role` needs to connect to `endpoint`; None: it stays on this machine, unencrypted.

    Raises `ValueError` where the endpoint may not be used so, or a key's file not at all.
    """
    if not (is_tcp(endpoint) and settings.broker_key_file):
        check_endpoint(endpoint)
        return None
    check_endpoint(endpoint, encrypted=True)
    if not settings.key_file:
        raise ValueError(f"POSE_KEY_FILE is not set: {endpoint} lets in whose key it knows")
    return PeerKeys(
        own=read_secret(Path(settings.key_file), role=role),
        broker=read_public(Path(settings.broker_key_file), role="broker"),
    )


def check_listening(settings: Settings) -> None:
    """Raises `ValueError` with the reason why a broker of these settings could not listen for others."""
    listening = listens(f"{settings.frames_listen},{settings.workers_listen}", key_file=settings.key_file)
    for listen in listening:
        read_secret(Path(listen.key_file), role="broker")
    if listening and not settings.allowed_keys:
        raise ValueError("POSE_ALLOWED_KEYS is not set: whom the broker lets in over tcp")
    if listening and (unreadable := read_allowed(Path(settings.allowed_keys)).unreadable):
        raise ValueError(unreadable[0])


def read_secret(path: Path, *, role: Role) -> SecretKey:
    """The one key in a file that nobody else can read. Raises `ValueError` with the reason."""
    try:
        _check_private(path)
        found = [_SECRET.fullmatch(line) for line in _lines(path)]
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    if len(found) != 1 or found[0] is None:  # not quoted: it is secret
        raise ValueError(f"{path}: not one line of the form ROLE NAME PUBLIC SECRET")
    key = SecretKey(_public(found[0]), found[0][4].encode())
    _check_role(path, key.public, role)
    return key


def read_public(path: Path, *, role: Role) -> PublicKey:
    """The one public key in a file. Raises `ValueError` with the reason."""
    found = read_allowed(path)
    if found.unreadable or len(found.keys) != 1:
        raise ValueError(f"{path}: not one line of the form ROLE NAME PUBLIC")
    _check_role(path, found.keys[0], role)
    return found.keys[0]


def read_allowed(path: Path) -> Allowed:
    """The public keys in a file, or in the `*.public` files of a folder.

    Raises `ValueError` where it is not there, or where others can write: they could let themselves in.
    """
    keys: list[PublicKey] = []
    unreadable: list[str] = []
    try:
        _check_trusted(path)
        for file in _public_files(path):
            _check_trusted(file)
            for line in _lines(file):
                if found := _PUBLIC.fullmatch(line):
                    keys.append(_public(found))
                else:  # not quoted: it may be a secret, put there by mistake
                    unreadable.append(f"{file}: a line is not of the form ROLE NAME PUBLIC")
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    return Allowed(tuple(keys), tuple(unreadable))


def version(path: Path) -> tuple[object, ...]:
    """Differs where what `read_allowed` reads may."""
    return tuple(_version(file) for file in (path, *_public_files(path)))


def _version(file: Path) -> tuple[object, ...]:
    try:
        status = file.stat()
    except OSError:
        return (file,)
    return file, status.st_ino, status.st_mtime_ns, status.st_size


def _public_files(path: Path) -> list[Path]:
    return sorted(path.glob("*.public")) if path.is_dir() else [path]


def _lines(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="ascii", errors="replace")
    return (line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#"))


def _public(found: re.Match[str]) -> PublicKey:
    return PublicKey(cast(Role, found[1]), found[2], found[3].encode())


def _check_role(path: Path, key: PublicKey, role: Role) -> None:
    if key.role != role:
        raise ValueError(f"{path}: the key of a {key.role}, {key.name}; here a {role}'s is needed")


def _check_private(path: Path) -> None:
    """Raises `ValueError` where others could read the file, or put another in its place."""
    status = path.stat()
    # Kubernetes and administrators hand a file of root's to a program through the group.
    readable = 0o027 if status.st_uid == _ROOT != os.getuid() else 0o077
    if status.st_uid not in (os.getuid(), _ROOT):
        raise ValueError(f"{path} belongs to another user")
    if status.st_mode & readable:
        raise ValueError(f"{path}: others can read or write it (mode {_mode(status)}); chmod 600")
    folder = path.resolve().parent.stat()
    if folder.st_uid == os.getuid() and folder.st_mode & 0o077 and not folder.st_mode & stat.S_ISVTX:
        raise ValueError(f"{path.parent}: others can look into it (mode {_mode(folder)}); chmod 700")
    _check_trusted(path.parent)


def _check_trusted(path: Path) -> None:
    """Raises `ValueError` where others than its owner could change it."""
    status = path.stat()
    if status.st_uid not in (os.getuid(), _ROOT):
        raise ValueError(f"{path} belongs to another user")
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    # In a folder such as /tmp, or where Kubernetes mounts secrets, others cannot replace what is not theirs.
    if others and not (path.is_dir() and status.st_mode & stat.S_ISVTX):
        raise ValueError(f"{path}: others can write it (mode {_mode(status)}); chmod go-w")


def _mode(status: os.stat_result) -> str:
    return f"{stat.S_IMODE(status.st_mode):04o}"
