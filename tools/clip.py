"""Where a fetched clip is; `python -m tools.clip sports2d_demo.mp4` prints it."""

import os
import sys
from pathlib import Path

from wire import settings
from workers import assets


def clip_path(name: str) -> Path:
    """Where a clip of `workers.assets` is. Raises `AssetUnavailable`."""
    return assets.path(name, assets.directory(settings.load(os.environ)))


if __name__ == "__main__":
    print(clip_path(sys.argv[1]))
