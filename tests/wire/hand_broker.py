"""What tests of the broker's clients share: a broker that a test drives by hand, and frames to send it."""

import os

import msgpack
import zmq

from tests.broker.running import PATIENCE_S, result_for
from wire.messages import Frame, Options, Source

MAX_FRAME_BYTES = 2**20


def frame(number=0, *, deadline_ms=60_000, request_id=None):
    return Frame(
        request_id=request_id or os.urandom(16),
        frame_number=number,
        deadline_ms=deadline_ms,
        session_id="dance",
        source=Source(client="127.0.0.1"),
        options=Options(visualize=True),
    )


class HandBroker:
    """A ROUTER driven by the test, so that it can misbehave."""

    def __init__(self, endpoint):
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.set(zmq.LINGER, 0)
        self._socket.bind(endpoint)
        self._taken = set()

    def receive(self):
        """The next request. One that comes again under its id, as after any handshake, is the same one."""
        while True:
            client, header, payload = self.receive_any()
            if header["request_id"] not in self._taken:
                self._taken.add(header["request_id"])
                return client, header, payload

    def has_request(self):
        """Whether one has come."""
        return bool(self._socket.poll(0))

    def receive_any(self):
        """The next request, also one that came before."""
        assert self._socket.poll(int(PATIENCE_S * 1000)), "nothing came"
        client, packed, *payload = self._socket.recv_multipart()
        return client, msgpack.unpackb(packed), payload

    def send(self, client, header, *payload):
        self._socket.send_multipart([client, msgpack.packb(header), *payload])

    def answer(self, client, header, *payload):
        self.send(client, result_for(header | {"epoch": 1}), *payload)

    def close(self):
        self._socket.close()
        self._context.term()
