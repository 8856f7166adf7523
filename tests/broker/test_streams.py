"""Frames without a session id find their video by address, size, number, picture and time."""

from itertools import count

import pytest

from broker.streams import Streams
from wire.messages import HeldSession, SeenFrame, Source

PAUSE_S = 30.0


class Sender:
    """Sends frames to the streams; a frame's picture is told from others by its video and number."""

    def __init__(self):
        ids = count()
        self.streams = Streams(new_session_id=lambda: f"s{next(ids)}", pause_s=PAUSE_S)
        self.now = 0.0

    def send(self, video, number, *, client="10.0.0.1", width=640, after_s=0.05):
        self.now += after_s
        source = Source(client=client, width_px=width, height_px=360)
        digest = hash((video, number))
        return self.streams.place(source, number, digest=digest, now=self.now).session_id


@pytest.fixture
def sender():
    return Sender()


def test_one_video_is_one_session(sender):
    assert {sender.send("a", number) for number in range(140)} == {"s0"}


def test_a_second_0_begins_another_video(sender):
    assert {sender.send("a", number) for number in range(5)} == {"s0"}
    assert {sender.send("b", number, after_s=2.0 if number == 0 else 0.05) for number in range(20)} == {"s1"}


def test_the_same_0_again_is_a_repeat(sender):
    assert sender.send("a", 0) == sender.send("a", 0) == "s0"


def test_always_0_gives_independent_frames(sender):
    assert len({sender.send(picture, 0) for picture in range(20)}) == 20


@pytest.mark.parametrize(
    ("pause_s", "session"), [(PAUSE_S - 1, "s0"), (PAUSE_S + 1, "s1")], ids=["short", "long"]
)
def test_a_long_pause_ends_a_video(sender, pause_s, session):
    sender.send("a", 0)
    assert sender.send("a", 1, after_s=pause_s) == session


def test_a_client_that_waited_for_its_answer_did_not_pause(sender):
    sender.send("a", 0)
    sender.streams.answered("s0", now=100.0)
    assert sender.send("a", 1, after_s=101.0) == "s0"


def test_addresses_and_sizes_are_kept_apart(sender):
    sessions = {
        sender.send("a", 0),
        sender.send("a", 0, client="10.0.0.2"),
        sender.send("a", 0, width=1280),
    }
    assert len(sessions) == 3
    assert sender.send("a", 1, client="10.0.0.2") == "s1"


def test_two_videos_taking_turns_are_kept_apart(sender):
    for number in range(50):
        assert sender.send("a", number) == "s0"
        assert sender.send("b", number) == "s1"


def test_two_videos_at_different_places_are_kept_apart(sender):
    for number in range(30):
        assert sender.send("a", number) == "s0"
    for number in range(30):
        assert sender.send("b", number) == "s1"
        assert sender.send("a", 30 + number) == "s0"


def test_a_pool_may_deliver_out_of_order(sender):
    for number in (3, 0, 2, 1, 7, 5, 6, 4, 9, 8):
        assert sender.send("a", number) == "s0"


def test_a_new_video_may_begin_out_of_order(sender):
    for number in range(140):
        sender.send("a", number)
    for number in (1, 0, 3, 2, 4):
        assert sender.send("b", number, after_s=0.5) == "s1"


def test_a_video_that_was_given_up_does_not_get_the_next_ones_frames(sender):
    for number in range(6):
        sender.send("a", number)
    sessions = {sender.send("b", number, after_s=3.0 if number == 0 else 0.05) for number in range(0, 40, 2)}
    assert sessions == {"s1"}


def test_a_video_that_was_quiet_goes_on_where_it_was(sender):
    for number in range(50):
        sender.send("a", number)
    for number in range(20):
        sender.send("b", number, after_s=0.3)
    assert sender.send("a", 50) == "s0"


def test_a_forgotten_session_is_not_continued(sender):
    sender.send("a", 0)
    sender.streams.forget("s0")
    assert sender.send("a", 1) == "s1"


def test_a_recalled_stream_goes_on(sender):
    frames = [SeenFrame(number, number) for number in range(5)]
    source = Source(client="10.0.0.1", width_px=640, height_px=360)
    held = HeldSession(session_id="before", generation=1, epoch=2, frames=frames, source=source)
    sender.streams.recall(held, now=0.0)
    assert sender.send("a", 5) == "before"
