"""The least loaded worker is the one that looking at all of them would find."""

import random

from broker.fleet import Fleet
from broker.outbox import Outbox
from tests.broker.core import SETTINGS, Bench
from tests.messages import ready

WORKERS = 6
STEPS = 3_000


def looked_for(fleet, fits):
    fitting = [worker for worker in fleet if fits(worker)]
    return min(fitting, key=lambda worker: (len(worker.sessions), len(worker.in_flight)), default=None)


def test_it_is_found_whatever_happened_before():
    chance = random.Random(3)
    bench = Bench(max_sessions=40, max_queue_frames=60)
    routing, held = bench.routing, []
    fleet = routing._fleet
    for step in range(STEPS):
        address = f"w{chance.randrange(WORKERS)}".encode()
        match chance.choice(("frame", "frame", "frame", "answer", "answer", "join", "drain", "lose", "pass")):
            case "frame":
                bench.frame(step, f"session {chance.randrange(50)}")
            case "answer" if held:
                action = held.pop(chance.randrange(len(held)))
                bench.answer(action.message, action.worker)
            case "join":
                bench.worker(address, worker_credits=chance.randint(1, 4))
            case "drain":
                routing.goodbye(address, now=bench.now)
            case "lose":
                bench.lose(address)
            case "pass":
                bench.wait(0.3)
        held += [action for action in bench.to_workers if type(action.message).__name__ == "Work"]
        bench.to_workers.clear()
        assert fleet.least_loaded() is looked_for(fleet, lambda worker: not worker.draining)
        assert fleet.freest() is looked_for(fleet, lambda worker: worker.has_room)


def test_of_two_alike_the_first_that_came_is_taken():
    fleet = Fleet(SETTINGS, Outbox())
    first, second = (fleet.join(name, ready(), now=0.0) for name in (b"z", b"a"))
    assert fleet.least_loaded() is first
    fleet.drain(first, now=0.0)
    assert fleet.least_loaded() is second
    fleet.remove(second)
    assert fleet.least_loaded() is None
