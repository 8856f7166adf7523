"""Becomes a worker that ends with the process which started it, also if that one is killed.

    python -m workers.cluster.leash PID --index N

Ray can kill the actor that holds a worker at any time, and then nobody would be left to stop the worker.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def main() -> None:
    """Take the leash, and become `python -m workers` with the other arguments."""
    holder = int(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != holder:  # it died before
        sys.exit(1)
    os.execv(sys.executable, [sys.executable, "-m", "workers", *sys.argv[2:]])


if __name__ == "__main__":
    main()
