"""Starts the command line: `python -m workers.assets`."""

import os
import sys

from wire import settings as wire_settings
from workers.assets.command import main
from workers.assets.installed import directory

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], directory(wire_settings.load(os.environ))))
