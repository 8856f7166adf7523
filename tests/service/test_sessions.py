"""Videos over several connections: whatever the order of arrival, each gives what it gives alone."""

import random
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from client.private_service import PrivateService, private_service
from tools.chaos.clips import LANDSCAPE, pictures
from tools.chaos.traffic import Received, Sender
from tools.clip import clip_path

FRAMES = 32

#: Where a clip is cut into videos of one size: the file, and the first frame of each.
CUTS = {
    "rider": ("sports2d_demo.mp4", 60),
    "later": ("sports2d_demo.mp4", 152),
    "coach": ("pose2sim_cam01.mp4", 20),
}

Fields = Sequence[Mapping[str, bytes]]


def differences(answers: Sequence[Received], expected: Fields) -> Mapping[int, set[str]]:
    """The frames that are refused or differ, with the names of the fields that do."""
    return {
        answer.frame_number: differing
        for answer, fields in zip(answers, expected, strict=True)
        if (differing := {name for name in fields if answer.fields.get(name) != fields[name]})
    }


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateService]:
    """One that waits for missing frames as long as a busy machine may take to send them.

    Every frame comes here; that a frame which never comes is waited for no longer than that is proved of
    the broker's order, whose time is an argument.
    """
    log = tmp_path_factory.mktemp("service") / "service.log"
    with private_service(log, {"POSE_WORKERS": "2", "POSE_GAP_WAIT_S": "30"}) as running:
        yield running


@pytest.fixture(scope="module")
def videos() -> Mapping[str, list[bytes]]:
    return {
        name: pictures(clip_path(clip), first=first, last=first + FRAMES - 1, size=LANDSCAPE)
        for name, (clip, first) in CUTS.items()
    }


@pytest.fixture(scope="module")
def alone(service: PrivateService, videos: Mapping[str, list[bytes]]) -> Mapping[str, Fields]:
    """What each video gives when it is sent by itself, frame by frame, under its name."""
    with Sender(service, in_flight=1) as sender:
        answers = {name: sender.send(frames, session_id=f"{name} alone") for name, frames in videos.items()}
    assert {answer.status for received in answers.values() for answer in received} == {200}
    return {name: [answer.fields for answer in received] for name, received in answers.items()}


def shuffled(count: int, *, window: int, seed: int) -> list[int]:
    """Frame numbers in an order in which none comes `window` or more places later than its own."""
    chance = random.Random(seed)
    waiting, order = list(range(count)), []
    while waiting:
        late = waiting[0] <= len(order) - (window - 1)
        order.append(waiting.pop(0 if late else chance.randrange(min(window, len(waiting)))))
    return order


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_eight_in_flight_in_any_order_give_what_the_true_order_gives(
    service: PrivateService, videos: Mapping[str, list[bytes]], alone: Mapping[str, Fields], seed: int
) -> None:
    order = shuffled(FRAMES, window=8, seed=seed)

    with Sender(service, in_flight=8) as sender:
        answers = sender.send(videos["rider"], session_id=f"shuffled {seed}", order=order)

    assert order != sorted(order)
    assert differences(answers, alone["rider"]) == {}


def test_a_pool_of_ten_connections_never_meets_a_refusal(
    service: PrivateService, videos: Mapping[str, list[bytes]], alone: Mapping[str, Fields]
) -> None:
    with Sender(service, in_flight=10) as sender:
        answers = sender.send(videos["rider"], session_id="pool of ten")

    assert differences(answers, alone["rider"]) == {}


@pytest.mark.parametrize("pair", [("rider", "coach"), ("rider", "later")], ids=" and ".join)
def test_two_unnamed_videos_sent_in_turns_are_two_sessions(
    service: PrivateService,
    videos: Mapping[str, list[bytes]],
    alone: Mapping[str, Fields],
    pair: tuple[str, str],
) -> None:
    answers: Mapping[str, list[Received]] = {name: [] for name in pair}
    with Sender(service, in_flight=1) as sender:
        for number in range(FRAMES):
            for name in pair:
                answers[name].append(sender.ask(videos[name][number], number))

    assert_each_is_a_session_like_alone(answers, alone)


def test_two_unnamed_videos_with_four_in_flight_each_are_two_sessions(
    service: PrivateService, videos: Mapping[str, list[bytes]], alone: Mapping[str, Fields]
) -> None:
    """Of different scenes, and their first frames are answered before the others are sent.

    Where a machine stands still for longer than the broker waits in doubt, frames of one scene or of no
    known video cannot be told apart: that they are while it does not, its streams' own tests prove, whose
    time is an argument.
    """
    pair = ("rider", "coach")
    first = {}
    with Sender(service, in_flight=1) as sender:
        for name in pair:
            first[name] = sender.ask(videos[name][0], 0)

    def send(name: str) -> list[Received]:
        with Sender(service, in_flight=4) as sender:
            return [first[name], *sender.send(videos[name], order=range(1, FRAMES))]

    with ThreadPoolExecutor(2) as pool:
        answers = dict(zip(pair, pool.map(send, pair), strict=True))

    assert_each_is_a_session_like_alone(answers, alone)


def assert_each_is_a_session_like_alone(
    answers: Mapping[str, Sequence[Received]], alone: Mapping[str, Fields]
) -> None:
    sessions = [{answer.session_id for answer in received} for received in answers.values()]
    assert [len(ids) for ids in sessions] == [1, 1]
    assert sessions[0] != sessions[1]
    for name, received in answers.items():
        assert differences(received, alone[name]) == {}
