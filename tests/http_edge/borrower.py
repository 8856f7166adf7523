"""A worker without networks who reads lent pictures as the protocol's page says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack

from tests import fake_worker

MARK = b"EFMEM1\n"


class Borrower:
    """For a `FakeWorker` to answer with."""

    def __init__(self, *, gone: Callable[[bool], bool] = lambda _lent: False) -> None:
        """`gone` says whether a picture cannot be read, by whether it is lent."""
        self.pictures: list[bytes] = []
        self.names: list[str | None] = []  # of the memory; None: the bytes came
        self.skipped: list[int] = []  # frames of the video that time went on without, as the broker says
        self._gone = gone

    def __call__(self, work: dict[str, Any], image: bytes) -> list[bytes] | None:
        told = msgpack.unpackb(image.removeprefix(MARK)) if image.startswith(MARK) else None
        self.names.append(told and told["name"])
        self.skipped.append(work["skipped"])
        if self._gone(told is not None):
            failure = {"type": "failure", "v": 1, "code": "picture_gone", "message": "as the test wished"}
            told_of = {name: work[name] for name in ("request_id", "session_id", "epoch")}
            return [msgpack.packb(failure | told_of)]
        if told:
            path = Path(f"/proc/{told['process']}/fd/{told['descriptor']}")
            assert str(path.readlink()) == f"/memfd:{told['name']} (deleted)"
            image = path.read_bytes()[: told["size"]]
        self.pictures.append(image)
        return fake_worker.answer(work, image)
