"""Bearer tokens: whose one is, as a file of hashes says.

A line of the file is `NAME sha256:HEX`; `#` begins a remark. Who reads the file learns no token: each is 256
random bits, for which one round of SHA-256 is enough. A name may have several tokens, so that they can be
changed without a pause. The file is read again when it has changed.
"""

import hashlib
import hmac
import logging
import re
import secrets
import threading
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger(__name__)

#: Safe in file names, log lines and session ids, of which a name becomes a part.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")

_LINE = re.compile(rf"({NAME.pattern})\s+sha256:([0-9a-f]{{64}})")
_TOKEN_BYTES = 32


class Entry(NamedTuple):
    """One line of the file."""

    name: str
    digest: bytes  # SHA-256 of the token


class Tokens:
    """The tokens of a file, for many threads at a time."""

    def __init__(self, path: Path) -> None:
        """Raises `OSError` or `ValueError` where the file cannot be read."""
        self._path = path
        self._lock = threading.Lock()
        self._version = _version(path)
        try:
            self._entries = parse(path.read_text())
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    @property
    def names(self) -> list[str]:
        """Whose tokens there are."""
        return sorted({entry.name for entry in self._entries})

    def owner(self, token: str) -> str | None:
        """The name that a token was made for; None: nobody knows it.

        Each entry is compared to its end, whichever fits: how long that takes says nothing.
        """
        self._read_again_if_changed()
        digest = digest_of(token)
        owner = None
        for entry in self._entries:
            if hmac.compare_digest(entry.digest, digest):
                owner = entry.name
        return owner

    def _read_again_if_changed(self) -> None:
        version = _version(self._path)
        if version == self._version:
            return
        with self._lock:
            if version == self._version:
                return
            self._version = version  # before it is read: what cannot be read is told once
            try:
                self._entries = parse(self._path.read_text())
            except (OSError, ValueError) as error:
                log.error("the tokens stay as they were: %s: %s", self._path, error)
            else:
                log.info("tokens read again, they belong to: %s", ", ".join(self.names) or "nobody")


def make() -> str:
    """A new token."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def line(name: str, token: str) -> str:
    """The line of the file that lets a token in. Raises `ValueError` where the name is not one."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: letters, digits, - and _, at most 32, and no sign first")
    return f"{name} sha256:{digest_of(token).hex()}\n"


def digest_of(token: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


def parse(text: str) -> tuple[Entry, ...]:
    """The entries of a file. Raises `ValueError` with the number of the line that is none."""
    entries = []
    for number, written in enumerate(text.splitlines(), start=1):
        if not (content := written.partition("#")[0].strip()):
            continue
        found = _LINE.fullmatch(content)
        if found is None:  # the line is not quoted: it may be a token, put there by mistake
            raise ValueError(f"line {number} is not of the form NAME sha256:HEX")
        entries.append(Entry(found[1], bytes.fromhex(found[2])))
    return tuple(entries)


def _version(path: Path) -> tuple[int, int, int] | None:
    """Differs where the file's content may; None: it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
