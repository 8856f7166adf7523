"""Requests that a proxy before the service could read otherwise are refused, and what follows them unread.

Raw bytes over a socket. Each request is followed by another one, `SMUGGLED`, which one reader would take for
a body and another for a request: it must never be answered.
"""

import json
import re
import socket

import pytest

from tests.http_edge.running import WITHIN_S, Edge

SMUGGLED = b"GET /nothing/lives/here HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /pose/hybrid HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
GET = b"GET /health HTTP/1.1\r\nHost: x\r\n"


def said_to(edge: Edge, request: bytes) -> list[bytes]:
    """The statuses of all that is answered until the service closes the connection."""
    with socket.create_connection(("127.0.0.1", edge.port), timeout=WITHIN_S) as raw:
        raw.sendall(request)
        reply = b"".join(iter(lambda: raw.recv(65536), b""))
    assert json.loads(reply.rpartition(b"\r\n\r\n")[2]).keys() == {"error", "code", "frame_number"}
    return re.findall(rb"HTTP/1\.[01] (\d{3}) ", reply)


@pytest.mark.parametrize(
    "request_text",
    [
        pytest.param(POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", id="two lengths, alike"),
        pytest.param(POST + b"Content-Length: 2\r\nContent-Length: 50\r\n\r\n{}", id="two lengths"),
        pytest.param(POST + b"Content-Length: 2, 2\r\n\r\n{}", id="a list of lengths"),
        pytest.param(POST + b"Content-Length: +2\r\n\r\n{}", id="a signed length"),
        pytest.param(POST + b"Content-Length: 0x2\r\n\r\n{}", id="a hexadecimal length"),
        pytest.param(POST + b"Content-Length: 2 2\r\n\r\n{}", id="a length with a space in it"),
        pytest.param(POST + b"Content-Length : 2\r\n\r\n{}", id="a space before the colon"),
        pytest.param(
            POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="length and coding"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", id="coding and length"
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="two codings",
        ),
        pytest.param(
            POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", id="chunked twice in one header"
        ),
        pytest.param(
            POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="a coding with HTTP/1.0",
        ),
        pytest.param(POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", id="a folded coding"),
        pytest.param(GET + b"X-Header: a\r\n b\r\n\r\n", id="a folded header"),
        pytest.param(GET + b"X-Header: a\r\n\tContent-Length: 50\r\n\r\n", id="a length folded away"),
        pytest.param(GET + b"X-Header: a\nContent-Length: 50\r\n\r\n", id="a bare LF in the headers"),
        pytest.param(GET + b"X-Header: a\rContent-Length: 50\r\n\r\n", id="a bare CR in the headers"),
        pytest.param(b"GET /health HTTP/1.1\nHost: x\r\n\r\n", id="a bare LF after the request line"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n\r\n\r\n", id="bare LF in chunks"
        ),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", id="negative chunk"),
        pytest.param(GET + b"X-Null: a\0b\r\n\r\n", id="a null in a header"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_with_all_that_follows(
    edge: Edge, request_text: bytes
) -> None:
    assert said_to(edge, request_text + SMUGGLED) == [b"400"]


@pytest.mark.parametrize(
    "coding", [b"identity", b"gzip, chunked", b"\x0bchunked", b"xchunked", b"chunked;q=1"]
)
def test_other_codings_are_refused_with_all_that_follows(edge: Edge, coding: bytes) -> None:
    (status,) = said_to(edge, POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n" + SMUGGLED)
    assert status in (b"400", b"501")


def test_a_header_that_only_resembles_content_length_is_not_one(edge: Edge) -> None:
    request = POST + b"Content_Length: 50\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"
    assert said_to(edge, request) == [b"400"]  # `no_image`: two bytes were read


def test_chunks_alone_are_read_as_ever(edge: Edge) -> None:
    request = POST + b"Connection: close\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    assert said_to(edge, request) == [b"400"]  # `no_image`


def test_requests_that_follow_each_other_in_one_piece_are_all_answered(edge: Edge) -> None:
    last = SMUGGLED.replace(b"Host: x", b"Connection: close")
    first = POST + b"Content-Length: 2\r\n\r\n{}"
    second = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"

    assert said_to(edge, first + second + last) == [b"400", b"400", b"404"]
