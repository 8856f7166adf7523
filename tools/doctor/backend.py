"""The backend's known traps: what the pose client expects, and what it does with what it gets.

The numbers are those of the client that the HTTP contract was written for.
"""

from collections.abc import Iterator
from typing import Final

from tools.doctor.facts import Facts
from tools.doctor.finding import Finding
from workers.phalp.confidence import USABLE

#: Where it calls, how many frames it sends at once, how long it waits.
PORT: Final = 5000
POOL: Final = 10
TIMEOUT_S: Final = 120.0

#: Frames of a lower mean confidence are deleted.
LEAST_CONFIDENCE: Final = 0.3

#: 140 frames in 300 s, one at a time.
FRAME_S: Final = 300.0 / 140


def address(facts: Facts) -> Iterator[Finding]:
    """The backend calls http://localhost:5000; under WSL it does so from Windows."""
    if facts.settings.port != PORT:
        yield Finding(
            "backend: address",
            "warn",
            f"the edge is at port {facts.settings.port}, the backend calls {PORT}",
            f"unset POSE_PORT, or set the backend's address to http://localhost:{facts.settings.port}",
        )
    elif facts.machine.wsl and facts.settings.host in ("127.0.0.1", "localhost"):
        yield Finding(
            "backend: address",
            "warn",
            "Windows may not reach 127.0.0.1 inside WSL",
            "unset POSE_HOST (0.0.0.0)",
        )
    else:
        yield Finding("backend: address", "ok", f"port {PORT}, where the backend calls")


def queue(facts: Facts) -> Iterator[Finding]:
    """A frame that is refused is lost to the backend, which does not try again."""
    bounds = {
        "POSE_HTTP_THREADS": facts.settings.http_threads,
        "POSE_MAX_QUEUE_FRAMES": facts.settings.max_queue_frames,
        "POSE_MAX_SESSION_FRAMES": facts.settings.max_session_frames,
    }
    small = [f"{name}={bound}" for name, bound in bounds.items() if bound < POOL]
    if small:
        yield Finding(
            "backend: queue",
            "fail",
            f"{', '.join(small)}: the backend's pool sends {POOL} frames at once and never repeats one",
            f"at least {POOL}",
        )
    else:
        yield Finding("backend: queue", "ok", f"room for the {POOL} frames that its pool sends at once")


def patience(facts: Facts) -> Iterator[Finding]:
    """An answer must come, whatever it says, before the backend stops listening."""
    settings = facts.settings
    if settings.request_timeout_s >= TIMEOUT_S:
        yield Finding(
            "backend: patience",
            "fail",
            f"POSE_REQUEST_TIMEOUT_S={settings.request_timeout_s:g}: it hangs up after {TIMEOUT_S:g} s",
            "set it below that; 110 is the default",
        )
    elif settings.frame_limit_s >= settings.request_timeout_s:
        yield Finding(
            "backend: patience",
            "warn",
            f"POSE_FRAME_LIMIT_S={settings.frame_limit_s:g}: a stuck worker outlives its frame's time",
            f"set it below POSE_REQUEST_TIMEOUT_S={settings.request_timeout_s:g}",
        )
    else:
        yield Finding("backend: patience", "ok", f"answers within {settings.request_timeout_s:g} s")


def speed(facts: Facts) -> Iterator[Finding]:
    """140 frames must be done in 300 s, the start included."""
    if facts.settings.observer == "hmr2" and facts.compute.device == "cpu" and facts.machine.cpus < 2:
        yield Finding(
            "backend: speed",
            "warn",
            f"HMR2 on one processor may take longer than {FRAME_S:.1f} s a frame",
            "set POSE_OBSERVER=blazepose, or use a GPU",
        )
    else:
        yield Finding("backend: speed", "ok", f"it allows {FRAME_S:.1f} s a frame")


def quality(facts: Facts) -> Iterator[Finding]:
    """It deletes frames whose mean confidence is low, and takes jitter beyond a pixel for outliers."""
    keeps = f"a usable pose has confidence {USABLE} or more, which is what the backend keeps"
    if USABLE < LEAST_CONFIDENCE:
        yield Finding("backend: quality", "fail", f"it deletes below {LEAST_CONFIDENCE}", keeps)
    elif facts.settings.keypoints != "coco17":
        yield Finding(
            "backend: quality",
            "warn",
            f"POSE_KEYPOINTS={facts.settings.keypoints}: the backend knows the 17 of COCO by name",
            "unset POSE_KEYPOINTS",
        )
    else:
        yield Finding("backend: quality", "ok", keeps)


def order(facts: Facts) -> Iterator[Finding]:
    """It sends frames in the order of their names' letters: 1, 10, 100, 101, 11, ..."""
    if facts.settings.gap_wait_s > 5:
        yield Finding(
            "backend: order",
            "warn",
            f"POSE_GAP_WAIT_S={facts.settings.gap_wait_s:g}: a frame that never comes holds the others up",
            "unset it (1 s)",
        )
    else:
        found = "frames sent as 1, 10, 100, 101, 11, ... are tracked by their pictures"
        yield Finding(
            "backend: order", "ok", found, "better: name them frame-0001.png, so that letters and time agree"
        )
