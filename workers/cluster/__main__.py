"""Workers on the machines of a Ray cluster: placed by Ray, restarted by Ray, as many as the queue needs.

    python -m workers.cluster --address auto --workers auto
    python -m workers.cluster --address 10.0.0.1:6379 --workers 2..20 --target-delay-s 0.3

Broker, edge and the server of sessions run elsewhere; the POSE_ settings here go with the workers. On SIGTERM
and Ctrl-C it drains its workers and ends.
"""

import argparse
import logging
import os
import re
import signal
import sys
import threading
import time

import ray

from wire import keys, logs
from wire import settings as wire_settings
from wire.connection import Connection
from wire.environment import ALLOCATOR, LINEAR_ALGEBRA
from wire.errors import PoseError
from wire.messages import Status
from wire.settings import Settings
from workers import assets
from workers.cluster import models, scaling
from workers.cluster.placing import Placing, Share, has, room
from workers.cluster.scaling import Bounds, Load, Trend

log = logging.getLogger("workers.cluster")

#: Exit status when arguments or settings are wrong.
EXIT_BAD_SETTINGS = 2

#: How often workers are counted, and the longest wait for the broker's word.
_LOOK_EVERY_S = 1.0
_ANSWER_S = 2.0

#: Time that workers have beyond `drain_s` to end by themselves.
_STOP_GRACE_S = 10.0

_RANGE = re.compile(r"(\d+)(?:\.\.(\d+))?")


def main() -> int:
    """Keep workers on a cluster until told to stop; the exit status."""
    given = _parser().parse_args()
    try:
        settings = wire_settings.load(os.environ)
        check(settings)
        bounds = _bounds(given)
        brokers = settings.broker_addresses()
        own_keys = keys.for_endpoint(brokers[0], settings, role="client")
    except ValueError as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_SETTINGS
    logs.configure("cluster", level=settings.log_level, log_format=settings.log_format)
    ray.init(address=given.address, log_to_driver=True, configure_logging=False)
    stopping = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):  # Ray has just taken them
        signal.signal(signum, lambda *_: stopping.set())
    share = _share(settings)
    placing = Placing(
        share=share,
        environment=_environment(given.worker_key_file),
        models=models.send(assets.needed_groups(settings), assets.directory(settings)),
    )
    try:
        with Connection(brokers, max_frame_bytes=settings.max_body_bytes, keys=own_keys) as connection:
            _keep(placing, _Counting(connection, bounds, share), stopping)
        _drain(placing, settings.drain_s + _STOP_GRACE_S)
    finally:
        placing.end()
        ray.shutdown()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m workers.cluster",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--address", default="auto", help="the Ray cluster's (default: the one that this machine is of)")
    add("--workers", default="auto", metavar="N",
        help="auto: as many as the machines hold, as they come and go; a number; or LEAST..MOST, by the "
        "broker's queue (default: %(default)s)")  # fmt: skip
    add("--worker-key-file", metavar="PATH",
        help="workers' secret key, on each machine (default: POSE_KEY_FILE, this program's own)")  # fmt: skip
    add("--target-delay-s", type=float, default=0.5, metavar="S",
        help="with LEAST..MOST: how long frames may wait for a worker (default: %(default)g)")  # fmt: skip
    add("--calm-s", type=float, default=60.0, metavar="S",
        help="with LEAST..MOST: a worker to spare for so long ends (default: %(default)g)")  # fmt: skip
    return parser


def _bounds(given: argparse.Namespace) -> Bounds | None:
    """None: `auto`. Raises `ValueError`."""
    if given.workers == "auto":
        return None
    found = _RANGE.fullmatch(given.workers)
    if not found:
        raise ValueError(f"--workers: auto, a number, or LEAST..MOST, and not {given.workers}")
    return Bounds(
        least=int(found[1]),
        most=int(found[2] or found[1]),
        target_delay_s=given.target_delay_s,
        calm_s=given.calm_s,
    )


def check(settings: Settings) -> None:
    """Raises `ValueError` where workers of other machines could not work with these settings."""
    if not all(address.startswith("tcp://") for address in settings.worker_broker_addresses()):
        variable = "POSE_WORKER_BROKERS" if settings.worker_brokers else "POSE_WORKERS_ENDPOINT"
        raise ValueError(f"{variable}: other machines reach a broker over tcp:// only")
    if not settings.store_url:
        raise ValueError(
            "POSE_STORE_URL is not set: a session moves to another machine only with a server of sessions"
        )


def _share(settings: Settings) -> Share:
    """What a worker takes: a GPU where some are there and wanted, else a CPU for each thread."""
    wanted = settings.observer == "hmr2" and settings.device != "cpu"
    return {"GPU": 1.0} if wanted and has("GPU") else {"CPU": float(settings.threads)}


def _environment(worker_key_file: str | None) -> dict[str, str]:
    """What workers find on other machines: our settings, and what libraries should find."""
    settings = wire_settings.variables(os.environ)
    if worker_key_file:
        settings[f"{wire_settings.PREFIX}KEY_FILE"] = worker_key_file
    return {**ALLOCATOR, **LINEAR_ALGEBRA, "PYTHONUNBUFFERED": "1", **settings}


class _Counting:
    """How many workers are wanted, by the brokers' queues or by the machines."""

    def __init__(self, connection: Connection, bounds: Bounds | None, share: Share) -> None:
        self._connection = connection
        self._bounds = bounds
        self._share = share
        self._trend: Trend | None = None

    def wanted(self) -> int:
        """The number now; while no broker says a word, the last one."""
        if self._bounds is None:
            return room(self._share)
        status = self._status()
        if status is not None:
            self._trend = scaling.follow(self._trend, _load(status), self._bounds)
        return self._trend.wanted if self._trend else self._bounds.least

    def _status(self) -> Status | None:
        try:
            return self._connection.status(_ANSWER_S)
        except PoseError:
            return None


def _load(status: Status) -> Load:
    return Load(
        now_s=time.monotonic(),
        workers=sum(worker.state == "ready" for worker in status.workers),
        queued=status.queued_frames,
        in_flight=status.in_flight,
        answered=status.counters.get("answered", 0),
    )


def _keep(placing: Placing, counting: _Counting, stopping: threading.Event) -> None:
    last = None
    while not stopping.is_set():
        wanted = counting.wanted()
        if wanted != last:
            log.info("%d workers are wanted, %d are placed", wanted, len(placing))
            last = wanted
        placing.keep(wanted)
        stopping.wait(_LOOK_EVERY_S)


def _drain(placing: Placing, within_s: float) -> None:
    log.info("draining")
    until = time.monotonic() + within_s
    placing.keep(0)
    while not placing.empty() and time.monotonic() < until:
        time.sleep(0.1)
        placing.keep(0)


if __name__ == "__main__":
    sys.exit(main())
