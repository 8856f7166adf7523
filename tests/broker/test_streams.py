"""Frames without a session id find their video by address, size, number, picture and time."""

from collections import Counter
from itertools import count

import numpy as np
import pytest

from broker.choice import Undecided
from broker.streams import Streams
from wire import thumbnail
from wire.errors import ThumbnailWanted
from wire.messages import HeldSession, SeenFrame, Source

PAUSE_S = 30.0
SHAPE = thumbnail.shape(640, 360)


def picture(video: str, number: int) -> bytes:
    """A thumbnail: someone walks through the scene that the video's name stands for."""
    scene = np.random.default_rng(list(video.encode())).integers(40, 200, size=SHAPE)
    left = number * 0.1 % (SHAPE[1] - 3)
    walker = np.clip(1.5 - np.abs(np.arange(SHAPE[1]) - left - 1), 0, 1)
    scene[6:14] = scene[6:14] * (1 - walker) + 255 * walker
    return scene.astype(np.uint8).tobytes()


class Sender:
    """Sends frames to the streams as the edge does; each is answered before the next one goes."""

    def __init__(self):
        ids = count()
        self.streams = Streams(new_session_id=lambda: f"s{next(ids)}", pause_s=PAUSE_S)
        self.now = 0.0
        self.open = Counter()
        self.thumbnails_wanted = 0
        self.can_see = True

    def send(self, video, number, *, shows=None, after_s=0.05, answered=True, **source):
        """The session of a frame; `shows`: the frame of the video that it is, where that differs."""
        self.now += after_s
        made = picture(video, number if shows is None else shows)
        return self.place(made, number, answered=answered, **source).session_id

    def try_once(self, video, number):
        """Place a frame without waiting where it is in doubt; it stays unanswered."""
        made = picture(video, number)
        source = Source(client="10.0.0.1", width_px=640, height_px=360, thumbnail=made)
        placed = self.streams.place(
            source, number, digest=hash(made), unanswered=self.open.__getitem__, now=self.now
        )
        self.open[placed.session_id] += 1

    def place(self, made, number, *, answered=True, thumbnail=None, client="10.0.0.1", width_px=640):
        source = Source(client=client, width_px=width_px, height_px=360, thumbnail=thumbnail)
        while True:
            try:
                placed = self.streams.place(
                    source, number, digest=hash(made), unanswered=self.open.__getitem__, now=self.now
                )
            except ThumbnailWanted:
                assert thumbnail is None, "it was asked for a thumbnail again"
                self.thumbnails_wanted += 1
                seen = made if self.can_see else b""
                return self.place(
                    made, number, answered=answered, thumbnail=seen, client=client, width_px=width_px
                )
            except Undecided as doubt:
                assert doubt.until > self.now
                self.now = doubt.until
            else:
                if answered:
                    self.streams.answered(placed.session_id, now=self.now)
                else:
                    self.open[placed.session_id] += 1
                return placed


@pytest.fixture
def sender():
    return Sender()


# ------------------------------------------------------------------------- one video


def test_one_video_is_one_session(sender):
    assert {sender.send("a", number) for number in range(140)} == {"s0"}


def test_a_lonely_video_is_looked_at_only_while_it_is_young(sender):
    for number in range(140):
        sender.send("a", number)
    assert sender.thumbnails_wanted == 16


def test_one_frame_at_a_time_never_waits(sender):
    for number in range(40):
        sender.send("a", number)
    assert sender.now == pytest.approx(40 * 0.05)


def test_a_pool_may_deliver_out_of_order(sender):
    sessions = {sender.send("a", number, answered=False) for number in (0, 3, 2, 1, 7, 5, 6, 4, 9, 8)}
    assert sessions == {"s0"}


def test_the_same_frame_again_is_a_repeat(sender):
    first = [sender.send("a", number) for number in range(10)]
    assert [sender.send("a", number) for number in (0, 9, 5)] == [first[0]] * 3
    assert sender.send("a", 10) == "s0"


@pytest.mark.parametrize(
    ("pause_s", "session"), [(PAUSE_S - 1, "s0"), (PAUSE_S + 1, "s1")], ids=["short", "long"]
)
def test_a_long_pause_ends_a_video(sender, pause_s, session):
    sender.send("a", 0)
    assert sender.send("a", 1, after_s=pause_s) == session


def test_a_client_that_waits_for_its_answer_does_not_pause(sender):
    sender.send("a", 0, answered=False)
    assert sender.send("a", 1, after_s=PAUSE_S + 20) == "s0"
    sender.streams.answered("s0", now=100.0)
    sender.open.clear()
    sender.now = 100.0
    assert sender.send("a", 2, after_s=PAUSE_S - 1) == "s0"


def test_numbers_may_leave_others_out(sender):
    assert {sender.send("a", number) for number in range(0, 200, 5)} == {"s0"}


