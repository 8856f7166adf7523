"""The worker program: load the networks, pass a self-test frame, serve until told to stop."""

import argparse
import logging
import os
import signal
import sys
import threading
from contextlib import closing

import zmq

from wire import lending, logs, runtime_dir
from wire import settings as wire_settings
from wire.messages import Ready
from wire.settings import Settings
from workers import selftest
from workers.alive import SignOfLife
from workers.brokers import Brokers
from workers.build import Parts, build, open_store, sessions
from workers.loop import WorkerLoop, report_load_failure
from workers.watchdog import Watchdog

log = logging.getLogger("workers")

#: Exit status when the settings are wrong or the networks cannot be loaded.
EXIT_CANNOT_SERVE = 3


def main() -> int:
    """Run one worker; the exit status."""
    arguments = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    arguments.add_argument("--index", type=int, default=0, help="which worker of the pool this is")
    index = arguments.parse_args().index
    name = f"worker-{index}-{os.getpid()}"
    try:
        settings = wire_settings.load(os.environ)
    except ValueError as error:
        print(error, file=sys.stderr)
        return EXIT_CANNOT_SERVE
    logs.configure(name, level=settings.log_level, log_format=settings.log_format)
    stopping = threading.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stopping.set())
    with zmq.Context() as context:
        try:
            brokers = Brokers(context, settings)
        except ValueError as error:
            log.error("%s", error)
            return EXIT_CANNOT_SERVE
        try:
            return _serve(name, index, settings, brokers, stopping)
        finally:
            brokers.close()


def _serve(name: str, index: int, settings: Settings, brokers: Brokers, stopping: threading.Event) -> int:
    try:
        runtime_dir.make(settings)
        parts = _load(settings, index)
        store = open_store(settings, parts.pipeline.tracker.name, index=index)
    except Exception as error:
        # Whatever keeps a worker from serving, those who wait for it should hear of it.
        log.exception("cannot serve")
        report_load_failure(brokers, name=name, reason=f"{type(error).__name__}: {error}")
        return EXIT_CANNOT_SERVE
    ready = Ready(
        name=name,
        credits=settings.worker_credits,
        device=parts.device,
        models=parts.models,
        observer=parts.pipeline.observer.name,
        tracker=parts.pipeline.tracker.name,
        memory=lending.memory(),
    )
    log.info("ready: %s, %s on %s", ready.observer, ready.tracker, ready.device)

    def asked_to_stop() -> bool:
        """Whether we are; asked in every turn of the loop, so it tells that the loop turns."""
        if brokers.can_send():
            sign.give()
        return stopping.is_set()

    with closing(store), SignOfLife(settings, index) as sign:
        WorkerLoop(
            brokers=brokers,
            pipeline=parts.pipeline,
            sessions=sessions(settings, parts.pipeline, store),
            ready=ready,
            watchdog=Watchdog(),
            settings=settings,
        ).run(asked_to_stop)
    log.info("stopped")
    return 0


def _load(settings: Settings, index: int) -> Parts:
    parts = build(settings, index=index)
    selftest.run(parts.pipeline, parts.body)
    return parts


if __name__ == "__main__":
    sys.exit(main())
