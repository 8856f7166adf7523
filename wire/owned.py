"""Becomes another program, which is told to end when whoever started it is gone: `python -m wire.owned`.

A program that is killed can stop nothing any more, and what it started would go on for ever. Where the
kernel has no such signal (it is Linux's), that has to be stopped by hand then.
"""

import ctypes
import os
import signal
import sys
from typing import NoReturn

#: prctl(2): the signal that a process gets when its parent ends.
_PR_SET_PDEATHSIG = 1


def command(signum: signal.Signals, *words: str) -> list[str]:
    """Runs a module with its arguments, `words`, that gets `signum` when this process is gone."""
    return [sys.executable, "-m", "wire.owned", str(os.getpid()), signum.name, *words]


def main(arguments: list[str]) -> NoReturn:
    """`OWNER SIGNAL MODULE ARGUMENT...`: run that module, as long as the process OWNER lives."""
    owner, signum, *words = arguments
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.Signals[signum]):
            raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != int(owner):  # it was gone before the kernel was told
        sys.exit(1)
    os.execv(sys.executable, [sys.executable, "-m", *words])


if __name__ == "__main__":
    main(sys.argv[1:])
