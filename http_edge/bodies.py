"""The body of a request that announces its length: kept as it comes, and joined once.

waitress appends what comes to a file in memory, out of which it is copied once more.
"""

import io

#: Smaller pieces are put together as they come, so that they are few.
_PIECE_BYTES = 16 * 2**10


class AnnouncedBody:
    """What waitress calls a stream consumer."""

    error = None

    def __init__(self, length: int) -> None:
        """length: bytes to come."""
        self._left = length
        self._pieces: list[bytes] = []
        self._small = bytearray()

    @property
    def completed(self) -> bool:
        """Whether all has come."""
        return not self._left

    def received(self, data: bytes) -> int:
        """How many of these bytes are the body's."""
        piece = data[: self._left]
        self._left -= len(piece)
        if len(piece) < _PIECE_BYTES:
            self._small += piece
        else:
            self._put_together()
            self._pieces.append(piece)
        return len(piece)

    def getfile(self) -> io.BytesIO:
        """All of it; read at once it is not copied."""
        self._put_together()
        return io.BytesIO(b"".join(self._pieces))

    def getbuf(self) -> "AnnouncedBody":
        """What to close."""
        return self

    def close(self) -> None:
        """Nobody reads it any more."""
        self._pieces = []
        self._small = bytearray()

    def _put_together(self) -> None:
        if self._small:
            self._pieces.append(bytes(self._small))
            self._small = bytearray()
