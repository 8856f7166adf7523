"""Makes a bearer token: `python -m tools.token NAME`.

Prints it once, and puts its hash into the file that `POSE_TOKENS_FILE` names; a running service notices.
Who is to be let in no longer: remove the line.
"""

import argparse
import os
import sys
from pathlib import Path

from http_edge import tokens
from wire import settings as wire_settings

EXIT_WRONG = 2


def main(arguments: list[str]) -> int:
    """Make one; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.token", description=__doc__)
    parser.add_argument("name", help="whose it is; in the file and in the log")
    name = parser.parse_args(arguments).name
    try:
        file = wire_settings.load(os.environ).tokens_file
        if not file:
            raise ValueError("POSE_TOKENS_FILE is not set: it names the file of the hashes")
        token = tokens.make()
        add(Path(file), tokens.line(name, token))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return EXIT_WRONG
    print(token)
    print(f"its hash is in {file}; the token itself is nowhere but here", file=sys.stderr)
    return 0


def add(path: Path, line: str) -> None:
    """Append a line to the file, which nobody else may read. Raises `OSError`."""
    opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(opened, "r+") as file:
        text = file.read()
        file.write(line if not text or text.endswith("\n") else "\n" + line)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
