"""Becomes another program, which is asked to end when whoever started it is gone: `python -m client.owned`.

A program that is killed can stop nothing any more, and a service of its own would go on for ever. Where the
kernel has no such signal (it is Linux's), the service has to be stopped by hand then.
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

#: prctl(2): the signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> NoReturn:
    """`OWNER MODULE ARGUMENT...`: run that module, as long as the process OWNER lives."""
    owner, *words = arguments
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(owner):  # it was gone before the kernel was told
        sys.exit(0)
    os.execv(sys.executable, [sys.executable, "-m", *words])


if __name__ == "__main__":
    main(sys.argv[1:])
