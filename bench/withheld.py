"""How far predictions are off when a person is withheld: `python -m bench.withheld`.

On the stretches of real clips that show the person well, seeded random gaps are withheld from the tracker
and from the plain predictors beside it. Nobody looks ahead; what they are compared with does, see `gaps`.
Beside the plain predictors from observations: the same from the tracker's smoothed poses.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.gaps import LENGTHS, Flags, Floats, Gap, Poses
from bench.predictors import BASELINES, HISTORY, LOSERS
from bench.recorded import Followed, followed_clips
from workers.phalp.state import TrackState

#: The lengths that the means are taken over.
SHORT: Final = [length for length in LENGTHS if length <= 12]

MEASURES: Final = ("root-aligned mm", "absolute mm", "px", "% of box height")


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """The errors of one predictor: for each length of gaps (G, 4), `MEASURES` of each gap."""

    name: str
    by_length: Mapping[int, Floats]

    def mean(self, length: int) -> Floats:
        """(4,) over all gaps of a length."""
        return self.by_length[length].mean(axis=0)

    def short(self) -> Floats:
        """(4,) the mean over the lengths `SHORT`."""
        return np.mean([self.mean(length) for length in SHORT], axis=0)


def rows(clips: Sequence[Followed]) -> list[Row]:
    """The errors of each predictor over all gaps of `clips`."""
    measured = [
        (length, _errors(clip, gap)) for clip in clips for length in LENGTHS for gap in clip.gaps(length)
    ]
    return [
        Row(
            name,
            {
                length: np.stack([errors[name] for of, errors in measured if of == length])
                for length in LENGTHS
            },
        )
        for name in measured[0][1]
    ]


def show(table: Sequence[Row]) -> None:
    """Print a table for each measure."""
    counts = ", ".join(f"{len(table[0].by_length[length])} of {length}" for length in LENGTHS)
    print(f"gaps: {counts} frames")
    for number, measure in enumerate(MEASURES):
        heads = "".join(f"{length:>8}" for length in LENGTHS)
        print(f"\n{measure:32}{heads}{f'1..{SHORT[-1]}':>8}")
        for row in table:
            figures = "".join(f"{row.mean(length)[number]:8.2f}" for length in LENGTHS)
            print(f"{row.name:32}{figures}{row.short()[number]:8.2f}")


def main() -> None:
    """Print the tables of the clips that are fetched for the benches."""
    show(rows(list(followed_clips())))


def _errors(clip: Followed, gap: Gap) -> dict[str, Floats]:
    """`MEASURES` (4,) of each predictor: means over the frames of a gap that show the person well."""
    latest = clip.seen_before(gap, most=HISTORY)
    tracks = [clip.track(frame) for frame in latest]
    seen = clip.seen.part(slice(latest.start, latest.stop))
    smoothed = _poses(tracks)
    said = {name: predictor(seen, gap.length) for name, predictor in (BASELINES | LOSERS).items()}
    said |= {f"{name}, smoothed": predictor(smoothed, gap.length) for name, predictor in BASELINES.items()}
    said["tracker"] = _poses([track for track, _ in clip.withheld(gap)])
    well = clip.well[gap.first : gap.first + gap.length]
    box_px = clip.box_px(gap.first - 1)
    return {
        name: _means(clip, poses, gap, betas=tracks[-1].betas, well=well, box_px=box_px)
        for name, poses in said.items()
    }


def _poses(tracks: Sequence[TrackState]) -> Poses:
    return Poses(np.stack([one.turns for one in tracks]), np.stack([one.place for one in tracks]))


def _means(clip: Followed, poses: Poses, gap: Gap, *, betas: Floats, well: Flags, box_px: float) -> Floats:
    errors = clip.errors(poses, gap.frames, betas=betas)
    each = np.stack([errors.root_mm, errors.absolute_mm, errors.px, 100 * errors.px / box_px], axis=-1)
    return each[well].mean(axis=0)


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m bench.withheld", description=__doc__).parse_args()
    main()
