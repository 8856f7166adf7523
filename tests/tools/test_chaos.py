"""The chaos run's own judgement: its schedule is seeded, and what went wrong does not escape it."""

from collections import Counter
from dataclasses import replace

from tools.chaos.clips import Client, Video
from tools.chaos.disturbances import Disturbance, Disturbed, schedule
from tools.chaos.traffic import Received, Sent, digests
from tools.chaos.verdict import expected, histories, stalls_s, violations

PLAN = {"workers": 2, "kills": 5, "restarts": 1, "broker_kills": 2, "pause_s": 20.0}

CLIP = Video("clip", [b"0", b"1", b"2"])
UNNAMED = Client("rider", named=False, videos=[CLIP])
NAMED = Client("one", named=True, videos=[CLIP])


def answers(session_id: str, *, fields: str = "abc") -> list[Received]:
    """One a second, from second 0 on; each has its letter of `fields` as its pose."""
    return [
        Received(
            number,
            float(number),
            200,
            session_id=session_id,
            history="complete",
            fields={"pose": pose.encode()},
        )
        for number, pose in enumerate(fields)
    ]


def sent(received: list[Received], *, client: Client = UNNAMED, session_id: str | None = None) -> Sent:
    return Sent(client, 0, CLIP, session_id, received)


AS_EXPECTED = expected([sent(answers("stream-1"))])


def test_a_seed_names_one_schedule() -> None:
    assert schedule(7, **PLAN) == schedule(7, **PLAN)
    assert len({tuple(schedule(seed, **PLAN)) for seed in range(20)}) == 20


def test_every_program_is_disturbed_as_often_as_was_asked() -> None:
    events = schedule(3, **PLAN)

    assert Counter(str(event) for event in events if event.what != "paused") == {
        "worker_00 killed": 5,
        "worker_01 killed": 5,
        "worker_00 restarted": 1,
        "worker_01 restarted": 1,
        "broker killed": 2,
    }
    (pause,) = (event for event in events if event.what == "paused")
    assert pause.program.startswith("worker")
    assert pause.pause_s == 20.0


def test_the_same_answers_violate_nothing() -> None:
    assert violations([sent(answers("stream-2"))], AS_EXPECTED) == []


def test_a_frame_that_differs_is_named_with_its_fields() -> None:
    (found,) = violations([sent(answers("stream-2", fields="abx"))], AS_EXPECTED)
    assert "rider, video 0 (clip), frame 2: differs in pose" in found


def test_a_refused_frame_is_named() -> None:
    received = answers("stream-2")
    received[1] = Received(1, 1.0, 503, refusal="busy: try later")
    (found,) = violations([sent(received)], AS_EXPECTED)
    assert "frame 1: status 503, busy: try later" in found


def test_a_cold_history_is_a_violation_and_a_restored_one_is_not() -> None:
    received = answers("stream-2")
    received[1] = replace(received[1], history="restored")
    assert violations([sent(received)], AS_EXPECTED) == []
    assert histories([sent(received)]) == {"complete": 2, "restored": 1}
    received[2] = replace(received[2], history="cold")
    assert len(violations([sent(received)], AS_EXPECTED)) == 1


def test_a_video_taken_for_two_and_two_taken_for_one_are_violations() -> None:
    torn = answers("stream-2")
    torn[2] = replace(torn[2], session_id="stream-3")
    (split,) = violations([sent(torn)], AS_EXPECTED)
    assert "2 sessions" in split
    (shared,) = violations(
        [sent(answers("stream-2")), Sent(UNNAMED, 1, CLIP, None, answers("stream-2"))], AS_EXPECTED
    )
    assert "shares a session" in shared


def test_a_session_that_was_named_keeps_its_name() -> None:
    video = sent(answers("another"), client=NAMED, session_id="mine")
    (found,) = violations([video], AS_EXPECTED)
    assert "named mine" in found


def test_a_stall_is_the_longest_wait_of_one_client_around_the_event() -> None:
    first, second, third = answers("stream-2")
    slow = [first, replace(second, at_s=4.0), replace(third, at_s=5.0)]
    busy = [replace(answer, at_s=answer.at_s * 2.5) for answer in answers("mine")]
    kill = Disturbance("broker", "killed", after_answers=0)
    events = [Disturbed(kill, at_s, answered=0, whole_at_s=at_s + 0.5) for at_s in (1.0, 4.5)]

    assert stalls_s([sent(slow), sent(busy, client=NAMED)], events) == [4.0, 2.5]


def test_time_and_the_run_s_own_words_are_left_out_of_the_comparison() -> None:
    body = {
        "keypoints": [1.0],
        "processing_time_ms": 3.0,
        "tracking": {"session_id": "a", "history": "complete", "track_id": 1},
    }
    assert digests(body).keys() == {"keypoints", "tracking.track_id"}
    assert digests(body) != digests(body | {"keypoints": [2.0]})
