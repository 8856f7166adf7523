"""Who turns out to be one person: a track that ends, and one that begins soon after it, near, alike.

Looks are not in the answers, so nobody is merged on them here (the tracker does that). What is left has to
agree in all: the shot, the place and the size in the picture, the lengths of the bones, the pose. And there
must be no other choice: who might be two people stays who he is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from client.records import Records
from client.second_pass.person import PREDICTED
from client.second_pass.skeleton import bones_of, length
from client.second_pass.timeline import Video
from client.second_pass.turns import Floats, turns_of
from wire.camera import focal_length_px

#: Sightings without which nobody is compared.
_ENOUGH: Final = 5
#: Longest time between the end of one and the beginning of the other, seconds.
_LONGEST_S: Final = 1.5
#: How far apart they may be: heights of the box at once, and for each second; log distance; how unlike
#: their bones may be, as a share of their length; and their poses, metres at once, and for each second.
_PLACE: Final = (0.25, 0.5)
_DISTANCE: Final = 0.15
_BONES: Final = 0.06
_POSE_M: Final = (0.10, 0.20)


@dataclass(frozen=True, slots=True, eq=False)
class Edge:
    """A person in the first or the last frame that shows him: joints (24, 3) from the pelvis, metres.

    place (3,): pixels across, and log distance in lengths of the body. height_px: of the box.
    """

    frame: int
    joints: Floats
    place: Floats
    height_px: float


@dataclass(frozen=True, slots=True, eq=False)
class Life:
    """A track: when it shows somebody, what his bones are like (24,), and how he came and went."""

    track_id: int
    sightings: int
    bones: Floats
    first: Edge
    last: Edge


def life(rows: Records, frames: npt.NDArray[np.int_], video: Video) -> Life | None:
    """That of a track's records (M,), in frames (M,); None: it never shows anybody."""
    seen = np.flatnonzero(rows["states"] != PREDICTED)
    if not len(seen):
        return None
    some = rows[seen[np.linspace(0, len(seen) - 1, min(len(seen), 50)).astype(int)]]
    bones = np.linalg.norm(bones_of(turns_of(some["rotations"]), some["joints"]), axis=-1)
    return Life(
        track_id=int(rows["track_ids"][0]),
        sightings=len(seen),
        bones=np.median(bones[:, 1:], axis=0),
        first=_edge(rows[seen[0]], int(frames[seen[0]]), video),
        last=_edge(rows[seen[-1]], int(frames[seen[-1]]), video),
    )


def merged(lives: Sequence[Life], video: Video) -> Mapping[int, int]:
    """Track ids that are given up, each with the one whom the person keeps: the earliest."""
    pairs = [(a, b) for a in lives for b in lives if a is not b and _is_one(a, b, video)]
    kept: dict[int, int] = {}
    for former, later in sorted(pairs, key=lambda pair: pair[1].first.frame):
        rivals = [pair for pair in pairs if pair[0] is former or pair[1] is later]
        if len(rivals) == 1:
            kept[later.track_id] = kept.get(former.track_id, former.track_id)
    return kept


def _is_one(former: Life, later: Life, video: Video) -> bool:
    """Whether nothing speaks against it."""
    end, start = former.last, later.first
    if end.frame >= start.frame or min(former.sightings, later.sightings) < _ENOUGH:
        return False
    away_s = float(video.times_s[start.frame] - video.times_s[end.frame])
    if video.shots[end.frame] != video.shots[start.frame] or away_s > _LONGEST_S:
        return False
    across = float(np.hypot(*(start.place - end.place)[:2])) / max(end.height_px, start.height_px)
    unlike = np.linalg.norm(former.bones - later.bones) / np.linalg.norm(former.bones)
    posed = float(np.linalg.norm(start.joints - end.joints, axis=-1).mean())
    return bool(
        across <= _PLACE[0] + _PLACE[1] * away_s
        and abs(start.place[2] - end.place[2]) <= _DISTANCE
        and unlike <= _BONES
        and posed <= _POSE_M[0] + _POSE_M[1] * away_s
    )


def _edge(row: np.void, frame: int, video: Video) -> Edge:
    joints = row["joints"].astype(np.float64)
    pelvis = joints[0] + row["translation"]
    size = float(length(bones_of(turns_of(row["rotations"][None]), joints[None]))[0])
    across = focal_length_px(*video.sizes_px[frame]) * pelvis[:2] / pelvis[2]
    return Edge(
        frame=frame,
        joints=joints - joints[0],
        place=np.array([*across, np.log(max(pelvis[2], 1e-3) / size)]),
        height_px=float(row["boxes"][3] - row["boxes"][1]),
    )
