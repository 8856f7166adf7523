"""What `visualize` costs at 1080p: `python -m bench.render`, on a frame of the demo's clip."""

import argparse

import av
import cv2
import numpy as np

from bench.timing import crowd, median_ms
from body.drawing import Figure, overlay
from body.model import Body
from tools.clip import clip_path
from workers import png
from workers.render import visualization_png
from workers.types import Image

_REPEATS = 15


def main() -> None:
    """Print a row for each step, for one person and for three."""
    body, image = Body.open(), frame_1080p()
    one, three = timings_ms(body, image, 1), timings_ms(body, image, 3)
    print(f"{'median ms':<24}{'1 person':>10}{'3 people':>10}")
    for step, time_ms in one.items():
        print(f"{step:<24}{time_ms:>10.1f}{three[step]:>10.1f}")


def frame_1080p() -> Image:
    """The first frame of the demo's clip, 1920 x 1080."""
    clip = clip_path("sports2d_demo.mp4")
    with av.open(clip) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    return np.ascontiguousarray(cv2.resize(frame, (1920, 1080), interpolation=cv2.INTER_AREA))


def timings_ms(body: Body, image: Image, count: int) -> dict[str, float]:
    """Milliseconds of each step with `count` people, and of OpenCV's PNG writer as a yardstick."""
    figures = []
    for pose in crowd(count):
        mesh = body.mesh(pose.rotations[None], pose.betas[None])
        figures.append(Figure(mesh.vertices[0], mesh.joints[0], pose.translation))
    drawn = overlay(image, figures, body.faces)
    fastest = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    return {
        "mesh and skeleton": median_ms(lambda: overlay(image, figures, body.faces), repeats=_REPEATS),
        "PNG": median_ms(lambda: png.encoded(drawn), repeats=_REPEATS),
        "the whole answer": median_ms(
            lambda: visualization_png(image, figures, body.faces), repeats=_REPEATS
        ),
        "(PNG by OpenCV)": median_ms(lambda: cv2.imencode(".png", drawn, fastest), repeats=_REPEATS),
    }


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m bench.render", description=__doc__).parse_args()
    main()
