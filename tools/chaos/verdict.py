"""What a chaos run showed: which frames differ from the undisturbed run, and how long clients stalled.

Pure: works on what was received.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from tools.chaos.disturbances import Disturbed
from tools.chaos.traffic import Received, Sent

#: Video and frame number -> name and digest of each field.
Expected = Mapping[tuple[str, int], Mapping[str, bytes]]


def expected(undisturbed: Sequence[Sent]) -> Expected:
    """What every answer must be, by the undisturbed run."""
    return {
        (sent.video.name, received.frame_number): received.fields
        for sent in undisturbed
        for received in sent.received
    }


def violations(sent: Sequence[Sent], expected: Expected) -> list[str]:
    """What must not have happened, a sentence each."""
    return [*_of_the_frames(sent, expected), *_of_the_sessions(sent)]


def histories(sent: Sequence[Sent]) -> Counter[str]:
    """How many answers say of their session's history what."""
    return Counter(received.history for video in sent for received in video.received if received.history)


def longest_stall_s(sent: Sequence[Sent], *, begin_s: float, end_s: float) -> float:
    """The longest time between two answers of one client, the second of which came from begin to end."""
    return max(
        (
            after - before
            for times in _answer_times(sent).values()
            for before, after in pairwise(times)
            if begin_s < after <= end_s
        ),
        default=0.0,
    )


def stalls_s(sent: Sequence[Sent], disturbed: Sequence[Disturbed]) -> list[float]:
    """The longest stall that ended after each disturbance and before the next."""
    moments_s = [*(event.at_s for event in disturbed), math.inf]
    return [longest_stall_s(sent, begin_s=begin_s, end_s=end_s) for begin_s, end_s in pairwise(moments_s)]


def _of_the_frames(sent: Sequence[Sent], expected: Expected) -> Iterator[str]:
    """The first of each video; what follows in it follows from that, as a rule, and is counted."""
    for video in sent:
        found = [
            f"frame {received.frame_number}: {problem}"
            for received in video.received
            if (problem := _problem(received, expected[video.video.name, received.frame_number]))
        ]
        if found:
            more = f" (and {len(found) - 1} frames more)" if found[1:] else ""
            yield f"{video.client.name}, video {video.turn} ({video.video.name}), {found[0]}{more}"


def _problem(received: Received, fields: Mapping[str, bytes]) -> str | None:
    if received.refusal:
        return f"status {received.status}, {received.refusal}"
    if received.history not in ("complete", "restored"):
        return f"history {received.history}"
    names = received.fields.keys() | fields.keys()
    if differing := sorted(name for name in names if received.fields.get(name) != fields.get(name)):
        return f"differs in {', '.join(differing)}"
    return None


def _of_the_sessions(sent: Sequence[Sent]) -> Iterator[str]:
    of_video: dict[str, str] = {}
    for video in sent:
        name = f"{video.client.name}, video {video.turn}"
        ids = {received.session_id for received in video.received if received.session_id}
        if len(ids) > 1:
            yield f"{name} was taken for {len(ids)} sessions"
        if video.session_id is not None and ids - {video.session_id}:
            yield f"{name} was named {video.session_id} and answered as {', '.join(sorted(ids))}"
        for other in sorted({of_video[session] for session in ids & of_video.keys()}):
            yield f"{name} shares a session with {other}"
        of_video |= dict.fromkeys(ids, name)


def _answer_times(sent: Sequence[Sent]) -> Mapping[str, list[float]]:
    times: dict[str, list[float]] = {}
    for video in sent:
        times.setdefault(video.client.name, []).extend(received.at_s for received in video.received)
    return {client: sorted(at_s) for client, at_s in times.items()}
