"""What the service promises as a whole, checked from the outside after every event; `watch.py`: each broker.

The pictures of a simulated video are folded into a *line*: the digests of all frames folded so far, which is
state and answer at once. So an answer tells every fold before it, and two answers tell whether they come
from one line of owners.
"""

from collections import defaultdict
from typing import TYPE_CHECKING

from tests.simulation.clients import VIDEO_SHIFT, Picture
from wire.messages import FromBroker, Result, Status, Work

if TYPE_CHECKING:
    from tests.simulation.world import World

#: Bytes of a digest in a line.
DIGEST_BYTES = 4

#: How a request may end; the rest are refusals by name.
_OUTCOMES = {"answered", "nobody waits", "busy", "deadline_exceeded", "poison_frame"}


#: The counters in one of which each accepted request ends.
_ENDS = ("answered", "failed", "expired", "poisoned", "not_loaded", "displaced")


class Promises:
    """Watches one world. Every method raises `AssertionError` where a promise is broken."""

    def __init__(self, world: "World") -> None:
        self.poison: set[int] = set()  # digests of the pictures that end whoever folds them
        self._world = world
        self._line: dict[tuple[str, int], bytes] = {}  # of each video, the longest that was answered
        self._cold: set[tuple[str, int]] = set()  # videos whose first frames were never folded
        self._owner: dict[int, tuple[str, bytes]] = {}  # who was given an epoch, for which session
        self._tries: defaultdict[int, set[int]] = defaultdict(set)  # digest -> the epochs it went out under

    # ------------------------------------------------------------------ what brokers do

    def owned(self, work: Work, address: bytes) -> None:
        """A worker is given a frame under an epoch."""
        owner = self._owner.setdefault(work.epoch, (work.session_id, address))
        assert owner == (work.session_id, address), "an epoch names one session and one owner"

    def tried(self, picture: Picture, epoch: int) -> None:
        """A frame goes out."""
        self._tries[picture.digest].add(epoch)

    # ------------------------------------------------------------------ what the client gets

    def answered(self, picture: Picture, result: Result, payload: list[bytes]) -> None:
        """An answer came: each frame before it was folded once, in one line, whoever owned the session."""
        assert (result.session_id, result.frame_number) == (picture.session_id, picture.number)
        line = bytes(payload[0])
        folded = [line[at : at + DIGEST_BYTES] for at in range(0, len(line), DIGEST_BYTES)]
        assert folded[-1] == picture.digest.to_bytes(DIGEST_BYTES), "another frame's answer"
        videos = {int.from_bytes(digest) >> VIDEO_SHIFT for digest in folded}
        assert videos == {picture.digest >> VIDEO_SHIFT}, f"{picture}: another video is mixed in"
        assert len(set(folded)) == len(folded), f"{picture}: a frame was folded twice"
        known = self._line.get((picture.session_id, picture.video), b"")
        assert result.history != "cold" or (picture.session_id, picture.video) in self._cold or not known, (
            f"{picture}: the session's past is lost"
        )
        shorter, longer = sorted((known, line), key=len)
        assert longer.startswith(shorter), f"{picture}: folds were lost or changed"
        self._line[picture.session_id, picture.video] = longer
        if result.history == "cold":
            self._cold.add((picture.session_id, picture.video))

    # ------------------------------------------------------------------ always, and at the end

    def hold(self) -> None:
        """The bounds, and the books of the brokers."""
        for broker in self._world.brokers:
            counters = broker.counters()
            if counters is not None:
                open_requests = counters["accepted"] - sum(map(counters.__getitem__, _ENDS))
                assert 0 <= open_requests <= self._world.settings.max_queue_frames

    def status_is(self, status: FromBroker) -> None:
        """The broker's own word on what it holds."""
        assert isinstance(status, Status)
        assert status.queued_bytes <= self._world.settings.max_queue_bytes
        assert status.sessions <= self._world.settings.max_sessions

    def at_rest(self) -> None:
        """Each request ended once, as it should; what was answered whole was folded in its true order."""
        for (session_id, video), line in self._line.items():
            (client,) = (c for c in self._world.clients if c.session_id == session_id)
            requests = [r for r in client.requests if r.picture.video == video]
            # Who repeats himself seems to have more in flight than he has, and who leaves frames out
            # seems to take longer steps: neither is always waited for.
            plain = not client.repeats and not client.holes and not client.was_cut_off
            if plain and all(request.outcome == "answered" for request in requests):
                folded = [line[at : at + DIGEST_BYTES] for at in range(0, len(line), DIGEST_BYTES)]
                assert folded == sorted(folded), f"{session_id}, video {video}: folded out of order"
        for client in self._world.clients:
            for request in client.requests:
                outcome = request.outcome
                assert outcome is not None, f"never answered: {request}"
                assert outcome in _OUTCOMES, f"{outcome}: {request}"
                if outcome == "deadline_exceeded":
                    assert client.is_impatient, f"lost: {request}"
                if outcome == "poison_frame":
                    digest = request.picture.digest
                    assert digest in self.poison or len(self._tries[digest]) >= 2, f"not poison: {request}"
                if outcome == "answered":
                    assert request.picture.digest not in self.poison
