"""Compressed answers unpack to what they were, whether or not they start with a known text."""

import gzip
import zlib

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from http_edge.compression import Gzip
from http_edge.numerals import vertices_json
from http_edge.topology import OPEN_BODY

KNOWN = b'{"mesh_faces_data":[[0,1,2],[2,1,3]],' * 100
compress_after = Gzip(KNOWN)
compress = Gzip()


@given(rest=st.binary(max_size=2000))
def test_a_text_with_the_known_beginning_unpacks_to_itself(rest: bytes) -> None:
    assert gzip.decompress(compress_after(rest)) == KNOWN + rest
    assert gzip.decompress(compress_after(memoryview(rest))) == KNOWN + rest


@given(text=st.binary(max_size=2000))
def test_any_other_text_unpacks_to_itself(text: bytes) -> None:
    assert gzip.decompress(compress(text)) == text


def test_a_mesh_becomes_smaller_after_a_known_beginning_than_by_itself() -> None:
    with np.load(OPEN_BODY) as body:
        mesh = orjson.dumps(vertices_json(body["v_template"]))

    assert gzip.decompress(compress_after(mesh)) == KNOWN + mesh
    assert len(compress_after(mesh)) < 0.95 * len(compress(mesh))


def test_the_parts_make_one_member_because_not_every_client_reads_a_second() -> None:
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)

    assert inflate.decompress(compress_after(b"rest")) == KNOWN + b"rest"
    assert inflate.eof and not inflate.unused_data
