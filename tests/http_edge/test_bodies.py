"""The body of a request is whole, in whatever pieces it comes, and takes nothing of what follows."""

import tracemalloc

from hypothesis import given
from hypothesis import strategies as st

from http_edge.bodies import AnnouncedBody

sizes = st.integers(0, 40_000)


@given(st.lists(sizes, max_size=12), sizes)
def test_a_body_is_what_came_up_to_its_length(pieces: list[int], more: int) -> None:
    stream = b"".join(bytes([number]) * size for number, size in enumerate(pieces))
    body, at = AnnouncedBody(len(stream)), 0
    for size in [*pieces, more]:
        came = (stream + b"the next request" * 2500)[at : at + size]
        at += body.received(came)

    assert body.completed
    assert at == len(stream)
    assert body.getfile().read() == stream


@given(st.integers(1, 100), st.integers(0, 99))
def test_a_body_is_not_complete_before_all_has_come(length: int, came: int) -> None:
    body = AnnouncedBody(length)
    body.received(bytes(min(came, length)))
    assert body.completed is (came >= length)


def test_a_body_in_very_small_pieces_takes_little_more_than_its_length() -> None:
    tracemalloc.start()
    body = AnnouncedBody(100_000)
    for _ in range(100_000):
        body.received(b"x")
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert held_bytes < 200_000
    assert body.getfile().read() == b"x" * 100_000
