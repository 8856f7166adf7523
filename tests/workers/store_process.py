"""A worker's LMDB store in a process of its own, to be asked, paused and killed.

LMDB lets a process open an environment once, and what is promised is promised between processes.
"""

import multiprocessing
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from wire.messages import SeenFrame
from workers.lmdb_store import LmdbStore
from workers.store import SessionHead, StoredAnswer

PATIENCE_S = 60.0
STATE_WORDS = 8_000
SETTINGS: dict[str, Any] = {"max_bytes": 64 * 2**20, "kept_answers": 4, "idle_s": 300.0}


def open_store(root: Path, index: int = 0, *, now: float = 0.0, **settings: Any) -> LmdbStore:
    """A store in this process."""
    return LmdbStore(root, index=index, now=now, **(SETTINGS | settings))


def head(session_id: str = "dance", *, generation: int = 1, epoch: int = 1, **more: Any) -> SessionHead:
    """What is known of a video whose first frame was folded by its first owner, unless said otherwise."""
    facts: dict[str, Any] = {"history": "complete", "stored_at": 0.0, "folded": 1}
    return SessionHead(session_id=session_id, generation=generation, epoch=epoch, **(facts | more))


def answer_to(number: int, content: bytes = b"answer", *, thumbnail: bytes | None = None) -> StoredAnswer:
    """The answer to frame `number`, whose picture has the number's digest."""
    return StoredAnswer(SeenFrame(number, 1000 + number, thumbnail), "complete", 0, 0, content)


def state_of(number: int) -> bytes:
    """A state by which a mix with another one would show."""
    return number.to_bytes(8, "big") * STATE_WORDS


class StoreProcess:
    """`LmdbStore` behind a pipe; other attributes are its methods."""

    def __init__(self, root: Path, index: int, **settings: Any) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        with theirs:
            # Not multiprocessing's own processes: they would import all of pytest again.
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno())], pass_fds=[theirs.fileno()]
            )
        self._pipe.send((root, index, settings))
        self.result()

    def __getattr__(self, method: str) -> Any:
        return lambda *arguments, **named: self.ask(method, *arguments, **named)

    def ask(self, method: str, *arguments: Any, **named: Any) -> Any:
        """What the method gives, or raises."""
        self.begin(method, *arguments, **named)
        return self.result()

    def begin(self, method: str, *arguments: Any, **named: Any) -> None:
        """Ask without waiting."""
        self._pipe.send((method, arguments, named))

    def result(self) -> Any:
        """The next thing that the process says; an exception is raised."""
        assert self._pipe.poll(PATIENCE_S), "the store does not answer"
        outcome = self._pipe.recv()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def last_result(self) -> Any:
        """The last thing that the process said before it ended; None: nothing."""
        last = None
        try:
            while self._pipe.poll(0):
                last = self._pipe.recv()
        except EOFError:
            pass
        return last

    def end(self) -> None:
        """Kill the process, if it has not ended."""
        self.process.kill()
        self.process.wait()
        self._pipe.close()


@contextmanager
def store_process(root: Path, index: int, **settings: Any) -> Iterator[StoreProcess]:
    """A process that is killed at the end."""
    process = StoreProcess(root, index, **settings)
    try:
        yield process
    finally:
        process.end()


class _Served:
    """The store, and what else the process can be asked for."""

    def __init__(self, pipe: Connection, root: Path, index: int, settings: dict[str, Any]) -> None:
        self._pipe = pipe
        self._index = index
        self._store = open_store(root, index, **settings)

    def do(self, method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Call a method of this object, or else of the store."""
        return (getattr(self, method, None) or getattr(self._store, method))(*arguments, **named)

    def reopen(self, root: Path, **settings: Any) -> None:
        """Close the store and open the one in `root`."""
        self._store.close()
        self._store = open_store(root, self._index, **settings)

    def commit_forever(self, epoch: int) -> None:
        """Take the session over, and say each number of frames only after it was stored."""
        found = self._store.take_over("dance", 1, epoch, now=0.0)
        folded = found.head.folded if found else 0
        while True:
            folded += 1
            answer = answer_to(folded, folded.to_bytes(8, "big"))
            assert self._store.commit(head(epoch=epoch, folded=folded), state_of(folded), answer)
            self._pipe.send(folded)

    def limit_file_bytes(self, most: int) -> None:
        """Make the disk full: from now on no file may grow past `most`."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))


def _serve(pipe: Connection) -> None:
    served = _Served(pipe, *pipe.recv())
    pipe.send("open")
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        try:
            pipe.send(served.do(*request))
        except Exception as error:
            pipe.send(error)


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
