"""Starts the command line: `python -m workers.assets`."""

import sys

from workers.assets.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
