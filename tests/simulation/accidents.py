"""What may happen to a service: ends, hangs, partitions, restarts."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.world import World


def happen(world: "World") -> None:
    """Let one accident happen, unless the world is calm."""
    if world.calm:
        return
    random = world.random
    kind = random.choice(
        ("kill", "kill", "pause", "pause", "drain", "stall", "cut", "broker", "broker", "everything", "edge")
    )
    worker, client = random.choice(world.workers), random.choice(world.clients)
    world.note(f"accident: {kind} (worker {worker.index}, client {client.index})")
    match kind:
        case "kill":
            worker.die_soon()
        case "pause":
            worker.pause(random.uniform(0.1, 12.0))
        case "drain":
            worker.drain()
        case "stall":
            worker.stall(random.uniform(0.1, 9.0))
        case "cut":
            worker.lose_connection()
        case "broker":
            world.broker.crash()
        case "everything":
            world.broker.crash()
            for one in world.workers:
                one.die_soon()
        case "edge":
            client.restart()
