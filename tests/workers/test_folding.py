"""Frames in hand become replies: each is folded once, and what is wrong with one is no other's business."""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from tests.fake_worker import body_arrays
from wire.errors import InvalidImage, PoseError
from wire.messages import Failure, Options, Result, Work
from workers.borrowing import Handed
from workers.folding import Folding
from workers.job import Job
from workers.memory_store import Memory, MemoryStore
from workers.pipeline import Drawn, Folded, FrameAnswer, FrameInput
from workers.replies import Reply
from workers.sessions import Codec, Sessions

_NOBODY = {name: array for name, array in body_arrays(people=0, meshes=0).items() if name != "vertices"}
_DRAWN = Drawn(np.zeros((0, 6890, 3), np.float32), None, {})


class CountingPipeline:
    """Counts frames; it decodes a picture only where one is to be drawn."""

    observer = SimpleNamespace(name="counting", model_version="counting")
    tracker = SimpleNamespace(name="counting")

    def fold(
        self, batch: Sequence[tuple[int, FrameInput]], *, on_progress: object
    ) -> list[Folded | PoseError]:
        del on_progress
        return [
            InvalidImage("broken")
            if bytes(frame.encoded) == b"broken"
            else Folded(count + 1, FrameAnswer(640, 360, [], None, count + 1, _NOBODY, {}), _DRAWN)
            for count, frame in batch
        ]

    def repeat(self, _answer: FrameAnswer, frame: FrameInput) -> Drawn:
        if frame.options.visualize:
            frame.decoded()
        return _DRAWN


@pytest.fixture
def folding() -> Folding:
    answers = {}

    def keep(answer: FrameAnswer) -> bytes:
        answers[len(answers)] = answer
        return bytes([len(answers) - 1])

    sessions = Sessions(
        store=MemoryStore(Memory(), "a", kept_answers=4, idle_s=300.0),
        start=int,
        states=Codec(lambda count: bytes([count]), lambda stored: stored[0]),
        answers=Codec(keep, lambda stored: answers[stored[0]]),
        kept_answers=4,
    )
    return Folding(pipeline=CountingPipeline(), sessions=sessions)


def job(session_id: str, number: int, picture: bytes = b"picture", *, visualize: bool = False) -> Job:
    work = Work(
        request_id=bytes(16),
        session_id=session_id,
        generation=1,
        epoch=1,
        continues=number > 0,
        frame_number=number,
        deadline_ms=1000,
        options=Options(visualize=visualize),
    )
    return Job(work, Handed(picture), decode)


def decode(_encoded: bytes) -> np.ndarray:
    raise InvalidImage("the memory that was lent holds something else by now")


def reply_to(told: Sequence[Reply], session_id: str) -> Result | Failure:
    [reply] = [reply for reply, _ in told if reply.session_id == session_id]
    return reply


def beat() -> None:
    """Nobody listens."""


def test_a_repeat_whose_picture_cannot_be_drawn_any_more_is_a_failure_and_the_others_go_on(
    folding: Folding,
) -> None:
    folding.replies([job("dance", 0)], beat)

    told = folding.replies([job("dance", 0, visualize=True), job("walk", 0)], beat)

    assert reply_to(told, "dance").code == "invalid_image"
    assert reply_to(told, "walk").folded == 1


def test_a_repeat_is_not_folded_again(folding: Folding) -> None:
    [(first, _)] = folding.replies([job("dance", 0)], beat)
    [(again, _)] = folding.replies([job("dance", 0)], beat)
    [(after, _)] = folding.replies([job("dance", 1)], beat)

    assert (first.num_persons_detected, again.num_persons_detected, after.num_persons_detected) == (1, 1, 2)


def test_a_picture_that_is_broken_leaves_the_sessions_as_they_were(folding: Folding) -> None:
    told = folding.replies([job("dance", 0, b"broken"), job("walk", 0)], beat)

    assert reply_to(told, "dance").code == "invalid_image"
    assert reply_to(told, "walk").num_persons_detected == 1
    [(after, _)] = folding.replies([job("dance", 0)], beat)
    assert after.num_persons_detected == 1
