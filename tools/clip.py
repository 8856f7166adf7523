"""Where a fetched clip is; `python -m tools.clip sports2d_demo.mp4` prints it."""

import argparse
import os
import sys
from pathlib import Path

from wire import settings
from workers import assets
from workers.assets import AssetUnavailable

EXIT_MISSING = 1


def clip_path(name: str) -> Path:
    """Where a clip of `workers.assets` is. Raises `AssetUnavailable`."""
    return assets.path(name, assets.directory(settings.load(os.environ)))


def main() -> int:
    """Print it; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.clip", description=__doc__)
    clips = [asset.name for asset in assets.in_groups(["demo", "clips"]) if asset.name.endswith(".mp4")]
    parser.add_argument("clip", choices=clips, help="the clip's file name")
    try:
        print(clip_path(parser.parse_args().clip))
    except AssetUnavailable as missing:
        print(missing, file=sys.stderr)
        return EXIT_MISSING
    return 0


if __name__ == "__main__":
    sys.exit(main())
