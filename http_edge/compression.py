"""gzip (RFC 1952) for answers that all begin with the same long text.

That text is compressed once and its blocks are put in front of every answer's own: half of
an answer is the mesh's triangles, which never change.
"""

import struct
import zlib

from isal import igzip_lib, isal_zlib

#: Of igzip's levels, where the next takes half as long again for 4 % less.
LEVEL = 1

#: How far back igzip looks, in bits, after a known beginning, where nearly all is a mesh's digits: what
#: repeats in them is three or four characters long, and worth pointing to only where it is near. An eighth
#: less comes out of it, in less time. Any other text is the better for all that igzip can see.
_NEAR_BITS = 9
_ALL_BITS = 15

_BEST_LEVEL = 9  # of zlib; once

#: RFC 1952, 2.3: magic, deflate, no flags, no time, no extra flags, unknown system.
_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


class Gzip:
    """Compresses texts that start with `beginning`: only the rest is work."""

    def __init__(self, beginning: bytes = b"") -> None:
        self._beginning = beginning
        self._crc = isal_zlib.crc32(beginning)
        deflate = zlib.compressobj(_BEST_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
        self._window_bits = _NEAR_BITS if beginning else _ALL_BITS
        # A full flush ends on a byte, and nothing after it refers to what came before.
        self._blocks = deflate.compress(beginning) + deflate.flush(zlib.Z_FULL_FLUSH)

    def __call__(self, rest: bytes | memoryview) -> bytes:
        """One gzip member that holds the beginning and `rest`."""
        deflated = igzip_lib.compress(rest, LEVEL, igzip_lib.COMP_DEFLATE, hist_bits=self._window_bits)
        crc, length = isal_zlib.crc32(rest, self._crc), len(self._beginning) + len(rest)
        return b"".join((_HEADER, self._blocks, deflated, struct.pack("<II", crc, length & 0xFFFF_FFFF)))
