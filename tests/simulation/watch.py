"""What one broker does, checked with each of its messages: order, ownership, credits.

A broker that is started again is watched anew: it knows nothing of what an earlier one did.
"""

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.simulation.clients import Picture
from wire.messages import Failure, Frame, FromBroker, Result, Work

if TYPE_CHECKING:
    from tests.simulation.promises import Promises
    from tests.simulation.workers import SimulatedWorker


class Watch:
    """Every method raises `AssertionError` where a promise is broken."""

    def __init__(self, promises: "Promises") -> None:
        self._promises = promises
        self._waiting: defaultdict[str, dict[bytes, Picture]] = defaultdict(dict)  # session -> requests
        self._went_out: set[int] = set()  # digests
        self._epoch: dict[str, int] = {}  # the last one of each session
        # Address -> (request id, epoch) of what it was given and has not answered.
        self._holds: defaultdict[bytes, dict[tuple[bytes, int], Picture]] = defaultdict(dict)

    def arrived(self, frame: Frame, picture: Picture) -> None:
        """A client's frame reached the broker."""
        if picture.digest not in self._went_out:
            self._waiting[picture.session_id][frame.request_id] = picture

    def handed_out(
        self, address: bytes, worker: "SimulatedWorker", work: Work, payload: list[object]
    ) -> None:
        """The broker gives a worker a frame: in order, to the one owner, within its credits."""
        (picture,) = payload
        assert isinstance(picture, Picture)
        assert (picture.session_id, picture.number) == (work.session_id, work.frame_number)
        assert not worker.has_parted(address), "a frame after the confirmed goodbye"
        held = self._holds[address]
        held[work.request_id, work.epoch] = picture
        assert len(held) <= worker.share, f"worker {worker.index} holds more than its credits"
        self._promises.owned(work, address)
        assert work.epoch >= self._epoch.get(work.session_id, 0), "a former owner is given a frame"
        self._epoch[work.session_id] = work.epoch
        self._promises.tried(picture, work.epoch)
        waiting = self._waiting[work.session_id]
        for request_id in [id_ for id_, other in waiting.items() if other.digest == picture.digest]:
            del waiting[request_id]
        if picture.digest in self._went_out:
            return  # what went out before keeps its place
        self._went_out.add(picture.digest)
        earlier = [p for p in waiting.values() if p.video == picture.video and p.number < picture.number]
        assert not earlier, f"{picture} overtakes {earlier[0]}"

    def worker_answered(self, address: bytes, message: Result | Failure) -> None:
        """A worker's answer reached the broker."""
        self._holds[address].pop((message.request_id, message.epoch), None)

    def sent_to_client(self, message: FromBroker) -> None:
        """The broker answers: never with a former owner's result."""
        assert isinstance(message, Result | Failure)
        if isinstance(message, Result):
            epoch = self._epoch.get(message.session_id)
            assert epoch == message.epoch, "a former owner's result is delivered"
        for waiting in self._waiting.values():
            waiting.pop(message.request_id, None)

    def lost(self, address: bytes) -> None:
        """A worker's connection ended, or the broker gave it up: it holds nothing any more."""
        self._holds.pop(address, None)
