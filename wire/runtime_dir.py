"""The directory of sockets, pid files and locks, made so that nobody else can reach what is in it."""

import os
from pathlib import Path

from wire.settings import PREFIX, Settings


def make(settings: Settings) -> Path:
    """The runtime directory, made private to this user. Raises `PermissionError` if it is another's."""
    path = Path(settings.runtime_dir)
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_uid != os.getuid():
        raise PermissionError(f"{path} belongs to another user; set {PREFIX}RUNTIME_DIR")
    path.chmod(0o700)
    return path
