"""Whatever fails, each accepted request is answered once, in order, by one owner, within bounds."""

import pytest

from tests.broker.simulation import World

HISTORIES = 600


@pytest.mark.parametrize("block", range(6))
def test_promises_hold_in_random_histories(block):
    for seed in range(block * HISTORIES // 6, (block + 1) * HISTORIES // 6):
        world = World(seed)
        try:
            world.run(seconds=20.0)
        except AssertionError as broken:
            story = "\n".join(world.history[-60:])
            pytest.fail(f"seed {seed}: {broken}\n{story}", pytrace=False)
