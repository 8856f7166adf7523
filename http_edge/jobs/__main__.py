"""The job program: take video jobs in turn and work on them until told to stop.

It yields to whoever serves live requests: by priority of the operating system, and frame by frame
(`sending.py`).
"""

import argparse
import fcntl
import logging
import os
import signal
import sqlite3
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import IO

from http_edge import topology
from http_edge.jobs.archive import Archive
from http_edge.jobs.traffic import Traffic
from http_edge.jobs.working import Parts, Work
from wire import keys, logs, runtime_dir
from wire import settings as wire_settings
from wire.connection import Connection
from wire.errors import PoseError
from wire.keys import PeerKeys
from wire.settings import Settings

log = logging.getLogger("jobs")

#: Exit status when the settings are wrong, and when the jobs cannot be kept where they are to be.
EXIT_BAD_SETTINGS = 2
EXIT_NO_ARCHIVE = 3

#: Decoding must not take time from pictures that somebody waits for.
_NICENESS = 10

#: Time between two looks at the queue, and at what has expired.
_LOOK_S = 0.2
_EXPIRE_S = 10.0

_STATUS_TIMEOUT_S = 1.0


def main(arguments: Sequence[str]) -> int:
    """Run the program; the exit status."""
    argparse.ArgumentParser(prog="python -m http_edge.jobs", description=__doc__).parse_args(arguments)
    try:
        settings = wire_settings.load(os.environ)
        runtime_dir.make(settings)
        broker_keys = keys.for_endpoint(settings.broker_addresses()[0], settings, role="client")
    except (ValueError, PermissionError) as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_SETTINGS
    logs.configure("jobs", level=settings.log_level, log_format=settings.log_format)
    os.nice(_NICENESS)
    try:
        archive = Archive(
            settings.jobs_directory(), max_bytes=settings.jobs_max_bytes, kept_s=settings.job_kept_s
        )
        # Held as long as the process lives: of two programs each would take back what the other works on.
        with _locked(settings.jobs_directory() / "lock"):
            work_until_told(settings, archive, broker_keys)
    except (OSError, sqlite3.Error) as error:
        log.critical("video jobs cannot be kept in %s: %s", settings.jobs_directory(), error)
        return EXIT_NO_ARCHIVE
    return 0


def work_until_told(settings: Settings, archive: Archive, broker_keys: PeerKeys | None) -> None:
    """Work until SIGTERM or SIGINT; what is under way then goes on at the next start."""
    stopping = threading.Event()

    def stop(signum: int, _frame: FrameType | None) -> None:
        log.info("stopping on %s", signal.Signals(signum).name)
        stopping.set()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    if taken_back := archive.catalogue.take_back():
        log.info("%d jobs were under way and go on", taken_back)
    addresses = settings.broker_addresses()
    with Connection(addresses, max_frame_bytes=settings.max_body_bytes, keys=broker_keys) as broker:
        parts = Parts(
            settings=settings,
            archive=archive,
            broker=broker,
            traffic=Traffic(broker),
            body=topology.of(settings),
            stopping=stopping,
        )
        threads = [
            threading.Thread(target=_work, args=(parts,), name=f"job-{number}")
            for number in range(settings.jobs_at_once)
        ]
        for thread in threads:
            thread.start()
        log.info("working on %d videos at a time, kept in %s", len(threads), settings.jobs_directory())
        while not stopping.wait(_EXPIRE_S):
            archive.expire(now=time.time())
            if not all(thread.is_alive() for thread in threads):
                log.critical("a thread ended")
                stopping.set()
        for thread in threads:
            thread.join()
    log.info("stopped")


def _work(parts: Parts) -> None:
    catalogue = parts.archive.catalogue
    while not parts.stopping.wait(_LOOK_S):
        if not (catalogue.counts()["queued"] and _is_ready(parts.broker)):
            continue
        if job := catalogue.take(now=time.time()):
            log.info("job=%s begins", job.job_id)
            Work(parts, job).run()


def _is_ready(broker: Connection) -> bool:
    """Whether a worker takes frames: a job that would fail for the want of one is not begun."""
    try:
        status = broker.status(timeout_s=_STATUS_TIMEOUT_S)
    except PoseError:
        return False
    return any(worker.state == "ready" for worker in status.workers)


def _locked(path: Path) -> IO[bytes]:
    """The file, locked for this process until it is closed. Raises `OSError` where another has it."""
    file = path.open("wb")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
