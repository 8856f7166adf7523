"""Whatever fails, the promises hold in random histories; and a bug in what keeps them is found."""

import logging

import pytest

from tests.simulation.__main__ import story
from tests.simulation.bugs import BUGS

#: A few of those that `python -m tests.simulation` runs.
HISTORIES = 1_200
BLOCKS = 4

#: A planted bug must show within so many.
WITHIN = 2_000


@pytest.fixture(autouse=True)
def quiet():
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_promises_hold_in_random_histories(block):
    for seed in range(block * HISTORIES // BLOCKS, (block + 1) * HISTORIES // BLOCKS):
        if broken := story(seed):
            pytest.fail(broken, pytrace=False)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug, monkeypatch):
    bug(monkeypatch)
    assert any(story(seed) for seed in range(WITHIN))


def test_a_history_can_be_told_again():
    assert story_of(7) == story_of(7)


def story_of(seed):
    from tests.simulation.world import World

    world = World(seed)
    world.run()
    return world.history
