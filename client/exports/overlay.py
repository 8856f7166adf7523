"""Overlay video: the bodies drawn over the frames that they were found in, in a border that says how surely.

The colour of the border, and a line of text, tell the state of the person to show.
"""

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps

from body.drawing import Figure, overlay
from body.model import Body
from client import footage, video
from client.exports.scene import Scene, Unavailable
from client.exports.skeleton import rate
from client.inputs import pictures_in
from client.motion import Motion, Track
from client.pictures import Image
from client.records import STATES

#: Colour of a frame's border by where its pose came from, RGB.
STATE_COLOURS = {
    "detected": (40, 180, 60),
    "recovered": (240, 170, 20),
    "predicted": (220, 60, 50),
    "nobody": (120, 120, 120),
}

#: Pictures of a folder, as workers read them: upright.
_FORMATS = ("JPEG", "PNG", "WEBP", "PPM")


def write(motion: Motion, scene: Scene, path: Path) -> None:
    """All tracks, over the scene's video. Raises `Unavailable` without it, `PoseError` where it is broken."""
    if scene.video is None or not scene.video.exists():
        raise Unavailable(f"an overlay needs {scene.video or motion.about.source}; where it is says --video")
    body = scene.body()
    people = _people(motion)
    with video.writing(path, rate=Fraction(rate(motion)).limit_denominator(1001)) as add:
        for number, picture in enumerate(_frames(scene.video, len(motion.times_s))):
            drawn = overlay(picture, [_figure(body, *person) for person in people[number]], body.faces)
            add(labelled(drawn, number, *_shown(motion, people[number], number)))


def labelled(picture: Image, number: int, state: str, confidence: float) -> Image:
    """The picture in a border of its state's colour, with the frame's number and confidence."""
    framed, colour = picture.copy(), STATE_COLOURS[state]
    cv2.rectangle(framed, (0, 0), (picture.shape[1] - 1, picture.shape[0] - 1), colour, 16)
    text = f"{number}  {state}  {confidence:.2f}"
    scale = picture.shape[0] / 700
    cv2.putText(framed, text, (30, int(50 * scale)), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, 3)
    return framed


def _people(motion: Motion) -> dict[int, list[tuple[Track, int]]]:
    """Everyone's track and row, by frame."""
    people: dict[int, list[tuple[Track, int]]] = defaultdict(list)
    for track in motion.tracks:
        for row, frame in enumerate(track.frames.tolist()):
            people[frame].append((track, row))
    return people


def _figure(body: Body, track: Track, row: int) -> Figure:
    mesh = body.mesh(track.rotations[row, None], track.betas[row, None])
    return Figure(mesh.vertices[0], mesh.joints[0], track.translation[row])


def _shown(motion: Motion, people: list[tuple[Track, int]], number: int) -> tuple[str, float]:
    """State and confidence of the person to show."""
    for track, row in people:
        if track.track_id == motion.primary_tracks[number]:
            return STATES[track.states[row]], float(track.confidence[row])
    return "nobody", 0.0


def _frames(source: Path, count: int) -> Iterator[Image]:
    """The first `count` frames of a video, or of a folder of pictures."""
    if source.is_dir():
        for picture in pictures_in(source)[:count]:
            with PillowImage.open(picture, formats=_FORMATS) as opened:
                yield np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))
        return
    with footage.opened(source, max_pixels=footage.MOST_PIXELS) as film:
        for shown in film.frames():
            if shown.number >= count:
                return
            yield shown.image
