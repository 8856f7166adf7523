"""What this program has open."""

from pathlib import Path


def held() -> int:
    """Descriptors, the one that looks included."""
    return len(list(Path("/proc/self/fd").iterdir()))
