"""Messages of several parts leave and arrive whole, or not at all."""

import pytest
import zmq

from wire import parts

PATIENCE_MS = 30_000


@pytest.fixture
def pair():
    with zmq.Context() as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
        for socket in (one, other):
            socket.set(zmq.LINGER, 0)
            socket.set(zmq.SNDHWM, 2)
            socket.set(zmq.RCVHWM, 2)
        one.bind("inproc://pair")
        other.connect("inproc://pair")
        yield one, other


@pytest.mark.parametrize("message", [[b"alone"], [b"header", b"", b"x" * 2**21], [b"part"] * 13])
@pytest.mark.parametrize("wait", [False, True])
def test_all_parts_arrive_in_their_order(message, wait, pair):
    one, other = pair
    parts.send(one, message, wait=wait)
    assert other.poll(PATIENCE_MS)
    assert [part.bytes for part in parts.receive(other)] == message


def test_what_was_received_is_passed_on_as_it_is(pair):
    one, other = pair
    parts.send(one, [b"peer", bytearray(b"header"), memoryview(b"payload")])
    parts.send(other, parts.receive(other))
    assert one.recv_multipart() == [b"peer", b"header", b"payload"]


def test_each_message_is_received_by_itself(pair):
    one, other = pair
    for number in range(2):
        parts.send(one, [b"%d" % number, b"part"])
    assert [parts.receive(other)[0].bytes for _ in range(2)] == [b"0", b"1"]


def test_where_nothing_is_nothing_is_received(pair):
    with pytest.raises(zmq.Again):
        parts.receive(pair[0])


def test_where_there_is_no_room_nothing_is_sent(pair):
    one, other = pair
    sent = 0
    with pytest.raises(zmq.Again):
        while sent < 1000:
            parts.send(one, [b"header", b"%d" % sent])
            sent += 1
    received = [parts.receive(other)[1].bytes for _ in range(sent)]
    assert received == [b"%d" % number for number in range(sent)]
    with pytest.raises(zmq.Again):
        parts.receive(other)
    parts.send(one, [b"header", b"again"], wait=True)
    assert other.poll(PATIENCE_MS)
    assert parts.receive(other)[1].bytes == b"again"


def test_waiting_for_room_ends_with_the_sockets_patience(pair):
    one, _ = pair
    one.set(zmq.SNDTIMEO, 10)
    with pytest.raises(zmq.Again):
        for _ in range(1000):
            parts.send(one, [b"header", b"payload"], wait=True)
