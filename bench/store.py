"""What keeping sessions costs a frame: `python -m bench.store`.

State and answer become bytes and go into the store in one step; the picture's digest says whether the
frame came before. On this machine, and on a server: the one of `POSE_STORE_URL`, else one that is started on
the loopback for it, if there is one. Beside it: the same bytes written to a file. State and answer are
those of a real clip with two people; once more with a state as large as it may become.
"""

import argparse
import io
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path

from PIL import Image as PillowImage

from bench.timing import median_ms
from client import video
from wire import lending
from wire import settings as wire_settings
from wire.messages import Options, Work
from workers import answers, assets
from workers.build import build, open_store
from workers.phalp.state import SessionState
from workers.pipeline import Folded, FrameAnswer, FrameInput
from workers.sessions import Codec, Sessions, StateT
from workers.store import Store

_CLIP, _FIRST, _LAST = "sports2d_demo.mp4", 60, 119  # two people in view
_KEPT_ANSWERS = 16
_TRACKER = "embedded"
_REPEATS = 1000

#: The most that a person's state may take, and so many people.
_LARGEST_STATE_BYTES, _PEOPLE = 64 * 1024, 2

_STATES = Codec(SessionState.to_bytes, SessionState.from_bytes)
_ANSWERS = Codec(answers.to_bytes, answers.from_bytes)
_AS_IT_IS: Codec[bytes] = Codec(bytes, bytes)


def main() -> None:
    """Print the sizes, then the table."""
    argparse.ArgumentParser(prog="python -m bench.store", description=__doc__).parse_args()
    settings = wire_settings.load(os.environ)
    state, answer, picture = _after_a_clip(settings)
    sizes = [len(state.to_bytes()), len(answers.to_bytes(answer))]
    people = len(answer.people)
    print(f"bytes a person, {people} people: state {sizes[0] // people}, answer {sizes[1] // people}")
    largest = os.urandom(_PEOPLE * _LARGEST_STATE_BYTES)
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory())
        own = {"here": {"POSE_STORE_DIR": f"{directory}/store"}}
        if url := settings.store_url or stack.enter_context(a_server(directory)):
            own["server"] = {"POSE_STORE_URL": url}
        stores = {
            name: stack.enter_context(closing(open_store(wire_settings.load(given), _TRACKER, index=0)))
            for name, given in own.items()
        }
        print(f"{'median ms':46}" + "".join(f"{name:>10}" for name in stores))
        floor = Path(directory) / "floor"
        each = stores.values()
        _show("a frame, all of it", *(_frame_ms(s, "clip", state, _STATES, answer, picture) for s in each))
        _show("  the picture's digest", _ms(lambda: lending.digest_of(picture)))
        _show("  bytes of the state", _ms(state.to_bytes))
        _show("  bytes of the answer", _ms(lambda: answers.to_bytes(answer)))
        _show("  floor: as many bytes into a file", _written_ms(floor, sum(sizes)))
        name = f"a frame, {_PEOPLE} people with {_LARGEST_STATE_BYTES // 1024} KB of state each"
        _show(name, *(_frame_ms(s, "largest", largest, _AS_IT_IS, answer, picture) for s in each))
        _show("  floor: as many bytes into a file", _written_ms(floor, len(largest) + sizes[1]))
        _show("taking such a session over", *(_take_over_ms(s, "largest") for s in each))


@contextmanager
def a_server(directory: str) -> Iterator[str | None]:
    """The URL of a server that runs as long as it is needed; None: there is none on this machine."""
    program = next(filter(None, map(shutil.which, ("valkey-server", "redis-server"))), None)
    if program is None:
        print("no valkey-server and no redis-server: only the store on this machine is measured")
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {"--port": str(port), "--bind": "127.0.0.1", "--save": "", "--dir": directory}
    process = subprocess.Popen(
        [program, *(word for option in options.items() for word in option)], stdout=subprocess.DEVNULL
    )
    try:
        while not _listens(port):
            time.sleep(0.01)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", port)) == 0


def _after_a_clip(settings: wire_settings.Settings) -> tuple[SessionState, FrameAnswer, bytes]:
    """State and answer after some frames of a clip, and the last picture."""
    pipeline = build(settings).pipeline
    clip = assets.path(_CLIP, assets.directory(settings))
    state = pipeline.start()
    for number, pixels in enumerate(video.frames(clip, first=_FIRST, last=_LAST)):
        stream = io.BytesIO()
        PillowImage.fromarray(pixels).save(stream, "JPEG", quality=80)
        picture = stream.getvalue()
        (folded,) = pipeline.fold([(state, FrameInput(number, picture, Options()))])
        assert isinstance(folded, Folded)
        state, answer = folded.state, folded.answer
    return state, answer, picture


def _frame_ms(
    store: Store, name: str, state: StateT, states: Codec[StateT], answer: FrameAnswer, picture: bytes
) -> float:
    """All that a worker does for a frame beside folding it."""
    sessions = _sessions(store, state, states)
    numbers = count()

    def frame() -> None:
        work, now = _work(name, next(numbers)), time.time()
        key = (work.frame_number, lending.digest_of(picture), 0)
        session = sessions.open(work, now=now)
        assert key not in session.answers
        sessions.commit(session, work, key, state=state, answer=answer, now=now)

    return _ms(frame)


def _take_over_ms(store: Store, name: str) -> float:
    """Read a session with its answers, and claim it, as a worker that has just started."""
    epochs = count(2)

    def take_over() -> None:
        work = _work(name, _REPEATS, epoch=next(epochs))
        session = _sessions(store, b"", _AS_IT_IS).open(work, now=time.time())
        assert len(session.answers) == _KEPT_ANSWERS

    return _ms(take_over)


def _written_ms(path: Path, size_bytes: int) -> float:
    """So many bytes into a file, at the same place over and over."""
    content = os.urandom(size_bytes)
    with path.open("wb", buffering=0) as file:

        def write() -> None:
            file.seek(0)
            file.write(content)

        return _ms(write)


def _sessions(store: Store, start: StateT, states: Codec[StateT]) -> Sessions[StateT, FrameAnswer]:
    return Sessions(
        store=store, start=lambda: start, states=states, answers=_ANSWERS, kept_answers=_KEPT_ANSWERS
    )


def _work(name: str, number: int, *, epoch: int = 1) -> Work:
    return Work(
        request_id=bytes(16),
        session_id=name,
        generation=1,
        epoch=epoch,
        continues=number > 0,
        frame_number=number,
        deadline_ms=1000,
    )


def _ms(call: Callable[[], object]) -> float:
    return median_ms(call, repeats=_REPEATS)


def _show(name: str, *milliseconds: float) -> None:
    print(f"{name:46}" + "".join(f"{each:>10.3f}" for each in milliseconds))


if __name__ == "__main__":
    main()
