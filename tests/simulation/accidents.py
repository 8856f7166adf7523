"""What may happen to a service: ends, hangs, partitions, restarts."""

from typing import TYPE_CHECKING

from tests.simulation.clients import FEW_KEPT_ANSWERS

if TYPE_CHECKING:
    from tests.simulation.world import World


def happen(world: "World") -> None:
    """Let one accident happen, unless the world is calm."""
    if world.calm:
        return
    random = world.random
    kinds = [
        "kill",
        "kill",
        "pause",
        "pause",
        "drain",
        "stall",
        "cut",
        "broker",
        "broker",
        "everything",
        "edge",
    ]
    if len(world.brokers) > 1:
        kinds += ["hang", "hang", "away", "away", "out of reach", "out of reach"]
        if world.settings.kept_answers == FEW_KEPT_ANSWERS:
            # What lies unread on its way to a worker may be folded twice: docs/reliability.md, "Not kept".
            kinds = [kind for kind in kinds if kind not in ("pause", "stall")]
    kind = random.choice(kinds)
    worker, client = random.choice(world.workers), random.choice(world.clients)
    broker = random.choice(world.brokers)
    world.note(f"accident: {kind} (worker {worker.index}, client {client.index}, broker {broker.place})")
    match kind:
        case "kill":
            worker.die_soon()
        case "pause":
            worker.pause(random.uniform(0.1, 12.0))
        case "drain":
            worker.drain()
        case "stall":
            worker.stall(broker, random.uniform(0.1, 9.0))
        case "cut":
            worker.lose_connection(broker)
        case "broker":
            broker.crash()
        case "hang":
            broker.pause(random.choice((random.uniform(0.1, 9.0), random.uniform(7.0, 13.0))))
        case "away":
            for one in world.clients:
                one.cut_off(broker, random.uniform(0.9, 2.5))
        case "out of reach":
            client.cut_off(broker, random.uniform(0.9, 2.5))
        case "everything":
            for one in world.brokers:
                one.crash()
            for one in world.workers:
                one.die_soon()
        case "edge":
            client.restart()
