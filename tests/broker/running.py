"""A broker process of its own, and peers that speak to it in frames written by hand.

The peers use plain `msgpack` and raw sockets, not the code under test.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgpack
import zmq
from zmq.utils.monitor import recv_monitor_message

#: Longest wait for anything to happen, seconds; nothing takes this long unless it is broken.
PATIENCE_S = 60.0


class BrokerProcess:
    """`python -m broker` on ipc sockets in `directory`."""

    def __init__(self, directory: Path, **settings: object) -> None:
        self.directory = directory
        self.frames = f"ipc://{directory}/frames.ipc"
        self.workers = f"ipc://{directory}/workers.ipc"
        given = {f"POSE_{name.upper()}": str(value) for name, value in settings.items()}
        self.environ = {"PATH": os.environ["PATH"], "POSE_RUNTIME_DIR": str(directory), **given}
        self.start()

    def start(self) -> None:
        """Start the process; clients may connect before it is bound."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "broker"],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; the exit code and all that was printed."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        """Wait for the end; the exit code and all that was printed."""
        output, _ = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, output


@contextmanager
def running_broker(directory: Path, **settings: object) -> Iterator[BrokerProcess]:
    """A broker that is killed at the end, if it has not ended."""
    broker = BrokerProcess(directory, **settings)
    try:
        yield broker
    finally:
        broker.process.kill()
        broker.process.communicate()


@contextmanager
def running_worker(broker: BrokerProcess, name: str) -> Iterator["subprocess.Popen[str]"]:
    """A worker in a process of its own (`worker_process.py`), which is killed at the end."""
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("worker_process.py"), broker.workers, name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


class Peer:
    """A DEALER that sends and receives frames written by hand."""

    def __init__(
        self,
        endpoint: str,
        *,
        receive_high_water: int = 1000,
        own_key: tuple[bytes, bytes] | None = None,
        broker_key: bytes = b"",
    ) -> None:
        """own_key: its public and secret half, with which and the broker's public one all is encrypted."""
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.set(zmq.RCVHWM, receive_high_water)
        if own_key is not None:
            self._socket.curve_publickey, self._socket.curve_secretkey = own_key
            self._socket.curve_serverkey = broker_key
        self._monitor = self._socket.get_monitor_socket()
        self._socket.connect(endpoint)

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()
        self._context.term()

    def send(self, header: dict[str, object], *payload: bytes) -> None:
        """One message with a MessagePack header."""
        self.send_raw(msgpack.packb(header), *payload)

    def send_raw(self, *frames: bytes) -> None:
        """Any frames."""
        self._socket.send_multipart(frames)

    def wait_for(self, *events: zmq.Event) -> None:
        """Until one of these happens to the connection."""
        until = time.monotonic() + PATIENCE_S
        while (left_s := until - time.monotonic()) > 0:
            if (
                self._monitor.poll(int(left_s * 1000))
                and recv_monitor_message(self._monitor)["event"] in events
            ):
                return
        raise AssertionError(f"never {events}")

    def nothing_came(self) -> bool:
        """Whether there is no message."""
        return not self._socket.poll(0)

    def receive(self, timeout_s: float = PATIENCE_S) -> tuple[dict[str, object], list[bytes]]:
        """The next message: its header and its payload frames."""
        assert self._socket.poll(int(timeout_s * 1000)), "no message came"
        header, *payload = self._socket.recv_multipart()
        return msgpack.unpackb(header), payload

    def receive_a(self, kind: str) -> tuple[dict[str, object], list[bytes]]:
        """The next message of this type; heartbeats and the like are passed over."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            header, payload = self.receive(until - time.monotonic())
            if header["type"] == kind:
                return header, payload
        raise AssertionError(f"no {kind} came")


def frame(number: int, *, session: str | None = "dance", deadline_ms: int = 60_000) -> dict[str, object]:
    """The header of a frame request."""
    return {
        "type": "frame",
        "v": 1,
        "request_id": os.urandom(16),
        "frame_number": number,
        "deadline_ms": deadline_ms,
        "session_id": session,
    }


def ready(name: str = "w0", *, worker_credits: int = 4) -> dict[str, object]:
    """The header of a worker that can serve."""
    return {
        "type": "ready",
        "v": 1,
        "name": name,
        "credits": worker_credits,
        "device": "cpu",
        "models": {"body": "loaded"},
        "observer": "none",
    }


def result_for(work: dict[str, object]) -> dict[str, object]:
    """The header of a result with nobody in it."""
    return {
        "type": "result",
        "v": 1,
        "request_id": work["request_id"],
        "session_id": work["session_id"],
        "epoch": work["epoch"],
        "frame_number": work["frame_number"],
        "width_px": 640,
        "height_px": 360,
        "people": [],
        "primary": None,
        "history": "complete",
        "num_persons_detected": 0,
        "num_tracks": 0,
        "observer": "none",
        "tracker": "none",
        "model_version": "none",
        "stages_ms": {"observe": 1.5},
        "arrays": [],
        "has_png": False,
    }


def status_of(client: Peer) -> dict[str, object]:
    """The broker's status."""
    client.send({"type": "status", "v": 1, "request_id": os.urandom(16)})
    return client.receive_a("status_reply")[0]


def wait_for_status(client: Peer, **expected: object) -> dict[str, object]:
    """The first status whose fields or counters are as expected."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        status = status_of(client)
        if all({**status["counters"], **status}[name] == value for name, value in expected.items()):
            return status
    raise AssertionError(f"never {expected}: {status}")