def test_a_number_far_ahead_continues_the_video_that_it_looks_like(sender):
    for number in range(50):
        sender.send("a", number)
    assert sender.send("a", 90, shows=51) == "s0"
    assert sender.send("b", 200) == "s1"


def test_a_video_in_string_order_is_one_video(sender):
    order = sorted(range(1, 141), key=lambda number: f"frame-{number}.png")
    assert {sender.send("a", at, shows=shows) for at, shows in enumerate(order)} == {"s0"}


# --------------------------------------------------------------- one video after another


def test_a_second_0_begins_another_video(sender):
    assert {sender.send("a", number) for number in range(5)} == {"s0"}
    assert {sender.send("b", number, after_s=2.0 if number == 0 else 0.05) for number in range(20)} == {"s1"}


def test_a_second_0_in_the_same_scene_begins_another_video(sender):
    for number in range(5):
        sender.send("a", number)
    assert {sender.send("a", number, shows=60 + number) for number in range(20)} == {"s1"}


def test_a_clip_that_is_sent_twice_is_two_videos(sender):
    assert {sender.send("a", number) for number in range(60)} == {"s0"}
    assert {sender.send("a", number) for number in range(60)} == {"s1"}


def test_a_long_clip_that_is_sent_twice_is_two_videos(sender):
    first = {sender.send("a", number) for number in range(140)}
    second = {sender.send("a", number) for number in range(140)}
    assert len(first) == len(second) == 1
    assert first != second


def test_a_clip_that_is_sent_again_after_the_broker_restarted_is_another_video(sender):
    frames = [
        SeenFrame(number, hash(picture("a", number)), picture("a", number)) for number in (0, *range(16, 32))
    ]
    source = Source(client="10.0.0.1", width_px=640, height_px=360)
    sender.streams.recall(
        HeldSession(session_id="before", generation=1, epoch=1, frames=frames, source=source), now=0.0
    )
    assert {sender.send("a", number) for number in range(32)} == {"s0"}


def test_a_frame_that_is_sent_again_after_the_broker_restarted_belongs_to_the_last_showing(sender):
    source = Source(client="10.0.0.1", width_px=640, height_px=360)
    for session_id, first, last, quiet_s in (("earlier", 16, 32, 20.0), ("later", 8, 24, 0.1)):
        frames = [SeenFrame(number, hash(picture("a", number))) for number in (0, *range(first, last))]
        held = HeldSession(
            session_id=session_id, generation=1, epoch=1, frames=frames, source=source, quiet_s=quiet_s
        )
        sender.streams.recall(held, now=0.0)
    assert {sender.send("a", number) for number in (22, 23, 24, 25)} == {"later"}


def test_a_clip_that_a_pool_sends_twice_is_two_videos(sender):
    assert {sender.send("a", number) for number in range(40)} == {"s0"}
    later = []
    for number in (2, 1, 3, 0):
        try:
            sender.try_once("a", number)
        except Undecided:
            later.append(number)
        else:
            assert number == 0
    assert {sender.send("a", number, answered=False) for number in (*sorted(later), *range(4, 40))} == {"s1"}


def test_a_frame_of_a_quiet_video_is_no_repeat_where_another_goes_on_with_it(sender):
    for number in range(32):
        sender.send("a", number)
    for number in range(20):
        assert sender.send("a", number, shows=number + 0.5, after_s=0.1) == "s1"
    assert {sender.send("a", number) for number in range(20, 32)} == {"s1"}


def test_a_late_repeat_is_known_when_no_new_video_claims_it(sender):
    for number in range(40):
        sender.send("a", number)
    assert sender.send("a", 3) == "s0"


def test_a_new_video_may_begin_out_of_order(sender):
    for number in range(140):
        sender.send("a", number)
    assert {sender.send("b", number, answered=False) for number in (1, 0, 3, 2, 4)} == {"s1"}


def test_a_video_that_was_given_up_does_not_get_the_next_ones_frames(sender):
    for number in range(6):
        sender.send("a", number)
    sessions = {sender.send("b", number, after_s=3.0 if number == 0 else 0.05) for number in range(0, 40, 2)}
    assert sessions == {"s1"}


def test_a_forgotten_session_is_not_continued(sender):
    sender.send("a", 0)
    sender.streams.forget("s0")
    assert sender.send("a", 1) == "s1"


# ------------------------------------------------------------------- several at a time


def test_addresses_and_sizes_are_kept_apart(sender):
    sessions = {
        sender.send("a", 0),
        sender.send("a", 0, client="10.0.0.2"),
        sender.send("a", 0, width_px=720),
    }
    assert len(sessions) == 3
    assert sender.send("a", 1, client="10.0.0.2") == "s1"


@pytest.mark.parametrize("can_see", [True, False], ids=["with thumbnails", "by numbers alone"])
def test_two_videos_taking_turns_are_kept_apart(sender, can_see):
    sender.can_see = can_see
    for number in range(50):
        assert sender.send("a", number) == "s0"
        assert sender.send("b", number) == "s1"


