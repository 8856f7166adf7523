"""The model files: which there are, whether they are there and right, reading them.

Serving needs no more than this page offers, and never downloads: a file that is missing is named
together with the command that fetches it, `python -m workers.assets fetch` (`command.py`).
"""

from workers.assets.asset import Asset, AssetUnavailable, Digest
from workers.assets.catalogue import ASSETS, DEFAULT_GROUP, GROUPS, in_groups, named
from workers.assets.installed import comes_from_its_publisher, digest, directory, find, path, read, state
from workers.assets.needed import needed_groups

__all__ = [
    "ASSETS",
    "DEFAULT_GROUP",
    "GROUPS",
    "Asset",
    "AssetUnavailable",
    "Digest",
    "comes_from_its_publisher",
    "digest",
    "directory",
    "find",
    "in_groups",
    "named",
    "needed_groups",
    "path",
    "read",
    "state",
]
