"""Three hosts on one machine: network namespaces on a bridge, with no way to anywhere else."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_BRIDGE: Final = "everyframe"


@dataclass(frozen=True, slots=True)
class Host:
    """One of them; `name` is its namespace's."""

    name: str
    address: str

    def command(self, *command: str) -> list[str]:
        """`command`, as it is run on the host."""
        return ["ip", "netns", "exec", self.name, *command]

    def processes(self) -> list[int]:
        """Everything that runs on it."""
        return [int(pid) for pid in _output("ip", "netns", "pids", self.name).split()]

    def kill(self) -> None:
        """Everything on it ends at once, as when its power is cut."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def cut(self) -> None:
        """Take its link down; nothing that runs notices more than silence."""
        self._link("down")

    def mend(self) -> None:
        """Take it up again."""
        self._link("up")

    def _link(self, state: str) -> None:
        # On the other side of the cable: on its own the host would lose its routes.
        _run("ip", "-n", A.name, "link", "set", _port(self), state)


A: Final = Host("everyframe-a", "10.77.0.1")
B: Final = Host("everyframe-b", "10.77.0.2")
C: Final = Host("everyframe-c", "10.77.0.3")


def missing() -> str | None:
    """What keeps hosts from being made here; None: nothing does."""
    if os.geteuid():
        return "network namespaces are made by root"
    if not any(Path(folder, "ip").is_file() for folder in ("/sbin", "/usr/sbin", "/bin", "/usr/bin")):
        return "the command ip is missing (Debian: iproute2)"
    return None


@contextmanager
def hosts() -> Iterator[None]:
    """The three, until the end of the block; what still runs on them is killed."""
    _remove()
    try:
        for host in (A, B, C):
            _run("ip", "netns", "add", host.name)
            _run("ip", "-n", host.name, "link", "set", "lo", "up")
        _run("ip", "-n", A.name, "link", "add", _BRIDGE, "type", "bridge")
        _run("ip", "-n", A.name, "addr", "add", f"{A.address}/24", "dev", _BRIDGE)
        _run("ip", "-n", A.name, "link", "set", _BRIDGE, "up")
        for host in (B, C):
            _plug_in(host)
        yield
    finally:
        _remove()


def _plug_in(host: Host) -> None:
    port = _port(host)
    _run("ip", "-n", A.name, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host.name)
    _run("ip", "-n", A.name, "link", "set", port, "master", _BRIDGE, "up")
    _run("ip", "-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
    _run("ip", "-n", host.name, "link", "set", "eth0", "up")


def _port(host: Host) -> str:
    return f"to-{host.name[-1]}"


def _remove() -> None:
    there = {line.split()[0] for line in _output("ip", "netns", "list").splitlines() if line}
    for host in (C, B, A):
        if host.name in there:
            host.kill()
            _run("ip", "netns", "delete", host.name)


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
