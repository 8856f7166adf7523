"""Pictures of requests are lent to workers who can read the edge's memory, and to nobody else."""

import numpy as np
import pytest
from PIL import Image as PillowImage

from http_edge.lent import Owners
from tests.fake_worker import FakeWorker
from tests.http_edge.borrower import Borrower
from tests.http_edge.running import Edge, Reply, picture
from tests.pictures import encoded
from wire import lending
from wire.messages import Result


def large(seed: int) -> bytes:
    """Noise, which no format makes small."""
    pixels = np.random.default_rng(seed).integers(0, 256, (200, 200, 3), np.uint8)
    return encoded(PillowImage.fromarray(pixels), "PNG")


def asked(edge: Edge, worker: Borrower, pictures: list[bytes], *, memory: str | None = None) -> list[Reply]:
    """The answers to these pictures, one after the other."""
    memory = lending.memory() if memory is None else memory
    with FakeWorker(edge.workers_address, answers=worker, memory=memory):
        edge.wait_until_ready()
        return [
            edge.pose(content, session_id="dance", frame_number=number)
            for number, content in enumerate(pictures)
        ]


def test_a_worker_reads_pictures_where_they_lie_in_memory_that_is_used_again(fresh_edge: Edge) -> None:
    worker, pictures = Borrower(), [large(seed) for seed in range(4)]
    replies = asked(fresh_edge, worker, pictures)

    assert [reply.status for reply in replies] == [200] * 4
    assert worker.pictures == pictures
    first, second, *others = worker.names
    assert None not in worker.names
    assert others == [second, second]
    assert first != second, "nobody had answered for the session yet, so a former owner might be reading"


def test_small_pictures_are_sent(fresh_edge: Edge) -> None:
    worker = Borrower()
    asked(fresh_edge, worker, [picture()])
    assert worker.names == [None]


def test_a_worker_elsewhere_gets_the_bytes(fresh_edge: Edge) -> None:
    worker = Borrower()
    replies = asked(fresh_edge, worker, [large(0)], memory="another machine's")

    assert [reply.status for reply in replies] == [200]
    assert worker.names == [None]


def test_who_cannot_read_what_is_lent_gets_the_bytes_from_then_on(fresh_edge: Edge) -> None:
    worker, pictures = Borrower(gone=lambda lent: lent), [large(seed) for seed in range(3)]
    replies = asked(fresh_edge, worker, pictures)

    assert [reply.status for reply in replies] == [200] * 3
    assert worker.skipped == [0] * 4
    assert worker.pictures == pictures
    assert worker.names[0] is not None
    assert worker.names[1:] == [None] * 3


def test_what_another_program_had_lent_for_the_frame_is_sent_once_more(fresh_edge: Edge) -> None:
    failures = [True, False]
    worker = Borrower(gone=lambda _lent: failures.pop(0))
    (reply,) = asked(fresh_edge, worker, [picture()])

    assert reply.status == 200
    assert worker.names == [None, None]


@pytest.mark.parametrize(
    ("epochs", "may_write_again"),
    [
        pytest.param([7], [False], id="the first answer"),
        pytest.param([7, 7, 7], [False, True, True], id="the same owner"),
        pytest.param([7, 7, 9, 9], [False, True, False, True], id="another owner"),
    ],
)
def test_memory_is_written_again_only_where_its_reader_is_known(
    epochs: list[int], may_write_again: list[bool]
) -> None:
    owners = Owners()
    told = [
        owners.answered_before(result(epoch), sent_at=float(at), now=at + 0.5)
        for at, epoch in enumerate(epochs)
    ]
    assert told == may_write_again


def test_who_answered_first_after_a_frame_was_sent_may_not_be_its_only_reader() -> None:
    owners = Owners()
    owners.answered_before(result(9), sent_at=0.0, now=2.0)
    assert not owners.answered_before(result(9), sent_at=1.0, now=3.0)


def result(epoch: int) -> Result:
    return Result(
        request_id=bytes(16), session_id="dance", epoch=epoch, frame_number=0, width_px=1, height_px=1,
        people=[], primary=None, history="complete", num_persons_detected=0, num_tracks=0,
        observer="", tracker="", model_version="", stages_ms={}, arrays=[],
    )  # fmt: skip
