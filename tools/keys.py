"""Makes a key for encrypted connections: `python -m tools.keys new NAME --role client --dir keys`.

Two files come of it: `NAME.secret` for the program itself, which nobody else may read, and `NAME.public` for
whoever it speaks to. docs/security.md says which goes where.
"""

import argparse
import os
import sys
from pathlib import Path

from wire.keys import NAME, ROLES, SecretKey
from wire.links import make_key

EXIT_WRONG = 2


def main(arguments: list[str]) -> int:
    """Make one; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.keys", description=__doc__)
    new = parser.add_subparsers(required=True).add_parser("new", help="make a key")
    new.add_argument("name", help="whose it is; in file names and the broker's log")
    new.add_argument("--role", choices=ROLES, required=True, help="what its owner is")
    new.add_argument("--dir", type=Path, default=Path("keys"), help="where the files go (keys)")
    given = parser.parse_args(arguments)
    try:
        if not NAME.fullmatch(given.name):
            raise ValueError(f"{given.name!r} is no name: letters, digits, _ . and -, at most 64")
        secret, public = write(make_key(given.role, given.name), given.dir)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return EXIT_WRONG
    print(f"{secret}: for the {given.role} {given.name} alone (POSE_KEY_FILE)")
    print(f"{public}: {_GOES_TO[given.role]}")
    return 0


_GOES_TO = {
    "broker": "for whoever connects to it (POSE_BROKER_KEY_FILE)",
    "client": "for the broker (into POSE_ALLOWED_KEYS)",
    "worker": "for the broker (into POSE_ALLOWED_KEYS)",
}


def write(key: SecretKey, directory: Path) -> tuple[Path, Path]:
    """The files of the secret and the public key, new in a private folder.

    Raises `OSError`, `FileExistsError` where a key of this name is there: it may be in use.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    secret = directory / f"{key.public.name}.secret"
    public = directory / f"{key.public.name}.public"
    _write_new(secret, key.line(), mode=0o600)
    _write_new(public, key.public.line(), mode=0o644)
    return secret, public


def _write_new(path: Path, text: str, *, mode: int) -> None:
    opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(opened, "w") as file:
        file.write(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
