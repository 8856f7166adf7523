"""`python worker_process.py ENDPOINT NAME`: a worker in a process of its own, to be killed and paused.

It speaks in frames written by hand, says which frame it holds by printing its number, and answers
when a line comes in.
"""

import sys

import msgpack
import zmq

HEARTBEAT_MS = 100


def main(endpoint: str, name: str) -> None:
    """Serve until killed."""
    socket = zmq.Context().socket(zmq.DEALER)
    socket.connect(endpoint)
    ready = {"type": "ready", "v": 1, "name": name, "credits": 4, "device": "cpu"}
    ready |= {"models": {}, "observer": "none"}
    held: list[dict[str, object]] = []

    def send(header: dict[str, object]) -> None:
        socket.send(msgpack.packb(header))

    send(ready)
    poller = zmq.Poller()
    poller.register(socket, zmq.POLLIN)
    poller.register(sys.stdin.fileno(), zmq.POLLIN)
    while True:
        came = dict(poller.poll(HEARTBEAT_MS))
        send({"type": "heartbeat", "v": 1})
        if socket in came:
            header = msgpack.unpackb(socket.recv_multipart()[0])
            if header["type"] == "who_are_you":
                send(ready)
            elif header["type"] == "work":
                held.append(header)
                print(header["frame_number"], flush=True)
        if sys.stdin.fileno() in came:
            if not sys.stdin.readline():
                return
            work = held.pop(0)
            failure = {"type": "failure", "v": 1, "code": "internal", "message": f"{name} answers"}
            send(failure | {"request_id": work["request_id"], "epoch": work["epoch"]})


if __name__ == "__main__":
    main(*sys.argv[1:])
