"""The routing core with a clock in hand, and what it sent."""

import os
from itertools import count

import msgspec

from broker.outbox import ToClient, ToWorker
from broker.routing import Routing
from broker.streams import Streams
from tests.messages import ready, result_for
from wire.messages import Failure, Frame, Heartbeat, Result, Source, Status, StatusRequest, Work
from wire.settings import Settings

SETTINGS = Settings(runtime_dir="/nonexistent", gap_wait_s=0.25)


class Bench:
    """The core with a clock in hand, and what it sent."""

    def __init__(self, *, streams=None, **settings):
        ids = count()
        self.now = 0.0
        self.to_clients = []
        self.to_workers = []
        self.routing = Routing(
            msgspec.structs.replace(SETTINGS, **settings),
            streams=streams
            if streams is not None
            else Streams(new_session_id=lambda: f"stream-{next(ids)}", pause_s=30.0),
            first_serial=1,
            now=0.0,
        )

    def collect(self):
        while actions := self.routing.take_actions():
            for action in actions:
                match action:
                    case ToClient():
                        self.to_clients.append(action)
                    case ToWorker():
                        self.to_workers.append(action)

    def wait(self, seconds):
        """Let time pass, with workers that stay alive."""
        self.pass_time(seconds, alive=True)

    def pass_time(self, seconds, *, alive=False):
        """Let time pass, with workers that are silent or not."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, max(self.now, self.routing.wake_at()))
            self.routing.tick(now=self.now)
            for address in self.workers() if alive else ():
                self.routing.heartbeat(address, now=self.now)
            self.collect()

    def workers(self):
        return [action.worker for action in self.to_workers if isinstance(action.message, Heartbeat)]

    def worker(self, address=b"w0", *, worker_credits=4, sessions=()):
        said = ready(address.decode(), worker_credits=worker_credits, sessions=sessions)
        self.routing.ready(address, said, now=self.now)
        self.collect()

    def open_the_lobby(self):
        """A worker came and left again: frames are placed, and wait for another."""
        self.worker(b"left")
        self.routing.goodbye(b"left", now=self.now)
        self.routing.worker_unroutable(b"left", now=self.now)
        self.collect()
        self.to_workers.clear()

    def frame(
        self,
        number,
        session="dance",  # None: the caller names none
        *,
        picture=None,
        size_bytes=100,
        client=b"c",
        deadline_s=60.0,
        request_id=None,
        **fields,
    ):
        if session is None:
            fields.setdefault("source", Source(thumbnail=b""))  # a client that cannot make any
        request = Frame(
            request_id=request_id or os.urandom(16),
            frame_number=number,
            deadline_ms=int(deadline_s * 1000),
            session_id=session,
            **fields,
        )
        digest = number if picture is None else picture
        self.routing.frame(client, request, [b"jpeg"], payload_bytes=size_bytes, digest=digest, now=self.now)
        self.collect()
        return request

    def work(self, worker=None):
        """The frames that were handed out, and forget about them."""
        handed = [
            action.message
            for action in self.to_workers
            if isinstance(action.message, Work) and worker in (None, action.worker)
        ]
        self.to_workers = [a for a in self.to_workers if a.message not in handed]
        return handed

    def answer(self, work, worker=b"w0"):
        self.routing.answer(worker, result_for(work), [b"arrays"], now=self.now)
        self.collect()

    def outcomes(self):
        """What clients were told since the last time: codes, or numbers of results."""
        told = [action.message for action in self.to_clients]
        self.to_clients.clear()
        return [
            m.frame_number if isinstance(m, Result) else m.code
            for m in told
            if isinstance(m, Result | Failure)
        ]

    def lose(self, address=b"w0"):
        """The worker's connection is gone."""
        self.routing.worker_unroutable(address, now=self.now)
        self.collect()

    def play(self, numbers_, session="dance", worker=b"w0"):
        """Send frames one after the other; the worker answers each."""
        for number in numbers_:
            self.frame(number, session)
            self.wait(0.3)
            for work in self.work():
                self.answer(work, worker)
        self.outcomes()

    def status(self):
        """How the core says it is."""
        self.routing.status(b"operator", StatusRequest(request_id=bytes(16)), now=self.now)
        self.collect()
        reply = self.to_clients.pop().message
        assert isinstance(reply, Status)
        return reply

    def sent(self, kind):
        return [action.message for action in self.to_workers if isinstance(action.message, kind)]


def numbers(work):
    return [item.frame_number for item in work]
