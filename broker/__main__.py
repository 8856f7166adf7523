"""`python -m broker`: serve until SIGTERM or SIGINT."""

import argparse
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence

import zmq

from broker.door import AlreadyRunning
from broker.server import Server
from wire import logs
from wire.settings import Settings, load

EXIT_OK = os.EX_OK
EXIT_BAD_SETTINGS = os.EX_CONFIG
EXIT_CANNOT_BIND = os.EX_UNAVAILABLE
EXIT_ALREADY_RUNNING = os.EX_TEMPFAIL

log = logging.getLogger("broker")


def main(arguments: Sequence[str]) -> int:
    """Run the broker; the exit code."""
    argparse.ArgumentParser(prog="python -m broker", description=__doc__).parse_args(arguments)
    try:
        settings = load(os.environ)
    except ValueError as error:
        print(f"broker: {error}", file=sys.stderr)
        return EXIT_BAD_SETTINGS
    logs.configure("broker", level=settings.log_level, log_format=settings.log_format, stream=sys.stdout)
    stop_fd = _stop_on_signals()
    try:
        server = Server(settings)
    except (ValueError, PermissionError) as error:
        log.error("%s", error)
        return EXIT_BAD_SETTINGS
    except AlreadyRunning as error:
        log.error("%s", error)
        return EXIT_ALREADY_RUNNING
    except (zmq.ZMQError, OSError) as error:
        log.error("cannot bind: %s", error)
        return EXIT_CANNOT_BIND
    return _serve(server, settings, stop_fd)


def _serve(server: Server, settings: Settings, stop_fd: int) -> int:
    clients = filter(None, (settings.frames_address(), settings.frames_listen))
    workers = filter(None, (settings.workers_address(), settings.workers_listen))
    log.info("serving clients at %s, workers at %s", ", ".join(clients), ", ".join(workers))
    try:
        server.run(stop_fd)
    finally:
        server.close()
    log.info("stopped")
    return EXIT_OK


def _stop_on_signals() -> int:
    """A descriptor that becomes readable when the process is told to stop."""
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    # The interpreter writes the signal's number; the handlers exist so that it is not fatal.
    signal.set_wakeup_fd(writer.detach())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return reader.detach()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
