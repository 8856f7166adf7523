"""Which requests another broker may have answered already: they are sent back, lest a frame be folded twice.

A client that cannot reach its broker asks the next one. What this one still has of it, in line or unread in a
socket, was asked before; however it stood still or was cut off, it cannot know for how long. So it counts
terms, and a request says the last one that its client was told of (`Frame.term`). Once the store shows that
another broker had a session, another term begins, and a frame of it that bears an earlier one goes back: who
still waits for it here sends it again. Pure, and without a clock: no machine's is told of a pause for sure.
"""

from collections import OrderedDict
from collections.abc import Sequence

from broker.inquiries import Subject, subject_of
from broker.serials import Serials
from wire.messages import Frame, HeldSession

#: What the store showed of a subject: each session's owner and the last frame folded.
_Seen = tuple[tuple[str, int, int, int | None], ...]


class Terms:
    """The terms of one broker, and from which one on each subject's frames are taken."""

    def __init__(self, serials: Serials, *, max_subjects: int) -> None:
        """Terms rise as epochs do, also above those of the broker before this one.

        max_subjects: of so many it is remembered, those that were met last.
        """
        self._serials = serials
        self._max_subjects = max_subjects
        self._since: OrderedDict[Subject, tuple[int, _Seen]] = OrderedDict()
        self.current = 0

    def is_over(self, frame: Frame) -> bool:
        """Whether another broker had the frame's session since its client was told of a term.

        Never for a client that speaks of none: it has no other broker.
        """
        if not self._since or frame.term is None:
            return False
        since, _ = self._since.get(subject_of(frame), (0, ()))
        return frame.term < since

    def another_had(self, subject: Subject, sessions: Sequence[HeldSession]) -> None:
        """The store has `sessions`, of which nothing is known here; seen so before, it is no news."""
        seen = tuple((held.session_id, held.epoch, *_last_frame(held)) for held in sessions)
        if not seen or self._since.get(subject, (0, ()))[1] == seen:
            return
        self.current = self._serials.draw()
        self._since[subject] = (self.current, seen)
        self._since.move_to_end(subject)
        while len(self._since) > self._max_subjects:
            self._since.popitem(last=False)


def _last_frame(held: HeldSession) -> tuple[int, int | None]:
    last = held.frames[-1] if held.frames else None
    return (0, None) if last is None else (last.frame_number, last.digest)