def test_two_videos_that_keep_no_turns_are_kept_apart(sender):
    order = "abbaabbbaaabababbaabab" * 4
    numbers = {"a": count(), "b": count()}
    for name in order:
        assert sender.send(name, next(numbers[name])) == {"a": "s0", "b": "s1"}[name]


@pytest.mark.parametrize("can_see", [True, False], ids=["with thumbnails", "by numbers alone"])
def test_two_videos_at_different_places_are_kept_apart(sender, can_see):
    sender.can_see = can_see
    for number in range(30):
        assert sender.send("a", number) == "s0"
    for number in range(30):
        assert sender.send("b", number) == "s1"
        assert sender.send("a", 30 + number) == "s0"


def test_a_video_that_was_quiet_goes_on_where_it_was(sender):
    for number in range(50):
        sender.send("a", number)
    for number in range(20):
        sender.send("b", number, after_s=0.3)
    assert sender.send("a", 50) == "s0"


def test_videos_whose_numbers_are_far_apart_need_no_thumbnails(sender):
    for number in range(200):
        sender.send("a", number)
    for number in range(20):
        sender.send("b", number)
    wanted = sender.thumbnails_wanted
    sender.send("b", 20)
    sender.send("a", 200)
    assert sender.thumbnails_wanted == wanted


def test_a_repeat_is_told_from_another_videos_frame_of_that_number(sender):
    for number in range(10):
        sender.send("a", number)
    for number in range(9):
        sender.send("b", number)
    assert sender.send("a", 9) == "s0"
    assert sender.send("b", 9) == "s1"


# ------------------------------------------------------------- every frame says that it is 0


def test_unlike_pictures_that_all_say_0_are_independent(sender):
    assert len({sender.send(f"scene {number}", 0) for number in range(20)}) == 20


def test_pictures_that_all_say_0_and_continue_are_one_video(sender):
    placed = [sender.place(picture("a", number), 0, thumbnail=picture("a", number)) for number in range(30)]
    assert {frame.session_id for frame in placed} == {"s0"}
    assert [frame.frame_number for frame in placed] == list(range(30))
    assert [frame.begins for frame in placed] == [True] + [False] * 29


def test_a_repeat_of_a_picture_that_says_0_keeps_its_number(sender):
    for number in range(5):
        sender.send("a", 0, shows=number)
    again = sender.place(picture("a", 3), 0)
    assert (again.session_id, again.frame_number) == ("s0", 3)


def test_two_0s_that_are_open_together_are_two_videos(sender):
    assert sender.send("a", 0, answered=False) != sender.send("a", 0, shows=1, answered=False)


def test_without_thumbnails_0s_are_independent(sender):
    sender.can_see = False
    assert len({sender.send("a", 0, shows=number) for number in range(5)}) == 5


# ---------------------------------------------------------------------- bounds and restarts


def test_an_undecided_frame_may_be_dropped(sender):
    source = Source(client="10.0.0.1", width_px=640, height_px=360, thumbnail=picture("a", 3))
    with pytest.raises(Undecided):
        sender.streams.place(source, 3, digest=3, unanswered=lambda _: 0, now=0.0)
    sender.streams.drop(source, 3, digest=3)
    assert sender.send("a", 0) == "s0"
    assert sender.send("a", 1) == "s0"


def test_streams_are_bounded_and_the_quietest_goes_first(sender):
    for number in range(40):
        sender.send("kept", number)
        sender.send(f"scene {number}", 0)
    assert len(sender.streams) <= 16
    assert sender.send("kept", 40) == "s0"


def test_a_thumbnail_of_another_shape_counts_as_none(sender):
    sender.send("a", 0)
    assert sender.place(b"x" * 17, 1, thumbnail=b"x" * 17).session_id == "s0"


def test_a_recalled_video_goes_on_and_its_repeats_are_known(sender):
    for video, session in (("a", "old-a"), ("b", "old-b")):
        frames = [
            SeenFrame(number, hash(picture(video, number)), picture(video, number))
            for number in range(30, 40)
        ]
        source = Source(client="10.0.0.1", width_px=640, height_px=360)
        held = HeldSession(session_id=session, generation=1, epoch=1, frames=frames, source=source)
        sender.streams.recall(held, now=sender.now)

    assert sender.send("b", 39) == "old-b"
    assert sender.send("b", 40) == "old-b"
    assert sender.send("a", 40) == "old-a"
    assert sender.send("c", 0) == "s0"


def test_a_session_that_was_named_is_not_recalled_as_a_stream(sender):
    held = HeldSession(session_id="named", generation=1, epoch=1, frames=[SeenFrame(0, 1)], source=None)
    sender.streams.recall(held, now=0.0)
    assert len(sender.streams) == 0
