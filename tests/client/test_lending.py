"""Pictures are lent to workers that can read them, and sent as bytes to all others."""

import asyncio
import threading
from collections.abc import Set
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest

from client.__main__ import main
from client.tracking import AsyncClient, Client
from tests.broker.running import running_broker
from tests.client.running import Worker, everyframe, service
from tests.fake_worker import FakeWorker
from wire import lending
from wire.errors import PictureGone


def shown(number: int) -> np.ndarray:
    """A frame that is large enough to be lent, and tells its number."""
    picture = np.full((180, 320, 3), number, np.uint8)
    picture[::2] = 255 - number
    return picture


def encoded(number: int) -> bytes:
    """The same as it travels, by the protocol's page."""
    return b"P6\n320 180\n255\n" + shown(number).tobytes()


class Borrower(Worker):
    """Reads lent pictures as the protocol's page says, and fails those of `gone` once."""

    def __init__(self, *, gone: Set[int] = frozenset()) -> None:
        super().__init__()
        self.came: list[tuple[int, bool]] = []  # number, lent
        self.is_whole = True  # every picture was the one of its number
        self.folded: list[int] = []
        self.forgives = False  # fails each of them once only
        self._gone = set(gone)

    def __call__(self, work: dict[str, Any], image: bytes) -> list[bytes] | None:
        number, lent = work["frame_number"], image.startswith(b"EFMEM1\n")
        self.came.append((number, lent))
        if lent and number in self._gone:
            self.failures[number] = "picture_gone"
            if self.forgives:
                self._gone.remove(number)
        else:
            self.failures.pop(number, None)
            self.folded.append(number)
        if lent:
            told = msgpack.unpackb(image[7:])
            with Path(f"/proc/{told['process']}/fd/{told['descriptor']}").open("rb") as file:
                image = file.read(told["size"])
        self.is_whole &= image == encoded(number)
        return super().__call__(work, image)


def frames(count: int) -> list[np.ndarray]:
    return [shown(number) for number in range(count)]


def test_workers_read_the_frames_of_an_array_where_they_lie(tmp_path: Path) -> None:
    worker = Borrower()
    with (
        service(tmp_path, worker, memory=lending.memory()) as broker,
        Client(broker.frames) as client,
    ):
        results = list(client.track(frames(30)))

    assert [result.frame_number for result in results] == list(range(30))
    assert worker.came == [(number, True) for number in range(30)]
    assert worker.is_whole


def test_an_array_may_change_once_the_next_one_is_asked_for(tmp_path: Path) -> None:
    worker, array = Borrower(), shown(0)

    def one_array() -> Any:
        for number in range(20):
            array[...] = shown(number)
            yield array

    with service(tmp_path, worker, memory=lending.memory()) as broker, Client(broker.frames) as client:
        assert len(list(client.track(one_array()))) == 20
    assert worker.is_whole


def test_a_worker_elsewhere_gets_the_bytes(tmp_path: Path) -> None:
    worker = Borrower()
    with service(tmp_path, worker, memory="another machine's") as broker, Client(broker.frames) as client:
        list(client.track(frames(5)))

    assert worker.came == [(number, False) for number in range(5)]


def test_what_could_not_be_read_is_sent_as_bytes_in_its_order(tmp_path: Path) -> None:
    worker = Borrower(gone=set(range(7, 20)))
    with service(tmp_path, worker, memory=lending.memory()) as broker, Client(broker.frames) as client:
        results = list(client.track(frames(20)))

    assert [result.frame_number for result in results] == list(range(20))
    assert worker.folded == list(range(20))
    assert worker.is_whole


def test_a_session_whose_order_is_lost_is_not_gone_on_with(tmp_path: Path) -> None:
    worker = Borrower(gone={7})
    with (
        service(tmp_path, worker, memory=lending.memory()) as broker,
        Client(broker.frames) as client,
        pytest.raises(PictureGone),
    ):
        list(client.track(frames(20)))


def test_a_video_whose_order_is_lost_is_begun_anew(tmp_path: Path) -> None:
    worker, folder = Borrower(gone={7}), tmp_path / "stills"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.ppm").write_bytes(encoded(number))
    (tmp_path / "run").mkdir(mode=0o700)
    with service(tmp_path / "run", worker, memory=lending.memory()) as broker:
        words = ["--endpoint", broker.frames, "-q", str(folder), "-o", str(tmp_path / "out.npz")]
        worker.forgives = True
        assert main(words) == 0

    assert len(worker.sessions) == 2
    assert worker.folded[-12:] == list(range(12))


def test_who_says_that_he_can_read_and_cannot_gets_bytes_from_then_on(tmp_path: Path) -> None:
    worker = Borrower(gone=set(range(100)))
    with service(tmp_path, worker, memory=lending.memory()) as broker, Client(broker.frames) as client:
        results = list(client.track(frames(20)))

    assert len(results) == 20
    assert [number for number, lent in worker.came if lent] == [0]


def test_asyncio_lends_too(tmp_path: Path) -> None:
    worker = Borrower(gone=set(range(7, 20)))

    async def run(endpoint: str) -> int:
        async with AsyncClient(endpoint) as client:
            return len([result async for result in client.track(frames(20))])

    with service(tmp_path, worker, memory=lending.memory()) as broker:
        assert asyncio.run(run(broker.frames)) == 20
    assert worker.folded == list(range(20))
    assert {number for number, lent in worker.came if not lent} >= set(range(7, 15))


def test_memory_is_not_written_again_where_the_session_has_moved(tmp_path: Path) -> None:
    names: dict[int, list[str]] = {}
    stuck, lock = threading.Event(), threading.Lock()

    def note(work: dict[str, Any], image: bytes) -> None:
        with lock:
            names.setdefault(work["frame_number"], []).append(msgpack.unpackb(image[7:])["name"])

    def stops_at_ten(work: dict[str, Any], image: bytes) -> list[bytes] | None:
        note(work, image)
        if work["frame_number"] >= 10:
            stuck.set()
            return None
        return answering(work, pictures[work["frame_number"]])

    def goes_on(work: dict[str, Any], image: bytes) -> list[bytes] | None:
        note(work, image)
        return answering(work, pictures[work["frame_number"]])

    answering = Worker()
    pictures = [encoded(number) for number in range(40)]
    with running_broker(tmp_path) as broker, Client(broker.frames) as client:
        memory = lending.memory()
        with FakeWorker(broker.workers, answers=stops_at_ten, memory=memory):
            while not client.status().workers:
                pass
            results = client.track(frames(40))
            came = [next(results) for _ in range(10)]
            assert stuck.wait(30)
        with FakeWorker(broker.workers, answers=goes_on, memory=memory):
            came += results

    assert len(came) == 40
    held_by_the_first = {name for number in range(10, 18) for name in names.get(number, [])[:1]}
    written_later = {name for number in range(18, 40) for name in names[number]}
    assert len(names[10]) == 2
    assert held_by_the_first
    assert not held_by_the_first & written_later


def test_the_command_lends_too(tmp_path: Path) -> None:
    worker, folder = Borrower(), tmp_path / "stills"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.ppm").write_bytes(encoded(number))
    (tmp_path / "run").mkdir(mode=0o700)
    with service(tmp_path / "run", worker, memory=lending.memory()) as broker:
        process = everyframe(broker, folder, "-o", tmp_path / "out", "-q")
        output, _ = process.communicate(timeout=60)

    assert process.returncode == 0, output
    assert worker.came == [(number, True) for number in range(12)]
    assert worker.is_whole
