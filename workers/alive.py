"""A file that tells that a worker serves, for who cannot ask the broker: Kubernetes' probes."""

import time
from pathlib import Path

from wire.settings import Settings

#: Often enough for who looks once in some seconds.
_EVERY_S = 1.0


def path_of(settings: Settings, index: int) -> Path:
    """Where the worker of this index leaves it."""
    return Path(settings.runtime_dir) / f"worker-{index}.alive"


def serves(settings: Settings, index: int) -> bool:
    """Whether that worker gave a sign in the time that a frame may take."""
    try:
        age_s = time.time() - path_of(settings, index).stat().st_mtime
    except FileNotFoundError:
        return False
    return age_s <= max(settings.worker_silence_s, settings.frame_limit_s)


class SignOfLife:
    """The file, for as long as the `with` block lasts; what an earlier worker left is gone at once."""

    def __init__(self, settings: Settings, index: int) -> None:
        """Raises `OSError` where no file can be written."""
        self._path = path_of(settings, index)
        self._due_at = 0.0  # `time.monotonic`
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> "SignOfLife":
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)

    def give(self) -> None:
        """Say that we serve."""
        now = time.monotonic()
        if now >= self._due_at:
            self._path.touch()
            self._due_at = now + _EVERY_S
