"""A broker by hand, where it is, and a connection to it."""

from contextlib import closing

import pytest

from tests.wire.hand_broker import MAX_FRAME_BYTES, HandBroker
from wire.connection import Connection


@pytest.fixture
def endpoint(tmp_path):
    return f"ipc://{tmp_path}/frames.ipc"


@pytest.fixture
def broker(endpoint):
    with closing(HandBroker(endpoint)) as broker:
        yield broker


@pytest.fixture
def connection(endpoint):
    with Connection(endpoint, max_frame_bytes=MAX_FRAME_BYTES) as connection:
        yield connection
