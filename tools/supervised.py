"""The programs of a running service, as its supervisord knows them."""

import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from supervisor.states import ProcessStates
from supervisor.xmlrpc import SupervisorTransport


@dataclass(frozen=True, slots=True)
class Program:
    """One process of the service; `pid` is 0 while there is none."""

    address: str  # as supervisorctl names it
    pid: int
    running: bool  # past its `startsecs`


class Supervised:
    """A connection to supervisord's socket, for one thread; leaving its context closes it."""

    def __init__(self, runtime_dir: Path) -> None:
        self._transport = SupervisorTransport(serverurl=f"unix://{runtime_dir}/supervisor.sock")
        # The transport ignores the address; a proxy will not do without one.
        self._proxy = xmlrpc.client.ServerProxy("http://localhost", self._transport)

    def programs(self) -> Mapping[str, Program]:
        """Every program by its name: broker, worker_00, worker_01, ..., jobs, edge_00, ..., fatal."""
        listed = cast(list[dict[str, Any]], self._proxy.supervisor.getAllProcessInfo())
        return {
            program["name"]: Program(
                f"{program['group']}:{program['name']}",
                program["pid"],
                program["state"] == ProcessStates.RUNNING,
            )
            for program in listed
        }

    def restart(self, name: str) -> None:
        """Stop a program by its signal, start it anew, and wait until it runs; as supervisorctl does it."""
        address = self.programs()[name].address
        self._proxy.supervisor.stopProcess(address)
        self._proxy.supervisor.startProcess(address)

    def __enter__(self) -> "Supervised":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()
