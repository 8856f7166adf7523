"""Real videos that nobody named, sent two at a time from one address: every frame finds its own."""

import pytest

from tests.broker.arrivals import MODES, PAIRS, Sending, arrive, landed, video

IN_STRING_ORDER = pytest.mark.parametrize("string", [False, True], ids=["true order", "string order"])


@IN_STRING_ORDER
@pytest.mark.parametrize("mode", ["in turns", "one each", "four each", "four each, later", "four in all"])
@pytest.mark.parametrize("pair", PAIRS)
def test_two_videos_are_kept_apart(pair: str, mode: str, string: bool) -> None:
    run = landed(pair, mode, string=string, seed=0)

    assert run.misplaced() == 0
    assert run.counts["sessions"] == 2


@IN_STRING_ORDER
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", [1, 2])
def test_however_two_videos_of_different_scenes_are_sent(mode: str, string: bool, seed: int) -> None:
    run = landed("sports cam1", mode, string=string, seed=seed, jitter_s=0.03)

    assert run.misplaced() == 0


@IN_STRING_ORDER
@pytest.mark.parametrize("pair", ["cam1 cam2", "cam3 cam4", "cam1 cam4", "sports 0 145"])
def test_two_videos_in_turns_are_kept_apart_however_long_answers_take(pair: str, string: bool) -> None:
    assert landed(pair, "in turns", string=string, seed=0, held_up=1.0).misplaced() == 0


@pytest.mark.parametrize("mode", ["one each", "four each", "eight each", "four in all"])
def test_repeats_and_losses_move_nothing(mode: str) -> None:
    assert landed("cam3 cam4", mode, string=False, seed=0, repeats=0.05, lost=0.05).misplaced() == 0


@IN_STRING_ORDER
@pytest.mark.parametrize("in_flight", [1, 4, 8])
@pytest.mark.parametrize("clip", ["sports", "cam1", "cam2", "cam3", "cam4"])
def test_one_video_stays_one(clip: str, in_flight: int, string: bool) -> None:
    run = arrive([Sending(video("a", clip, 0, 100, string=string), in_flight=in_flight)])

    assert run.misplaced() == 0
    assert run.counts["sessions"] == 1


@pytest.mark.parametrize("in_flight", [1, 4])
def test_the_next_video_in_the_same_scene_is_another(in_flight: int) -> None:
    videos = [video(f"take {first}", "sports", first, first + 30) for first in (0, 60, 120, 180)]

    run = arrive([Sending([frame for take in videos for frame in take], in_flight=in_flight)])

    assert run.misplaced() == 0
    assert run.counts["sessions"] == 4


def test_a_burst_is_sent_twice_once() -> None:
    run = landed("cam1 cam2", "four each", string=False, seed=0)

    assert run.counts["thumbnails wanted"] <= 4


@pytest.mark.parametrize("clip", ["sports", "cam1", "cam2", "cam3", "cam4"])
def test_a_video_whose_frames_all_say_0_is_counted(clip: str) -> None:
    run = arrive([Sending(video("a", clip, 0, 60, step=0))])

    assert run.misplaced() <= 1  # the first ones may be too far from each other to be sure
    numbers = run.numbers["a"][run.misplaced() :]
    assert numbers == list(range(len(numbers)))
