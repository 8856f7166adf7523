"""Killing, pausing and restarting the service's processes on a seeded schedule."""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from client.backend import Backend
from client.private_service import PrivateService
from tools.supervised import Supervised

#: Answers between two disturbances, once the service is whole again: at least, at most.
_ANSWERS_BETWEEN = (10, 60)

#: Longest wait for the service to be whole again, and for frames to flow.
_PATIENCE_S = 120.0

_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What is done to a program, `after_answers` answers after the service was whole.

    Killed: SIGKILL. Paused: SIGSTOP, and SIGCONT after `pause_s`. Restarted: as by supervisorctl.
    """

    program: str  # as supervisord names it
    what: Literal["killed", "paused", "restarted"]
    after_answers: int
    pause_s: float = 0.0

    def __str__(self) -> str:
        return f"{self.program} {self.what}"


@dataclass(frozen=True, slots=True)
class Disturbed:
    """A disturbance that was carried out."""

    disturbance: Disturbance
    at_s: float  # `time.monotonic`
    answered: int  # before it
    whole_at_s: float  # when all programs ran and all workers were ready again


class NotWhole(Exception):
    """The service did not come back."""


def schedule(
    seed: int, *, workers: int, kills: int, restarts: int, broker_kills: int, pause_s: float
) -> list[Disturbance]:
    """Each worker killed and restarted so often, the broker killed so often, one worker paused; shuffled.

    The same for the same seed.
    """
    chance = random.Random(seed)

    def event(
        program: str, what: Literal["killed", "paused", "restarted"], pause_s: float = 0
    ) -> Disturbance:
        return Disturbance(program, what, chance.randint(*_ANSWERS_BETWEEN), pause_s)

    names = [f"worker_{index:02}" for index in range(workers)]
    events = [event(name, "killed") for name in names for _ in range(kills)]
    events += [event(name, "restarted") for name in names for _ in range(restarts)]
    events += [event("broker", "killed") for _ in range(broker_kills)]
    if pause_s:
        events.append(event(chance.choice(names), "paused", pause_s))
    chance.shuffle(events)
    return events


class Disturber:
    """Carries disturbances out, each when the service is whole and frames flow."""

    def __init__(self, service: PrivateService, *, workers: int, answered: Callable[[], int]) -> None:
        self._service = service
        self._workers = workers
        self._answered = answered

    def carry_out(self, disturbance: Disturbance) -> Disturbed:
        """Do it, and wait until the service is whole again. Raises `NotWhole`."""
        with Supervised(self._service.runtime_dir) as supervised, self._service.backend() as backend:
            first = self._answered() + disturbance.after_answers
            _wait_for(lambda: self._answered() >= first, "no frames flow")
            answered, at_s = self._answered(), time.monotonic()
            _disturb(disturbance, supervised)
            _wait_for(lambda: self._is_whole(supervised, backend), "the service does not come back")
        return Disturbed(disturbance, at_s, answered, time.monotonic())

    def _is_whole(self, supervised: Supervised, backend: Backend) -> bool:
        if not all(program.running for program in supervised.programs().values()):
            return False
        health = backend.health().body()
        return bool(health["ready"]) and health["workers"] == self._workers


def _disturb(disturbance: Disturbance, supervised: Supervised) -> None:
    """Do it; a program that was ended has been started again when this returns."""
    pid = supervised.programs()[disturbance.program].pid
    match disturbance.what:
        case "paused":
            os.kill(pid, signal.SIGSTOP)
            time.sleep(disturbance.pause_s)
            os.kill(pid, signal.SIGCONT)
        case "killed":
            os.kill(pid, signal.SIGKILL)
            _wait_for(lambda: supervised.programs()[disturbance.program].pid not in (0, pid), "it stays away")
        case "restarted":
            supervised.restart(disturbance.program)


def _wait_for(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise NotWhole(f"{otherwise}, for {_PATIENCE_S:.0f} s")
        time.sleep(_LOOK_EVERY_S)
