"""Asking about a picture whose video the broker can't tell, with a broker that a test drives by hand."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from http_edge.asking import Asking
from http_edge.metrics import FrameMetrics
from tests.broker.running import PATIENCE_S
from tests.pictures import ACCEPTED
from tests.wire.hand_broker import MAX_FRAME_BYTES, HandBroker, frame
from wire import images
from wire.line import Lines

PICTURE = ACCEPTED["png"][0]


@pytest.fixture
def broker(tmp_path):
    broker = HandBroker(f"ipc://{tmp_path}/frames.ipc")
    yield broker
    broker.close()


@pytest.fixture
def asking(tmp_path):
    lines = Lines(f"ipc://{tmp_path}/frames.ipc", max_frame_bytes=MAX_FRAME_BYTES)
    yield Asking(lines, FrameMetrics(CollectorRegistry()))
    lines.close()


def test_a_refusal_that_comes_twice_is_not_taken_for_the_answer_to_the_second_question(broker, asking):
    unnamed = msgspec.structs.replace(frame(3), session_id=None)
    header = images.check(PICTURE, max_pixels=10**6)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(asking, unnamed, PICTURE, header)

        client, first, _ = broker.receive()
        refusal = {"type": "failure", "v": 1, "request_id": first["request_id"]}
        refusal |= {"code": "thumbnail_wanted", "message": "which video?"}
        for _ in range(2):  # as after a handshake that fell between two looks
            broker.send(client, refusal)
        client, second, _ = broker.receive()
        broker.answer(client, second | {"session_id": "found"}, b"joints", b"png")

        result, _ = answer.result(PATIENCE_S)
        assert result.frame_number == 3
    assert first["source"]["thumbnail"] is None
    assert second["source"]["thumbnail"]
