"""The edge program: connect to the broker, serve HTTP until told to stop."""

import argparse
import logging
import os
import platform
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from http_edge import app, sharing, topology
from http_edge.access import Access
from http_edge.app import Parts
from http_edge.jobs.archive import Archive
from http_edge.jobs.metrics import JobMetrics
from http_edge.lent import LendingLines
from http_edge.metrics import Metrics
from http_edge.server import CannotListen, Server
from http_edge.status import StatusWatch
from http_edge.tokens import Tokens
from wire import keys, logs
from wire import settings as wire_settings
from wire.connection import Connection
from wire.keys import PeerKeys
from wire.settings import Settings

log = logging.getLogger("http_edge")

#: Exit statuses: the settings are wrong; an address cannot be listened on.
EXIT_BAD_SETTINGS = 2
EXIT_CANNOT_LISTEN = 3

_OPERATORS_THREADS = 4


def main(arguments: Sequence[str]) -> int:
    """Run the edge; the exit status."""
    argparse.ArgumentParser(prog="python -m http_edge", description=__doc__).parse_args(arguments)
    try:
        settings = wire_settings.load(os.environ)
        tokens = Tokens(Path(settings.tokens_file)) if settings.tokens_file else None
        broker_keys = keys.for_endpoint(settings.broker_addresses()[0], settings, role="client")
        shared = _shared_metrics(settings)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_SETTINGS
    logs.configure("http_edge", level=settings.log_level, log_format=settings.log_format)
    # Full queues are refused and counted by the application; waitress would log each one.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    try:
        serve(settings, tokens, shared, broker_keys)
    except CannotListen as error:
        log.critical("%s", error)
        return EXIT_CANNOT_LISTEN
    return 0


def _shared_metrics(settings: Settings) -> Path | None:
    """The folder that several edges count in; None: there is one edge. Raises `ValueError`."""
    if settings.edges == 1:
        return None
    if not (named := os.environ.get(sharing.VARIABLE)) or not Path(named).is_dir():
        raise ValueError(f"POSE_EDGES: {sharing.VARIABLE} names no folder, as `make serve` has it")
    return Path(named)


def serve(
    settings: Settings, tokens: Tokens | None, shared: Path | None, broker_keys: PeerKeys | None
) -> None:
    """Serve until SIGTERM or SIGINT, then answer what is held. Raises `CannotListen`."""
    access = Access(tokens, settings)
    body = topology.of(settings)
    addresses, most = settings.broker_addresses(), settings.max_body_bytes
    connection = Connection(addresses, max_frame_bytes=most, keys=broker_keys)
    lines = LendingLines(
        addresses,
        max_frame_bytes=most,
        keys=broker_keys,
        most_lent=settings.max_lent_pictures,
        status=lambda: watch.snapshot.status,
    )
    # An edge that cannot speak to the broker any more ends, and supervisord starts another.
    watch = StatusWatch(connection, on_broken=lambda: os.kill(os.getpid(), signal.SIGTERM))
    archive = Archive(
        settings.jobs_directory(), max_bytes=settings.jobs_max_bytes, kept_s=settings.job_kept_s
    )
    metrics = Metrics(settings, lambda: watch.snapshot, shared=shared)
    metrics.register(JobMetrics(archive))
    parts = Parts(
        settings=settings,
        broker=lines,
        watch=watch,
        metrics=metrics,
        body=body,
        archive=archive,
        access=access,
    )
    server = Server(app.build(parts), settings, access=access, refused_unread=metrics.refused_unread)

    def stop(signum: int, _frame: FrameType | None) -> None:
        log.info("stopping on %s", signal.Signals(signum).name)
        server.stop()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, stop)
    for line in (*urls(settings.host, server.port), who_may(tokens)):
        log.info("%s", line)
    with _listening_to_operators(parts):
        server.run(drain_s=settings.drain_s)
    watch.close()
    lines.close()
    connection.close()
    log.info("stopped")


@contextmanager
def _listening_to_operators(parts: Parts) -> Iterator[None]:
    """Serve them where they have a listener of their own, until the block ends. Raises `CannotListen`."""
    address = parts.settings.admin_address()
    if address is None:
        yield
        return
    server = Server(
        app.build_for_operators(parts), parts.settings, address=address, threads=_OPERATORS_THREADS
    )
    thread = threading.Thread(target=server.run, kwargs={"drain_s": 0.0}, name="operators")
    thread.start()
    log.info("for operators on http://%s:%d", address[0], server.port)
    try:
        yield
    finally:
        server.stop()
        thread.join()


def who_may(tokens: Tokens | None) -> str:
    """Whom the service answers, for its operator to know."""
    if tokens is None:
        return "open to everybody who can reach it, for POSE_TOKENS_FILE is not set"
    return f"open to whoever has a token of: {', '.join(tokens.names) or 'nobody, the file has none'}"


def urls(host: str, port: int) -> Iterator[str]:
    """Where to reach the service, for people and for a backend on Windows beside WSL."""
    if host not in ("0.0.0.0", "::"):
        yield f"serving on http://{host}:{port}"
        return
    yield f"serving on http://127.0.0.1:{port} (here, and from Windows where WSL forwards localhost)"
    if address := _outward_address():
        wsl = ", from Windows into WSL too" if "microsoft" in platform.release().lower() else ""
        yield f"serving on http://{address}:{port} (from other machines{wsl})"


def _outward_address() -> str | None:
    """Our address on the route outward; connecting a UDP socket sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737)
            return str(probe.getsockname()[0])
        except OSError:
            return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
