"""The videos that chaos runs send: parts of real clips, small, as JPEG."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as PillowImage
from PIL import ImageOps

from client import video
from tools.clip import clip_path

Size = tuple[int, int]  # width, height, pixels

LANDSCAPE: Size = (640, 360)
PORTRAIT: Size = (360, 640)


@dataclass(frozen=True, slots=True)
class Video:
    """One video that a client sends, a picture a frame."""

    name: str
    pictures: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody who sends one video after the other; `named`: under a session id each."""

    name: str
    named: bool
    videos: Sequence[Video]


def pictures(clip: Path, *, first: int, last: int, size: Size) -> list[bytes]:
    """Frames `first` to `last` of a clip, whole within `size`: what is left over is black."""
    return [
        _jpeg(ImageOps.pad(PillowImage.fromarray(frame), size))
        for frame in video.frames(clip, first=first, last=last)
    ]


def clients(*, frames: int) -> list[Client]:
    """Two who name no session and send pictures of one size, and four who do; three videos each.

    A video is as long as `frames` says, 76 at the most, and begins where no other of its client does.
    """
    return [
        _client("rider", "sports2d_demo", (0, 77, 154), frames, size=LANDSCAPE, named=False),
        _client("coach", "pose2sim_cam01", (0, 12, 24), frames, size=LANDSCAPE, named=False),
        _client("one", "pose2sim_cam02", (0, 12, 24), frames, size=PORTRAIT, named=True),
        _client("two", "pose2sim_cam03", (0, 12, 24), frames, size=PORTRAIT, named=True),
        _client("three", "pose2sim_cam04", (0, 12, 24), frames, size=PORTRAIT, named=True),
        _client("four", "sports2d_demo", (40, 97, 130), frames, size=LANDSCAPE, named=True),
    ]


def _client(
    name: str, clip: str, beginnings: Sequence[int], frames: int, *, size: Size, named: bool
) -> Client:
    whole = pictures(clip_path(f"{clip}.mp4"), first=0, last=beginnings[-1] + frames - 1, size=size)
    return Client(
        name,
        named,
        [Video(f"{clip} from {first}", whole[first : first + frames]) for first in beginnings],
    )


def _jpeg(picture: PillowImage.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=85)
    return stream.getvalue()
