"""Which videos are meant: files, folders of pictures, folders of videos, patterns, and lists of them."""

import glob
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client import footage, pictures
from client.pictures import Picture
from wire.errors import NoVideo

_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".ppm"}
_VIDEOS = {
    ".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".flv", ".ogv",
    ".wmv", ".asf", ".mjpeg", ".mxf",
}  # fmt: skip

#: Of a folder's pictures, which say nothing of time.
DEFAULT_RATE = 30.0


class NotFound(Exception):
    """Something that was asked for is not there, or has no video in it."""


#: The pictures from a number on; the second argument is called again and again while there is none to give.
Reading = Callable[[int, Callable[[], None]], Iterator[Picture]]


@dataclass(frozen=True, slots=True)
class Opened:
    """A video to be read. frame_count: as announced."""

    frames_per_second: float | None
    frame_count: int | None
    pictures: Reading


@dataclass(frozen=True, slots=True)
class Video:
    """A video file, or a folder whose pictures are the frames of one."""

    path: Path

    @property
    def name(self) -> str:
        """What people call it."""
        return self.path.name

    def identity(self) -> dict[str, Any]:
        """What changes when the video does: where it is, how large, and since when. Raises `OSError`."""
        files = pictures_in(self.path) if self.path.is_dir() else [self.path]
        stats = [file.stat() for file in files]
        return {
            "path": str(self.path.resolve()),
            "files": len(files),
            "size_bytes": sum(stat.st_size for stat in stats),
            "modified_ns": max((stat.st_mtime_ns for stat in stats), default=0),
        }

    @contextmanager
    def opened(self, *, max_pixels: int, rate: float = DEFAULT_RATE) -> Iterator[Opened]:
        """The video, to be read; a folder's pictures follow each other at `rate`. Raises `PoseError`."""
        if self.path.is_dir():
            yield _of_folder(self.path, rate)
        else:
            with footage.opened(self.path, max_pixels=max_pixels) as film:
                yield Opened(film.frames_per_second, film.frame_count, _of_film(film))


def videos(given: Iterable[str]) -> list[Video]:
    """The videos that are meant by paths and patterns, each once. Raises `NotFound`."""
    found = [video for text in given for video in _meant(text)]
    return list({video.path.resolve(): video for video in found}.values())


def _meant(text: str) -> list[Video]:
    path = Path(text)
    if path.is_file():
        return [Video(path)]
    if path.is_dir():
        if pictures_in(path):
            return [Video(path)]
        inside = sorted((file for file in path.rglob("*") if file.suffix.lower() in _VIDEOS), key=_by_number)
        if not inside:
            raise NotFound(f"{text}: no video and no pictures are in this folder")
        return [Video(file) for file in inside if file.is_file()]
    matching = sorted(map(Path, glob.glob(text, recursive=True)), key=_by_number)  # noqa: PTH207, any pattern
    if not matching:
        raise NotFound(f"{text}: there is no such file or folder")
    return [video for path in matching for video in _meant(str(path))]


def _of_film(film: footage.Footage) -> Reading:
    def read(first: int, go_on: Callable[[], None]) -> Iterator[Picture]:
        for shown in film.frames():
            if shown.number < first:  # decoded, for it leads to those that follow
                go_on()
            else:
                yield pictures.of_array(shown.image, number=shown.number, time_s=shown.time_s)

    return read


def _of_folder(folder: Path, rate: float) -> Opened:
    files = pictures_in(folder)
    if not files:
        raise NoVideo("the folder has no pictures")

    def read(first: int, _go_on: Callable[[], None]) -> Iterator[Picture]:
        for number in range(first, len(files)):
            # Unread: a broken picture fails by itself, by a worker's word, and the others go on.
            yield Picture(number, number / rate, (files[number].read_bytes(),), width_px=0, height_px=0)

    return Opened(rate, len(files), read)


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder, in the order of the numbers in their names."""
    return sorted((file for file in folder.iterdir() if file.suffix.lower() in _PICTURES), key=_by_number)


def _by_number(path: Path) -> list[tuple[int, int, str]]:
    """Sorts `frame2` before `frame10`."""
    parts = re.split(r"(\d+)", str(path))
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
