"""Real clips through the whole service in every way the backend sends them: `python -m tests.node`.

140 frames of one clip in the order of their names, one at a time and in pools; two clips at once; then every
clip in true order, and what the backend's filter keeps of it.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from client import video
from client.private_service import private_service
from tests.node import backend
from tests.node.backend import Sent
from tools.clip import clip_path

#: Clip -> its first frame, and how many.
_CLIPS = {
    "sports2d_demo": (60, 140),
    "pose2sim_cam01": (0, 100),
    "pose2sim_cam02": (0, 100),
    "pose2sim_cam03": (0, 100),
    "pose2sim_cam04": (0, 100),
}
_POOLS = (1, 2, 4, 8)


def main() -> int:
    """Print a row for each; the exit status is 1 if an answer is missing or not of the one make."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        with private_service(folder / "service.log", {"POSE_WORKERS": "2"}) as service:
            whole = list(_rows(folder, service.port))
    return 0 if all(whole) else 1


def _rows(folder: Path, port: int) -> Iterator[bool]:
    rider, coach = (_written(folder / name, name) for name in ("sports2d_demo", "pose2sim_cam01"))
    for pool in _POOLS:
        yield _row(f"by name, pool of {pool}", backend.send(port, [rider], pool=pool))
        sent = backend.send(port, [rider, coach], pool=pool)
        for one in (rider, coach):
            yield _row(f"two at once, pool of {pool}: {one.name}", [a for a in sent if a.video == one])
    for name in _CLIPS:
        sent = backend.send(port, [_written(folder / "true" / name, name, in_true_order=True)], pool=1)
        kept = backend.verdicts(sent).kept()
        yield _row(f"true order: {name}, kept {kept:.1%}", sent)


def _written(folder: Path, name: str, *, in_true_order: bool = False) -> Path:
    first, count = _CLIPS[name]
    frames = video.frames(clip_path(f"{name}.mp4"), first=first, last=first + count - 1)
    return backend.write(folder, frames, in_true_order=in_true_order)


def _row(name: str, sent: Sequence[Sent]) -> bool:
    posed = sum(one.is_posed for one in sent)
    makes = {tuple(one.read["counts"].items()) for one in sent if one.is_posed}
    sessions = {one.read.get("session_id") for one in sent}
    slowest_ms = max(one.elapsed_ms for one in sent)
    print(
        f"{name:45} {posed:4} of {len(sent)} posed, {len(makes)} make of answer, {len(sessions)} session(s),"
        f" slowest {slowest_ms:.0f} ms",
        flush=True,
    )
    return posed == len(sent) and len(makes) == 1


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.node", description=__doc__).parse_args()
    sys.exit(main())
