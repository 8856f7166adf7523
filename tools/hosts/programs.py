"""What runs on the hosts: Ray on each; on A also broker, edge, the server of sessions, who places workers."""

import os
import re
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from client.backend import is_ready
from client.private_service import PrivateService
from tools.hosts.machines import A, B, C, Host
from tools.keys import write
from wire.environment import ALLOCATOR, LINEAR_ALGEBRA
from wire.keys import Role
from wire.links import make_key

HTTP_PORT = 5000
_RAY_PORT, _STORE_PORT, _WORKERS_PORT = 6379, 6380, 5556

#: Ray's least, and enough for the embedded model files.
_OBJECT_STORE_BYTES = 100_000_000
_RAY = Path(sys.executable).with_name("ray")

#: Prints Ray's id of the machine with an address; in a process of its own, to leave no part of Ray in ours.
_NODE_ID = """
import ray, sys
ray.init(sys.argv[1], logging_level=40)
print(next(n["NodeID"] for n in ray.nodes() if n["Alive"] and n["NodeManagerAddress"] == sys.argv[2]))
"""

_READY_WITHIN_S = 180.0
_ENDS_WITHIN_S = 60.0


class NotReady(Exception):
    """The service did not come up; the message says where to look."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker program on a host, and the actor that holds it."""

    pid: int
    actor: int


class Service:
    """The programs, started in the order in which they need each other; leaving its context ends them."""

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        """folder: for keys, sockets and logs. settings: `POSE_` variables beside those of the hosts."""
        self._folder = folder
        self._started: list[subprocess.Popen[bytes]] = []
        self._password = secrets.token_hex(16)
        self._environment = {**os.environ, **ALLOCATOR, **LINEAR_ALGEBRA, **self._settings(), **settings}

    def __enter__(self) -> "Service":
        self._start(A, "redis", _redis(self._password))
        self._start(A, "broker", [sys.executable, "-m", "broker"], POSE_KEY_FILE=str(self._key("broker")))
        self._start(A, "edge", [sys.executable, "-m", "http_edge"])
        head = ["--head", f"--port={_RAY_PORT}", "--num-cpus=0", "--include-dashboard=false"]
        self._start_ray(A, head)
        for host in (B, C):
            self.join(host)
        cluster = [sys.executable, "-m", "workers.cluster", "--address", self._ray()]
        self._cluster = self._start(A, "cluster", cluster, POSE_KEY_FILE=str(self._key("worker")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in reversed(self._started):
            process.terminate()
        for process in self._started:
            try:
                process.wait(_ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def join(self, host: Host) -> None:
        """A host, new or back again, is one of the cluster's."""
        self._start_ray(host, [f"--address={self._ray()}", "--num-cpus=1"])

    def leave(self, host: Host) -> None:
        """The cluster hears that a host is to go, as when a cloud takes it back."""
        asked = [sys.executable, "-c", _NODE_ID, self._ray(), host.address]
        node = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        why = ["--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=it is taken back"]
        drain = [str(_RAY), "drain-node", f"--address={self._ray()}", f"--node-id={node}", *why]
        subprocess.run([*drain, "--deadline-remaining-seconds=600"], check=True, capture_output=True)

    def http(self) -> PrivateService:
        """The edge, for clients on A."""
        return PrivateService(HTTP_PORT, self._folder / "run", self.log("edge"))

    def log(self, name: str) -> Path:
        """What a program has said."""
        return self._folder / f"{name}.log"

    def wait(self, *, workers: int) -> None:
        """Return when so many workers take frames, no fewer and no more. Raises `NotReady`."""
        until = time.monotonic() + _READY_WITHIN_S
        while not is_ready("127.0.0.1", HTTP_PORT) or self.ready_workers() != workers:
            if time.monotonic() > until or self._cluster.poll() is not None:
                raise NotReady(f"{workers} workers did not get ready; the logs are in {self._folder}")
            time.sleep(0.2)

    def ready_workers(self) -> int:
        """Workers that take frames, as `/health` says it."""
        with self.http().backend(timeout_s=10) as backend:
            return int(backend.health().body()["workers"])

    def metrics(self) -> str:
        """`/metrics`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{HTTP_PORT}/metrics", timeout=10) as answer:
            return str(answer.read(), "utf-8")

    def frames_in_hand(self, host: Host) -> int:
        """Frames without answers that the worker there holds."""
        name = rf'worker="worker-\d+-{self.worker_on(host).pid}"'
        found = re.search(rf"^everyframe_worker_in_flight{{{name}}} (\S+)$", self.metrics(), re.MULTILINE)
        return int(float(found[1])) if found else 0

    def worker_on(self, host: Host) -> Worker:
        """The worker program there."""
        for pid in host.processes():
            command = _command(pid)
            if "workers" in command and "--index" in command:
                return Worker(pid, _parent(pid))
        raise NotReady(f"no worker runs on {host.name}")

    def _ray(self) -> str:
        return f"{A.address}:{_RAY_PORT}"

    def _settings(self) -> dict[str, str]:
        roles: tuple[Role, ...] = ("broker", "worker")
        for role in roles:
            write(make_key(role, role), self._folder / "keys")
        return {
            "POSE_HOST": "127.0.0.1",
            "POSE_PORT": str(HTTP_PORT),
            "POSE_RUNTIME_DIR": str(self._folder / "run"),
            "POSE_WORKERS_ENDPOINT": f"tcp://{A.address}:{_WORKERS_PORT}",
            "POSE_ALLOWED_KEYS": str(self._folder / "keys"),
            "POSE_BROKER_KEY_FILE": str(self._folder / "keys" / "broker.public"),
            "POSE_STORE_URL": f"redis://:{self._password}@{A.address}:{_STORE_PORT}/0",
            "POSE_THREADS": "1",
        }

    def _key(self, name: str) -> Path:
        return self._folder / "keys" / f"{name}.secret"

    def _start_ray(self, host: Host, arguments: Sequence[str]) -> None:
        """Return when Ray runs there: two that start at once would take the same name for a socket."""
        memory = f"--object-store-memory={_OBJECT_STORE_BYTES}"
        own = [f"--node-ip-address={host.address}", memory, "--disable-usage-stats"]
        command = [str(_RAY), "start", *arguments, *own]
        with self.log("ray").open("ab") as output:
            subprocess.run(
                host.command(*command), env=self._environment, stdout=output, stderr=output, check=True
            )

    def _start(
        self, host: Host, name: str, command: Sequence[str], **settings: str
    ) -> "subprocess.Popen[bytes]":
        with self.log(name).open("ab") as output:
            process = subprocess.Popen(
                host.command(*command),
                env={**self._environment, **settings},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._started.append(process)
        return process


def _redis(password: str) -> list[str]:
    options = {"bind": A.address, "port": str(_STORE_PORT), "save": "", "requirepass": password}
    return ["redis-server", *(part for name, value in options.items() for part in (f"--{name}", value))]


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
