"""Keeps as many workers on the cluster's machines as are wanted, and none on a machine that is to go."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import ray
from ray.autoscaler.sdk import request_resources
from ray.exceptions import RayError

from workers.cluster import scaling
from workers.cluster.actors import CONTROL, Holder
from workers.cluster.models import Model

log = logging.getLogger(__name__)

#: Longest wait for actors to say where they are; one that is not yet placed says it later.
_ASK_S = 0.5

#: Ray's resources for one worker.
Share = Mapping[str, float]


class Placed:
    """One worker of ours: its actor, and the call that ends when the worker was drained."""

    def __init__(self, index: int, actor: Any) -> None:
        self.index = index
        self.draining = False
        self._actor = actor
        self._served = actor.serve.remote()

    def ask_machine(self) -> Any:
        """Ray's reference of what will be the id of the machine it is on."""
        return self._actor.machine.remote()

    def drain(self) -> None:
        """Ask the worker to finish."""
        self.draining = True
        self._actor.drain.remote()

    def is_over(self) -> bool:
        """Whether the worker was drained, or can never be started again."""
        done, _ = ray.wait([self._served], timeout=0)
        return bool(done)

    def end(self) -> None:
        """Give the place back."""
        ray.kill(self._actor)


class Placing:
    """The workers of one broker. Workers of a machine that dies are Ray's to start elsewhere."""

    def __init__(self, *, share: Share, environment: Mapping[str, str], models: Sequence[Model]) -> None:
        """share: what a worker takes of a machine. environment: what the worker finds, settings included."""
        self._share = dict(share)
        self._models = list(models)
        groups = ray.remote(concurrency_groups={CONTROL: 2})  # type: ignore[call-overload]
        self._remote = groups(Holder).options(
            num_cpus=self._share.get("CPU", 0),
            num_gpus=self._share.get("GPU", 0),
            max_restarts=-1,
            max_task_retries=-1,  # `serve` goes on wherever the actor is started anew
            scheduling_strategy="SPREAD",
            runtime_env={"env_vars": dict(environment)},
        )
        self._placed: list[Placed] = []
        self._requested = 0

    def __len__(self) -> int:
        """Workers that are to stay."""
        return sum(not one.draining for one in self._placed)

    def keep(self, wanted: int) -> None:
        """Start and drain workers until `wanted` stay; to be called again and again."""
        for one in [one for one in self._placed if one.is_over()]:
            one.end()
            self._placed.remove(one)
        self._leave(_departing())
        staying = [one for one in self._placed if not one.draining]
        for _ in range(wanted - len(staying)):
            self._start()
        self._dismiss(staying, len(staying) - wanted)
        if wanted != self._requested:  # so that an autoscaler brings machines, and keeps them
            request_resources(bundles=[dict(self._share)] * wanted)
            self._requested = wanted

    def empty(self) -> bool:
        """Whether no worker is left."""
        return not self._placed

    def end(self) -> None:
        """End those that are left, at once."""
        for one in self._placed:
            one.end()
        request_resources(bundles=[])

    def _leave(self, departing: set[str]) -> None:
        """Drain the workers of machines that are to go: `ray drain-node`, or a cloud that takes one back."""
        if not departing:
            return
        for one, machine in _machines_of([one for one in self._placed if not one.draining]).items():
            if machine in departing:
                log.info("worker %d leaves a machine that is to go", one.index)
                one.drain()

    def _dismiss(self, staying: Sequence[Placed], number: int) -> None:
        """Let so many go; who runs nowhere has nothing to finish, and ends at once."""
        if number <= 0:
            return
        running = _machines_of(staying).keys()
        for one in scaling.dismissed(staying, running, number):
            log.info("worker %d is no longer needed", one.index)
            if one in running:
                one.drain()
            else:
                one.end()
                self._placed.remove(one)

    def _start(self) -> None:
        taken = {one.index for one in self._placed}
        index = next(number for number in range(len(taken) + 1) if number not in taken)
        self._placed.append(Placed(index, self._remote.remote(index, self._models)))


def room(share: Share) -> int:
    """How many workers the machines that are there now, and stay, can hold."""
    departing = _departing()
    staying = [node["Resources"] for node in _machines() if node["NodeID"] not in departing]
    return sum(
        min(int(resources.get(name, 0) / amount) for name, amount in share.items()) for resources in staying
    )


def _machines_of(placed: Sequence[Placed]) -> dict[Placed, str]:
    """The machine that each of them is on; who is on none, or just being started anew, is left out."""
    asked = {one.ask_machine(): one for one in placed}
    if not asked:
        return {}
    told, _ = ray.wait(list(asked), num_returns=len(asked), timeout=_ASK_S)
    machines = {}
    for answer in told:
        with suppress(RayError):
            machines[asked[answer]] = str(ray.get(answer))
    return machines


def has(resource: str) -> bool:
    """Whether some machine has this of Ray's resources."""
    return any(node["Resources"].get(resource) for node in _machines())


def _machines() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return [node for node in nodes if node["Alive"]]


def _departing() -> set[str]:
    # Ray tells its own libraries only; there is no public way to ask yet.
    return set(ray._private.state.state.get_draining_nodes())
