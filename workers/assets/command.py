"""The command line of the model files: `python -m workers.assets fetch | list | verify [group ...]`."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from wire import settings
from workers.assets import fetching, progress
from workers.assets.asset import Asset, AssetUnavailable, FetchError, Hand
from workers.assets.catalogue import DEFAULT_GROUP, GROUPS, in_groups
from workers.assets.installed import State, directory, find, state


def main(arguments: Sequence[str], assets_dir: Path | None = None) -> int:
    """Run the command; 0 when everything asked for is there and right.

    assets_dir: where the files are; None: where the settings say.
    """
    parser = argparse.ArgumentParser(prog="python -m workers.assets", description="The model files.")
    parser.add_argument("action", choices=("fetch", "list", "verify"))
    parser.add_argument("groups", nargs="*", metavar="group", help=f"of {', '.join(GROUPS)}")
    options = parser.parse_args(arguments)
    try:
        folder = assets_dir or directory(settings.load(os.environ))
    except ValueError as error:
        parser.error(str(error))
    if unknown := sorted(set(options.groups) - set(GROUPS)):
        parser.error(f"unknown group {unknown[0]}; known: {', '.join(GROUPS)}")
    fetches = options.action == "fetch"
    asked = in_groups(options.groups or ([DEFAULT_GROUP] if fetches else GROUPS))
    try:
        fetched = not fetches or _fetch(asked, folder)
        states = [state(asset, folder) for asset in asked]
    except (AssetUnavailable, OSError) as failure:
        print(failure, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on from what has arrived", file=sys.stderr)
        return 130
    for asset, found in zip(asked, states, strict=True):
        print(_line(asset, found, folder))
    if options.action != "list":
        _say_what_only_the_user_can_do(asked, states, folder)
    return 0 if options.action == "list" or (fetched and set(states) == {"ready"}) else 1


def _fetch(asked: Sequence[Asset], assets_dir: Path) -> bool:
    try:
        fetching.fetch(asked, assets_dir, progress.bar)
    except FetchError as failure:
        print(failure, file=sys.stderr)
        return False
    return True


def _line(asset: Asset, found: State, assets_dir: Path) -> str:
    place = find(asset, assets_dir)
    size_bytes = place.stat().st_size if place else asset.published and asset.published.size_bytes
    size = f"{size_bytes / 1e6:8.2f} MB" if size_bytes else "       ? MB"
    return f"{found:8} {asset.group:10} {asset.name:46} {size}  {asset.licence:13} {asset.source}"


def _say_what_only_the_user_can_do(asked: Sequence[Asset], states: Sequence[State], assets_dir: Path) -> None:
    for asset, found in zip(asked, states, strict=True):
        if found == "missing" and isinstance(asset.source, Hand):
            print(f"\n{asset.name} is missing. {asset.remedy()}: {assets_dir}", file=sys.stderr)
