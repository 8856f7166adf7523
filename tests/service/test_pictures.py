"""Pictures of every kind through the whole service, good and broken; none of them stops it."""

from itertools import chain

import pytest

from client.backend import Backend
from tests.pictures import ACCEPTED, HEIGHT, WIDTH, mutated


@pytest.mark.parametrize("name", ACCEPTED)
def test_every_accepted_kind_is_answered(name: str, backend: Backend) -> None:
    answer = backend.pose(ACCEPTED[name][0], frame_number=0, session_id=name)

    assert answer.status == 200
    assert (answer.body()["frame_width"], answer.body()["frame_height"]) == (WIDTH, HEIGHT)
    assert answer.body()["keypoints"] == []
    assert answer.body()["error"]


def test_broken_pictures_are_refused_by_name_and_the_service_goes_on(backend: Backend) -> None:
    kinds = ("jpeg", "png", "palette png", "webp", "16-bit png")
    broken = chain.from_iterable(mutated(ACCEPTED[kind][0], 40, seed=11) for kind in kinds)

    answers = [
        backend.pose(picture, frame_number=number, session_id="broken")
        for number, picture in enumerate(picture for picture in broken if picture)
    ]

    assert {answer.status for answer in answers} == {200, 400}
    refused = [answer for answer in answers if answer.status == 400]
    assert {answer.body()["code"] for answer in refused} <= {
        "invalid_image",
        "truncated_image",
        "too_many_pixels",
    }
    assert all(answer.body()["error"] for answer in refused)
    assert backend.pose(ACCEPTED["png"][0], frame_number=0, session_id="after").status == 200
