"""Frames from Python: in order, several under way, typed, with failures by name."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

from client.results import FrameResult
from client.tracking import AsyncClient, Client
from client.window import FRAMES, Window
from tests.broker.running import BrokerProcess
from tests.client.running import PEOPLE, Worker, service
from tests.pictures import RGB, encoded
from tests.videos import corners
from wire.errors import Busy, DeadlineExceeded, InvalidImage, PoisonFrame


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
def broker(tmp_path: Path, worker: Worker) -> Iterator[BrokerProcess]:
    with service(tmp_path, worker) as running:
        yield running


@pytest.fixture
def client(broker: BrokerProcess) -> Iterator[Client]:
    with Client(broker.frames) as connected:
        yield connected


def check(results: list[FrameResult], worker: Worker, count: int) -> None:
    assert [result.frame_number for result in results] == list(range(count))
    for result in results:
        sent = worker.arrays(result.frame_number)
        assert [person.state for person in result.people] == PEOPLE
        assert result.primary is result.people[1]
        for row, person in enumerate(result.people):
            for name in ("rotations", "betas", "joints", "keypoints_2d", "angles"):
                np.testing.assert_array_equal(getattr(person, name), sent[name][row])
        assert result.people[0].vertices is None
        np.testing.assert_array_equal(result.primary.vertices, sent["vertices"][0])


def test_results_come_in_the_order_of_the_frames(client: Client, worker: Worker) -> None:
    results = list(client.track([corners(number) for number in range(30)], frames_per_second=25))

    check(results, worker, 30)
    assert len(worker.sessions) == 1
    assert [work["timestamp_ms"] for work in worker.works] == pytest.approx([40 * n for n in range(30)])


def test_encoded_pictures_and_arrays_may_be_mixed(client: Client, worker: Worker) -> None:
    check(list(client.track([encoded(RGB, "JPEG"), corners(), encoded(RGB, "PNG")])), worker, 3)


def test_no_more_frames_are_read_ahead_than_may_be_under_way(client: Client, worker: Worker) -> None:
    worker.open_until = 10
    numbers = itertools.count()
    read = []

    def frames() -> Iterator[np.ndarray]:
        for number in numbers:
            read.append(number)
            yield corners(number)

    results = client.track(frames())
    came = [next(results).frame_number for _ in range(10)]

    assert came == list(range(10))
    assert 12 <= len(read) <= 10 + FRAMES + 1
    worker.open_until = 10**9


def test_a_video_may_be_gone_on_with(client: Client, worker: Worker) -> None:
    list(client.track([corners()] * 3, session_id="dance"))
    list(client.track([corners()] * 2, session_id="dance", first_number=3))

    assert worker.numbers("dance") == [0, 1, 2, 3, 4]


def test_a_frame_that_fails_raises_its_failure(client: Client, worker: Worker) -> None:
    worker.failures = {2: "poison_frame"}
    results = client.track([corners()] * 5)

    assert [next(results).frame_number, next(results).frame_number] == [0, 1]
    with pytest.raises(PoisonFrame):
        next(results)


def test_what_is_no_picture_raises_before_it_is_sent(client: Client, worker: Worker) -> None:
    with pytest.raises(InvalidImage):
        list(client.track([b"GIF89a"]))
    assert worker.works == []


def test_a_frame_without_an_answer_raises_at_its_deadline(client: Client, worker: Worker) -> None:
    worker.open_until = 0
    with pytest.raises(DeadlineExceeded):
        list(client.track([corners()], deadline_s=0.2))
    worker.open_until = 1


def test_the_same_for_asyncio_with_frames_from_anywhere(broker: BrokerProcess, worker: Worker) -> None:
    async def frames() -> AsyncIterator[np.ndarray]:
        for number in range(20):
            await asyncio.sleep(0)
            yield corners(number)

    async def run() -> tuple[list[FrameResult], list[FrameResult]]:
        async with AsyncClient(broker.frames) as client:

            async def tracked(source: object) -> list[FrameResult]:
                return [result async for result in client.track(source)]

            one, two = await asyncio.gather(tracked(frames()), tracked([corners()] * 5))
            return one, two

    one, two = asyncio.run(run())

    check(one, worker, 20)
    check(two, worker, 5)


def test_asyncio_gets_failures_by_name_too(broker: BrokerProcess, worker: Worker) -> None:
    worker.failures = {1: "poison_frame"}

    async def run() -> list[int]:
        came = []
        async with AsyncClient(broker.frames) as client:
            with pytest.raises(PoisonFrame):
                async for result in client.track([corners()] * 3):
                    came.append(result.frame_number)
        return came

    assert asyncio.run(run()) == [0]


@pytest.mark.parametrize("is_async", [False, True])
def test_what_is_no_picture_raises_once_the_frames_before_it_are_told(
    broker: BrokerProcess, worker: Worker, is_async: bool
) -> None:
    source, came = [corners(), corners(), b"GIF89a", corners()], []

    def run() -> None:
        with Client(broker.frames) as client:
            for result in client.track(source):
                came.append(result.frame_number)

    async def run_async() -> None:
        async with AsyncClient(broker.frames) as client:
            async for result in client.track(source):
                came.append(result.frame_number)

    with pytest.raises(InvalidImage):
        asyncio.run(run_async()) if is_async else run()

    assert (came, worker.numbers()) == ([0, 1], [0, 1])


def test_a_busy_broker_narrows_the_window_to_one_frame_and_answers_open_it() -> None:
    window = Window({"max_queue_frames": 256, "max_session_frames": 64, "max_queue_bytes": 1000})
    assert [window.has_room(2, 0), window.has_room(1, 500), window.has_room(1, 501)] == [False, True, False]

    for _ in range(100):
        window.came_back()
    assert [window.has_room(FRAMES, 0), window.has_room(FRAMES + 1, 0)] == [True, False]

    assert 0 < window.busy_for_s(Busy("full", retry_after_s=60)) < 1
    assert not window.has_room(2, 0)


def test_videos_share_what_the_broker_holds() -> None:
    window = Window({"max_queue_frames": 40, "max_session_frames": 64, "max_queue_bytes": 1000}, videos=10)
    for _ in range(100):
        window.came_back()
    assert [window.has_room(2, 50), window.has_room(3, 0), window.has_room(1, 51)] == [True, False, False]
