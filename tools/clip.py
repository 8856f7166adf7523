"""Prints where a fetched file is: `python -m tools.clip sports2d_demo.mp4`."""

import os
import sys

from wire import settings
from workers import assets

if __name__ == "__main__":
    print(assets.path(sys.argv[1], assets.directory(settings.load(os.environ))))
