"""Which of the pictures seen before are a picture's neighbours in time.

Frames may come in any order: sorted by the letters of their names, frame 110 follows frame 11. What tells
is how pictures look: over some ten frames of a video their distance grows with the time between them.
A video in true order never turns back here, nor does one whose light flickers.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from workers.phalp.state import Memory
from workers.thumbnail import SIDE, Thumbnail

Distances = npt.NDArray[np.float32]

#: Pictures that are remembered; past them the one goes that another one stands for best.
MAX_PICTURES: Final = 80
#: Latest pictures whose distances tell the video's usual step: a quarter of them were smaller.
STEPS: Final = 32
USUAL_QUANTILE: Final = 0.25
#: A picture turns back from the last one when that is this many usual steps away, another one is this
#: many times nearer, and no farther than this many steps.
JUMP_STEPS: Final = 3.0
NEARER: Final = 2.0
NEAR_STEPS: Final = 4.0
#: A light that flashes makes pictures from just before it the nearest ones, but the video went on meanwhile:
#: of the latest `FLASH_FRAMES` of a run one counts only below this share of as many usual steps.
FLASH_FRAMES: Final = 12
FLASH_SHARE: Final = 0.25
#: Most that a usual step is taken for where the question is whether the picture broke off, grey levels,
#: while only this many are known: a video may begin with jumps.
FIRST_STEP: Final = 1.0
FEW_STEPS: Final = 8
#: Two pictures whose greys correlate less than this are of different shots. Across a step of a shot it is
#: above 0.9, also where a light flashes; between shots of real clips below 0.4.
CUT_CORRELATION: Final = 0.6
#: Two pictures are on different sides of a third when the way by it is no longer than this.
DETOUR: Final = 1.3
#: The other side is asked where it is no farther than this many times the near one: motion bends.
FAR_SIDE: Final = 4.0


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """Where a new picture lies among those remembered."""

    away: Distances  # (N,)
    usual: float  # the video's usual step
    turns_back: bool  # motion goes on from the nearest picture, which is not the last one
    broken: bool  # nothing that was seen is near it
    cut: bool  # it has little in common with the last one: another shot begins


def blank() -> Memory:
    """The memory of a session that has seen nothing."""
    return Memory(
        pictures=np.zeros((0, SIDE * SIDE), np.uint8),
        turns=np.zeros(0, np.uint32),
        runs=np.zeros(0, np.uint32),
        nearest=np.zeros(0, np.float32),
        steps=np.zeros(0, np.float32),
    )


def place(memory: Memory, thumbnail: Thumbnail | None) -> Place | None:
    """Where the picture lies; None: there is no picture, or none before it."""
    if thumbnail is None or not len(memory.pictures):
        return None
    away = distances(memory.pictures, thumbnail)
    usual = float(np.quantile(memory.steps, USUAL_QUANTILE)) if len(memory.steps) else np.inf
    step = min(usual, FIRST_STEP) if len(memory.steps) < FEW_STEPS else usual
    broken = float(away.min()) > JUMP_STEPS * step
    return Place(away, usual, _turns_back(memory, away, usual), broken, _is_cut(memory, thumbnail))


def remember(
    memory: Memory, thumbnail: Thumbnail | None, at: Place | None, *, turn: int, jumped: bool
) -> Memory:
    """`memory` with one more picture, which lies `at`; `jumped`: people are elsewhere than in the last."""
    if thumbnail is None:
        return memory
    away = at.away if at else np.zeros(0, np.float32)
    run = int(memory.runs[-1]) + (at.turns_back or jumped) if at else 0
    step = away.min(initial=np.inf)
    grown = Memory(
        pictures=np.concatenate([memory.pictures, thumbnail.reshape(1, -1)]),
        turns=np.append(memory.turns, np.uint32(turn)),
        runs=np.append(memory.runs, np.uint32(run)),
        nearest=np.append(np.minimum(memory.nearest, away), step),
        steps=np.append(memory.steps, step)[-STEPS:] if at and step else memory.steps,
    )
    return grown if len(grown.pictures) <= MAX_PICTURES else _thinned(grown)


def distances(pictures: npt.NDArray[np.uint8], picture: npt.NDArray[np.uint8]) -> Distances:
    """Root-mean-square differences (N,) of pictures (N, P) from one of P cells."""
    apart = pictures.astype(np.int32) - picture.ravel()
    return np.sqrt(np.einsum("ij,ij->i", apart, apart) / picture.size).astype(np.float32)


def other_side(away: Distances, from_near: Distances, near: int) -> int | None:
    """The nearest picture on the other side of a new one than `near`; None: there is none in reach.

    `away` (N,) are distances from the new picture, `from_near` (N,) those from its neighbour `near`.
    """
    reach = away[near]
    between = (from_near > away) & (from_near > reach) & (away + reach <= DETOUR * from_near)
    between &= away <= FAR_SIDE * reach
    return int(np.where(between, away, np.inf).argmin()) if between.any() else None


def _is_cut(memory: Memory, thumbnail: Thumbnail) -> bool:
    """Whether the picture has nothing of the last one's pattern; a light that flashes leaves it as it is."""
    last, new = memory.pictures[-1].astype(np.float64), thumbnail.ravel().astype(np.float64)
    last, new = last - last.mean(), new - new.mean()
    return bool(last @ new < CUT_CORRELATION * np.sqrt((last @ last) * (new @ new)))


def _turns_back(memory: Memory, away: Distances, usual: float) -> bool:
    near, last = int(away.argmin()), len(away) - 1
    if away[near] * NEARER >= away[last] or away[last] <= JUMP_STEPS * usual:
        return False
    if away[near] > NEAR_STEPS * usual:
        return False
    frames = int(memory.turns[last]) - int(memory.turns[near]) + 1
    flash = memory.runs[near] == memory.runs[last] and frames <= FLASH_FRAMES
    return not flash or bool(away[near] <= FLASH_SHARE * frames * usual)


def _thinned(memory: Memory) -> Memory:
    """`memory` less the picture, but not the last one, that another one is nearest to."""
    gone = int(memory.nearest[:-1].argmin())
    kept = np.arange(len(memory.pictures)) != gone
    pictures, nearest = memory.pictures[kept], memory.nearest[kept]
    bereft = np.flatnonzero(nearest == distances(pictures, memory.pictures[gone]))
    for row in bereft:
        others = distances(pictures, pictures[row])
        others[row] = np.inf
        nearest[row] = others.min()
    return Memory(pictures, memory.turns[kept], memory.runs[kept], nearest, memory.steps)
