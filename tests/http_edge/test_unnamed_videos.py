"""Videos without a session id over real HTTP: each is a session; thumbnails are made where wanted."""

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from http_edge.asking import RecentlyWanted
from tests.fake_worker import FakeWorker, answer
from tests.http_edge.running import Edge, wait_for
from wire import thumbnail
from wire.messages import Source

FRAMES = 24
SIZE = (320, 180)


def scene(seed: int) -> list[bytes]:
    """A video: a light square moves through a scene; JPEG pictures."""
    background = np.random.default_rng(seed).integers(40, 200, size=(9, 16, 3), dtype=np.uint8)
    pictures = []
    for number in range(FRAMES):
        frame = PillowImage.fromarray(background).resize(SIZE)
        frame.paste((255, 255, 255), (10 + number, 60, 40 + number, 120))
        stream = io.BytesIO()
        frame.save(stream, "JPEG", quality=90)
        pictures.append(stream.getvalue())
    return pictures


VIDEOS = {"rider": scene(1), "coach": scene(2)}


class Seen:
    """A worker's answers, and the sources of the frames that it was given."""

    def __init__(self) -> None:
        self.sources: dict[tuple[str, int], dict[str, Any]] = {}

    def __call__(self, work: dict[str, Any], image: bytes) -> list[bytes] | None:
        self.sources[work["session_id"], work["frame_number"]] = work["source"]
        return answer(work, image)


def session(edge: Edge, video: str, number: int) -> str:
    reply = edge.pose(VIDEOS[video][number], frame_number=number)
    assert reply.status == 200, reply.body
    assert reply.body["frame_number"] == number
    return reply.body["tracking"]["session_id"]


def events(edge: Edge, event: str) -> float:
    return edge.metric(f'everyframe_broker_events_total{{event="{event}"}}')


def test_two_videos_sent_in_turns_are_two_sessions(fresh_edge: Edge) -> None:
    seen = Seen()
    with FakeWorker(fresh_edge.workers_address, answers=seen):
        fresh_edge.wait_until_ready()
        sessions: dict[str, set[str]] = {"rider": set(), "coach": set()}
        for number in range(FRAMES):
            for video, ids in sessions.items():
                ids.add(session(fresh_edge, video, number))

        assert [len(ids) for ids in sessions.values()] == [1, 1]
        assert sessions["rider"] != sessions["coach"]
        rows, columns = thumbnail.shape(*SIZE)
        assert {len(source["thumbnail"]) for source in seen.sources.values()} == {rows * columns}


def test_two_videos_with_four_in_flight_each_are_two_sessions(fresh_edge: Edge) -> None:
    with FakeWorker(fresh_edge.workers_address), ThreadPoolExecutor(8) as pool:
        fresh_edge.wait_until_ready()
        sent = [
            (video, pool.submit(session, fresh_edge, video, number))
            for number in range(FRAMES)
            for video in VIDEOS
        ]
        sessions = {name: {future.result() for video, future in sent if video == name} for name in VIDEOS}

    assert [len(ids) for ids in sessions.values()] == [1, 1]
    assert sessions["rider"] != sessions["coach"]


def test_a_frame_is_sent_again_with_a_thumbnail_once_a_burst(fresh_edge: Edge) -> None:
    with FakeWorker(fresh_edge.workers_address):
        fresh_edge.wait_until_ready()
        burst = 6  # well within the seconds for which thumbnails are made unasked
        for number in range(burst):
            session(fresh_edge, "rider", number)

        # The 0 had its thumbnail from the start, 1 was asked for its own, and the others had theirs.
        wait_for(lambda: events(fresh_edge, "accepted") == burst)
        assert events(fresh_edge, "thumbnails_wanted") == 1
        assert fresh_edge.metric("everyframe_thumbnail_seconds_count") == burst
        assert fresh_edge.metric("everyframe_streams") == 1


def test_who_names_his_session_pays_for_no_thumbnail(fresh_edge: Edge) -> None:
    with FakeWorker(fresh_edge.workers_address):
        fresh_edge.wait_until_ready()
        for number in range(3):
            fresh_edge.pose(VIDEOS["rider"][number], frame_number=number, session_id="named")
        assert fresh_edge.metric("everyframe_thumbnail_seconds_count") == 0


def test_a_broken_picture_is_refused_by_the_worker_for_what_it_is(fresh_edge: Edge) -> None:
    seen = Seen()
    with FakeWorker(fresh_edge.workers_address, answers=seen):
        fresh_edge.wait_until_ready()
        fresh_edge.pose(VIDEOS["rider"][0][:600], frame_number=0)

    assert [source["thumbnail"] for source in seen.sources.values()] == [b""]


@pytest.mark.parametrize(("later_s", "included"), [(5.0, True), (15.0, False)])
def test_thumbnails_are_made_unasked_only_for_a_while(later_s: float, included: bool) -> None:
    wanted = RecentlyWanted()
    wanted.note(Source(client="10.0.0.1", width_px=64, height_px=36), now=100.0)
    assert (
        wanted.includes(Source(client="10.0.0.1", width_px=64, height_px=36), now=100.0 + later_s) == included
    )
    assert not wanted.includes(Source(client="10.0.0.2", width_px=64, height_px=36), now=100.0)


def test_whose_thumbnails_were_wanted_is_remembered_for_so_many_only() -> None:
    wanted = RecentlyWanted()
    for number in range(3000):
        wanted.note(Source(client=str(number)), now=100.0)
    included = [wanted.includes(Source(client=str(number)), now=100.0) for number in range(3000)]
    assert included == [False] * (3000 - 1024) + [True] * 1024
