"""Compressed answers unpack to what they were, whether or not they start with the known text."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_edge.compression import Gzip

KNOWN = b'{"mesh_faces_data":[[0,1,2],[2,1,3]],' * 100
compress = Gzip(KNOWN)


@given(rest=st.binary(max_size=2000))
def test_a_text_with_the_known_beginning_unpacks_to_itself(rest: bytes) -> None:
    assert gzip.decompress(compress(KNOWN + rest)) == KNOWN + rest


@given(text=st.binary(max_size=2000))
def test_any_other_text_unpacks_to_itself(text: bytes) -> None:
    assert gzip.decompress(compress(text)) == text


@pytest.mark.parametrize("cut", [1, len(KNOWN) // 2])
def test_a_text_with_half_the_known_beginning_unpacks_to_itself(cut: int) -> None:
    assert gzip.decompress(compress(KNOWN[:-cut])) == KNOWN[:-cut]


def test_the_parts_make_one_member_because_not_every_client_reads_a_second() -> None:
    inflate = zlib.decompressobj(16 + zlib.MAX_WBITS)

    assert inflate.decompress(compress(KNOWN + b"rest")) == KNOWN + b"rest"
    assert inflate.eof and not inflate.unused_data
