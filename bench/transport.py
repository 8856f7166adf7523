"""What a frame's way and its store cost, over ipc, tcp and encrypted tcp: `python -m bench.transport`.

Brokers side by side, each with one worker that does nothing but store a state and an answer and send the
latter, and with the client that the edge uses. They are asked in turns, so that whatever else the machine
does hits all alike; the differences are of neighbouring requests.
"""

import argparse
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import numpy as np
import zmq

from bench.broker import cpu_s, result_for
from bench.store import a_server
from tools import keys as key_files
from wire.keys import for_endpoint
from wire.line import Lines
from wire.links import make_key
from wire.messages import Frame, Ready, Work
from wire.settings import Settings, load
from workers.brokers import Brokers, NewConnection
from workers.build import open_store
from workers.sessions import Codec, Sessions

_WARM_UP = 30

#: Of two people, and how many answers of a session are kept.
_STATE_BYTES, _ANSWER_BYTES = 48_000, 16_000
_KEPT_ANSWERS = 16

#: Nobody is given up for being silent here.
_PATIENT = {"POSE_WORKER_SILENCE_S": "3600", "POSE_LOG_LEVEL": "error"}


class Way:
    """One transport and one store: a broker, a worker, and a client's line through them."""

    def __init__(
        self,
        name: str,
        broker: Mapping[str, str],
        client: Mapping[str, str],
        worker: Mapping[str, str],
        store: Mapping[str, str],
    ) -> None:
        """The settings of each, as `POSE_` variables."""
        self.name = name
        self._environs = broker, client, {**worker, **store}
        self._session_id = os.urandom(8).hex()  # several share a server
        self.times_ms: list[float] = []

    @contextmanager
    def running(self, *, out_bytes: int) -> Iterator["Way"]:
        """With both processes, until the `with` block ends."""
        broker, client, worker = self._environs
        process = subprocess.Popen([sys.executable, "-m", "broker"], env={**os.environ, **broker})
        answering = multiprocessing.Process(target=answer, args=(worker, out_bytes), daemon=True)
        answering.start()
        settings = load(client)
        keys = for_endpoint(settings.frames_address(), settings, role="client")
        self._lines = Lines(settings.frames_address(), max_frame_bytes=settings.max_body_bytes, keys=keys)
        self._pids = {"client": os.getpid(), "broker": process.pid, "worker": answering.pid}
        try:
            yield self
        finally:
            self._lines.close()
            answering.kill()
            process.terminate()
            process.wait()

    def ask(self, number: int, picture: bytes) -> float:
        """One frame there and back, milliseconds."""
        asked = Frame(
            request_id=os.urandom(16),
            frame_number=number,
            deadline_ms=60_000,
            session_id=self._session_id,
        )
        started = time.perf_counter()
        self._lines.ask(asked, picture)
        return (time.perf_counter() - started) * 1e3

    def cpu_s(self) -> dict[str, float]:
        """Processor time used so far by broker and worker, seconds."""
        return {name: cpu_s(pid) for name, pid in self._pids.items() if name != "client"}


def answer(environ: dict[str, str], out_bytes: int) -> None:
    """Store and answer every frame with the same bytes, over the socket that workers use."""
    settings: Settings = load(environ)
    as_it_is: Codec[bytes] = Codec(bytes, bytes)
    with zmq.Context() as context, closing(open_store(settings, "bench", index=0)) as store:
        broker = Brokers(context, settings)
        arrays, state = bytes(out_bytes), bytes(_STATE_BYTES)
        sessions = Sessions(
            store=store, start=lambda: state, states=as_it_is, answers=as_it_is, kept_answers=_KEPT_ANSWERS
        )
        while True:
            match broker.receive(timeout_s=60):
                case NewConnection():
                    broker.send(Ready(name="bench", credits=4, device="none", models={}, observer="none"))
                case (Work() as work, _):
                    now = time.time()
                    key = (work.frame_number, 0, 0)
                    session = sessions.open(work, now=now)
                    sessions.commit(session, work, key, state=state, answer=arrays[:_ANSWER_BYTES], now=now)
                    broker.send(result_for(work), arrays)


