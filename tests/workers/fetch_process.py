"""Fetches one file from an address, for tests that kill it or fill its disk: a process of its own.

Arguments: the assets directory, the address, the most bytes that a file may have (0: any number), and
the file's name in the archive at that address, if it is one.
"""

import resource
import sys
from pathlib import Path

from workers.assets import progress
from workers.assets.asset import Address, Archive, Asset, FetchError
from workers.assets.fetching import fetch

NAME = "weights.pth"

if __name__ == "__main__":
    directory, url, most_bytes, *member = sys.argv[1:]
    source = Archive((url,)) if member else Address((url,))
    if int(most_bytes):
        # The system refuses further writes, as it does where a disk is full.
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(most_bytes), int(most_bytes)))
    try:
        fetch([Asset(NAME, "tiny", source, "MIT", None, *member)], Path(directory), progress.bar)
    except FetchError as failure:
        sys.exit(f"refused: {failure}")
