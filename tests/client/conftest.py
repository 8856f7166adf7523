"""A body, and people who move as it does."""

import pytest

from body.model import Body
from client.motion import Motion
from tests.client.motions import moving


@pytest.fixture(scope="session")
def body() -> Body:
    return Body.open()


@pytest.fixture(scope="session")
def motion(body: Body) -> Motion:
    return moving(body)