def ways(directory: Path, store_name: str, store: Mapping[str, str]) -> list[Way]:
    """One of each transport, with keys where they are needed, and this store."""
    frames, workers, sealed_frames, sealed_workers = (f"tcp://127.0.0.1:{port}" for port in free_ports(4))
    clear = {"POSE_FRAMES_ENDPOINT": frames, "POSE_WORKERS_ENDPOINT": workers}
    allowed = directory / "allowed"
    allowed.mkdir(parents=True)
    own = {}
    for role in ("broker", "client", "worker"):
        secret, public = key_files.write(make_key(role, role), directory / "keys")
        own[role] = {"POSE_KEY_FILE": str(secret)}
        if role == "broker":
            known = {"POSE_BROKER_KEY_FILE": str(public)}
        else:
            (allowed / public.name).write_text(public.read_text())
    sealed = {"POSE_FRAMES_ENDPOINT": sealed_frames, "POSE_WORKERS_ENDPOINT": sealed_workers}
    lists = {"POSE_ALLOWED_KEYS": str(allowed)}
    ipc, tcp, curve = (
        _PATIENT | {"POSE_RUNTIME_DIR": str(directory / name)} for name in ("ipc", "tcp", "curve")
    )
    return [
        Way(f"ipc, {store_name}", ipc, ipc, ipc, store),
        Way(f"tcp, {store_name}", tcp | clear, tcp | clear, tcp | clear, store),
        Way(
            f"encrypted, {store_name}",
            curve | sealed | own["broker"] | lists,
            curve | sealed | own["client"] | known,
            curve | sealed | own["worker"] | known,
            store,
        ),
    ]


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody uses now."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def show(measured: list[Way], before: dict[str, dict[str, float]], frames: int) -> None:
    """The table."""
    first = measured[0]
    print(
        f"{'':20} {'median ms':>10} {'p99 ms':>8} {'more than ipc':>14} {'CPU ms: broker':>15} {'worker':>7}"
    )
    for way in measured:
        more_ms = np.median(np.subtract(way.times_ms, first.times_ms))
        cpu = {name: (used - before[way.name][name]) / frames * 1e3 for name, used in way.cpu_s().items()}
        median_ms, p99_ms = np.percentile(way.times_ms, (50, 99))
        print(
            f"{way.name:20} {median_ms:10.2f} {p99_ms:8.2f} {more_ms:14.2f} "
            f"{cpu['broker']:15.2f} {cpu['worker']:7.2f}"
        )


def main() -> None:
    """Ask all of them in turns."""
    parser = argparse.ArgumentParser(description="ipc, tcp and encrypted tcp, with both stores.")
    parser.add_argument("--frames", type=int, default=500, help="for each row")
    parser.add_argument("--in-kb", type=int, default=304, help="size of a picture")
    parser.add_argument("--out-kb", type=int, default=92, help="size of an answer's arrays")
    given = parser.parse_args()
    multiprocessing.set_start_method("spawn")
    picture = os.urandom(given.in_kb * 1000)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        found = ways(Path(directory, "here"), "LMDB", {})
        if url := stack.enter_context(a_server(directory)):
            found += ways(Path(directory, "server"), "Redis", {"POSE_STORE_URL": url})
        running = [stack.enter_context(way.running(out_bytes=given.out_kb * 1000)) for way in found]
        for number in range(_WARM_UP):
            for way in running:
                way.ask(number, picture)
        before = {way.name: way.cpu_s() for way in running}
        for number in range(_WARM_UP, _WARM_UP + given.frames):
            for way in running:
                way.times_ms.append(way.ask(number, picture))
        show(running, before, given.frames)


if __name__ == "__main__":
    main()
