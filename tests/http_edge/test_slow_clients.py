"""Clients that begin and do not go on take no place from others."""

from contextlib import ExitStack

from tests.http_edge.running import Edge, picture

PNG = picture()


def test_half_sent_requests_hold_no_thread(edge: Edge) -> None:
    with ExitStack() as stack:
        for number in range(4 * edge.settings.http_threads):
            stalled = edge.connect()
            stack.callback(stalled.close)
            stalled.putrequest("POST", "/pose/hybrid")
            if number % 2:
                stalled.putheader("Content-Length", "100000")
                stalled.endheaders(b'{"image_base64": "')
            else:  # in the middle of its headers
                stalled.connect()
                stalled.sock.sendall(b"POST /pose/hybrid HTTP/1.1\r\nHost: ")

        assert [edge.pose(PNG, session_id="beside-slow-ones").status for _ in range(4)] == [200] * 4
        assert edge.get("/health").status == 200


def test_headers_without_end_are_refused(edge: Edge) -> None:
    reply = edge.get("/health", {f"X-Header-{number}": "x" * 1200 for number in range(60)})
    assert reply.status == 431
