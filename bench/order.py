"""How well frames in another order than the true one are tracked: `python -m bench.order [clip ...]`.

Beside what the same tracker makes of the true order. A clip whose poses hang by small things differs from
itself as soon as it begins elsewhere: `late` is the true order from the fourth frame on.
"""

import argparse
import os
import random
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench import measures
from bench.quality import NOBODY, Clip, Shown, fetched_clips
from client import video
from wire import settings
from workers import assets

Floats = npt.NDArray[np.floating]

#: Frames of a longer clip that are taken: the leap of the Sports2D clip is among them.
TAKEN = slice(60, 200)

ORDERS: dict[str, Callable[[int], Sequence[int]]] = {
    "late": lambda count: range(3, count),
    "string": lambda count: sorted(range(count), key=lambda frame: str(frame + 1)),
    "tens": lambda count: sorted(range(count), key=lambda frame: (frame % 10, frame)),
    "shuffled": lambda count: random.Random(1).sample(range(count), count),
}

HEADER = (
    f"{'clip':22} {'order':9} {'n':>4} {'cover':>6} {'sw':>3} {'pred':>4}"
    f" {'mean':>8} {'median':>8} {'beyond':>7} {'detected in both':>17}"
)


def row(name: str, order: str, true: dict[int, Shown], shown: dict[int, Shown]) -> str:
    """One clip's figures in one order; `true` and `shown` are by the frames' places in the true one.

    mean, median: mean distance of the 24 joints, body-centred, mm, in frames that show the person in both
    orders. beyond: how far the farthest predicted keypoint is outside the box of the true order, in its
    heights, in frames that show the person there. detected in both: the mean over the frames in which both
    orders needed no help of the tracker, and how many they are.
    """
    both = [frame for frame, one in shown.items() if "predicted" not in (one.state, true[frame].state)]
    apart = [np.linalg.norm(shown[frame].joints - true[frame].joints, axis=-1).mean() for frame in both]
    unaided = [shown[frame].state == true[frame].state == "detected" for frame in both]
    guessed = [
        frame for frame, one in shown.items() if one.state == "predicted" and true[frame].state != "predicted"
    ]
    beyond = [
        measures.beyond_box(shown[frame].keypoints[None], true[frame].box[None])[0] for frame in guessed
    ]
    ids = np.array([one.track_id for one in shown.values()])
    return (
        f"{name:22} {order:9} {len(shown):4} {np.mean([one is not NOBODY for one in shown.values()]):6.1%}"
        f" {measures.switches(ids):3} {sum(one.state == 'predicted' for one in shown.values()):4}"
        f" {1000 * np.nanmean(apart):5.1f} mm {1000 * np.nanmedian(apart):5.1f} mm"
        f" {max(beyond, default=0.0):7.2f}"
        f" {1000 * _mean(np.array(apart)[unaided]):9.1f} mm ({sum(unaided):3})"
    )


def _mean(distances: Floats) -> float:
    """NaN where there is none."""
    return float(np.nanmean(distances)) if len(distances) else float("nan")


def main() -> None:
    """Print a row for each clip and order; without arguments, for the benches' own clips."""
    arguments = argparse.ArgumentParser(prog="python -m bench.order", description=__doc__)
    arguments.add_argument("clips", nargs="*", type=Path)
    given = arguments.parse_args().clips
    config = settings.load(os.environ)
    clip = Clip(config)
    print(HEADER)
    for path in given or fetched_clips(assets.directory(config)):
        frames = list(islice(video.frames(path), TAKEN.stop))
        frames = frames[TAKEN] if len(frames) == TAKEN.stop else frames
        true = dict(enumerate(clip.answers(frames)))
        for name, order_of in ORDERS.items():
            order = order_of(len(frames))
            shown = dict(zip(order, clip.answers(frames[frame] for frame in order), strict=True))
            print(row(path.name, name, true, shown), flush=True)


if __name__ == "__main__":
    main()
