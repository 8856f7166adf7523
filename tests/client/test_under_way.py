"""What is sent of a video, sent again and told, whoever carries it: threads and asyncio alike."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from client import pictures
from client.pictures import Picture
from client.under_way import Interrupted, OrderLost, Question, Request, UnderWay
from wire import lending
from wire.errors import Busy, DeadlineExceeded, ModelNotLoaded, PictureGone, PoisonFrame, PoseError
from wire.exchange import Answer
from wire.messages import Result
from wire.shelf import Shelf


class OpenTraffic:
    """Lets everything through, and waits a second where the broker is busy."""

    def __init__(self, busy_s: float | None = 1.0) -> None:
        self.came = 0
        self._busy_s = busy_s

    def has_room(self, frames: int, size_bytes: int) -> bool:
        return frames <= 3 and size_bytes <= 10**6

    def wait_for_turn(self, go_on: Callable[[], None]) -> None:
        go_on()

    def came_back(self) -> None:
        self.came += 1

    def busy_for_s(self, _error: Busy) -> float | None:
        return self._busy_s


def picture(number: int, side: int = 200) -> Picture:
    image = np.full((side, side, 3), number, np.uint8)
    return pictures.of_array(image, number=number, time_s=number / 25)


def answer_to(request: Request, epoch: int = 1) -> Answer:
    fields: dict[str, Any] = {
        "request_id": request.frame.request_id, "session_id": "dance", "epoch": epoch,
        "frame_number": request.frame.frame_number, "width_px": 1, "height_px": 1, "people": [],
        "primary": None, "history": "complete", "num_persons_detected": 0, "num_tracks": 0, "observer": "",
        "tracker": "", "model_version": "", "stages_ms": {}, "arrays": [],
    }  # fmt: skip
    return Answer(Result(**fields), [])


def under_way(traffic: OpenTraffic | None = None, shelf: Shelf | None = None, frames: int = 3) -> UnderWay:
    course = UnderWay(Question("dance", "test"), traffic or OpenTraffic(), shelf)
    for number in range(frames):
        course.add(picture(number))
    return course


def settle(course: UnderWay, requests: list[Request], *came: PoseError | None) -> None:
    """Each with its answer (None), or with its failure."""
    for request, failure in zip(requests, came, strict=True):
        course.settle(request.frame.request_id, failure or answer_to(request))


def told(course: UnderWay, now: float = 0.0) -> list[int]:
    """The numbers of the frames that are told now."""
    numbers = []
    while course and (outcome := course.next(now=now)):
        numbers.append(outcome.picture.number)
    return numbers


def numbers(requests: list[Request]) -> list[int]:
    return [request.frame.frame_number for request in requests]


def test_each_frame_is_sent_once_and_told_in_order() -> None:
    course = under_way()
    requests = course.requests(now=0.0)
    assert numbers(requests) == [0, 1, 2]
    assert course.requests(now=0.0) == []

    settle(course, requests[1:], None, None)
    assert told(course) == []
    settle(course, requests[:1], None)
    assert told(course) == [0, 1, 2]
    assert not course


def test_traffic_decides_by_all_that_is_under_way() -> None:
    course = under_way(frames=2)
    assert course.has_room(picture(2))
    assert not course.has_room(picture(2, side=600))

    course.add(picture(2))
    assert not course.has_room(picture(3))


def test_a_frame_that_fails_by_its_own_fault_has_its_failure_for_an_answer() -> None:
    course = under_way(frames=1)
    settle(course, course.requests(now=0.0), PoisonFrame("it ended two workers"))
    outcome = course.next(now=0.0)
    assert outcome is not None
    assert isinstance(outcome.answer, PoisonFrame)


def test_what_a_busy_broker_refused_goes_once_more_when_it_is_its_turn() -> None:
    course = under_way()
    first = course.requests(now=0.0)
    settle(course, first, Busy("full"), None, Busy("full"))

    assert told(course, now=5.0) == []
    assert course.requests(now=5.0) == []
    assert course.wait_s(now=5.25) == 0.75
    again = course.requests(now=6.0)
    assert numbers(again) == [0]
    assert again[0].frame.request_id != first[0].frame.request_id
    assert course.wait_s(now=6.0) is None

    settle(course, again, None)
    assert told(course, now=6.0) == [0, 1]
    assert numbers(course.requests(now=7.0)) == [2]


@pytest.mark.parametrize("error", [DeadlineExceeded(""), ModelNotLoaded(""), Busy("", retry_after_s=3.0)])
def test_where_the_service_fails_nothing_after_the_last_answer_counts(error: PoseError) -> None:
    course = under_way(OpenTraffic(busy_s=None))
    settle(course, course.requests(now=0.0), None, error, None)
    assert course.next(now=0.0) is not None
    with pytest.raises(Interrupted) as interrupted:
        course.next(now=0.0)
    assert interrupted.value.reason is error


def test_what_could_not_be_read_is_sent_as_bytes_once_all_are_settled() -> None:
    shelf = Shelf(128)
    course = under_way(shelf=shelf)
    requests = course.requests(now=0.0)
    assert all(lending.reference_in(request.payload) for request in requests)
    settle(course, requests[:2], PictureGone("away"), PictureGone("away"))
    assert told(course) == []
    assert course.requests(now=0.0) == []

    settle(course, requests[2:], Busy("full"))
    assert told(course) == []
    again = course.requests(now=0.0)

    assert numbers(again) == [0, 1, 2]
    assert [request.payload for request in again] == [picture(number).encoded for number in range(3)]
    settle(course, again, None, None, None)
    assert told(course) == [0, 1, 2]


def test_order_is_lost_where_a_later_frame_was_folded() -> None:
    course = under_way(shelf=Shelf(128))
    settle(course, course.requests(now=0.0), PictureGone("away"), None, PictureGone("away"))
    with pytest.raises(OrderLost):
        course.next(now=0.0)


def test_who_gives_up_has_nothing_under_way_and_late_answers_do_not_matter() -> None:
    traffic = OpenTraffic()
    course = under_way(traffic)
    requests = course.requests(now=0.0)
    settle(course, requests[:1], None)

    course.give_up()
    settle(course, requests, None, None, None)

    assert (len(course), traffic.came) == (0, 3)


def test_memory_is_used_again_only_where_the_owner_stayed() -> None:
    course = UnderWay(Question("dance", "test"), OpenTraffic(), Shelf(128))
    names = []
    for number, epoch in enumerate([1, 1, 1, 2, 2, 2]):
        course.add(picture(number))
        (request,) = course.requests(now=0.0)
        reference = lending.reference_in(request.payload)
        assert reference is not None
        names.append(reference.name)
        course.settle(request.frame.request_id, answer_to(request, epoch))
        assert told(course) == [number]

    assert names[1] != names[0]  # nobody knows whether the first was read by who had it before
    assert names[3] == names[2] == names[1]
    assert names[4] != names[3]
    assert names[5] == names[4]
