"""Whether poses are as far off as they say: `python -m bench.calibration`; with `--fit`, constants that fit.

Over all answers of the withheld detections (`bench.withheld`), observed poses and predicted ones. Errors are
stated twice: by the constants that are built in, and for each clip by constants that were fitted to the
other clips alone. Measured they are against the motion smoothed over both sides, see `bench.gaps`.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
from scipy.stats import spearmanr

from bench import reliability
from bench.error_model import Answers, Floats, fit
from bench.recorded import Followed, followed_clips
from bench.reliability import Bin
from workers.phalp.confidence import CALIBRATION, Calibration, Curve, confidence, expected_error
from workers.phalp.location import size_at

#: The picture in the documentation.
PICTURE: Final = Path(__file__).parents[1] / "docs" / "calibration.svg"


def answers(clips: Iterable[Followed]) -> Answers:
    """All answers of the withheld detections."""
    samples, length_px = [], []
    for clip in clips:
        facts = clip.recording.facts[0]
        mine = list(clip.samples())
        samples += mine
        length_px += [float(size_at(one.track.place)) * max(facts.width, facts.height) for one in mine]
    return Answers(
        clip=np.array([one.clip for one in samples]),
        unseen=np.array([one.track.unseen for one in samples]),
        trust=np.array([one.track.trust for one in samples]),
        innovation=np.stack([one.track.innovation for one in samples]),
        changes=np.stack([one.changes for one in samples]),
        length_px=np.array(length_px),
        off=np.array([[one.root_mm, one.px] for one in samples]) / _units(np.array(length_px)),
    )


def stated(given: Answers, calibration: Calibration) -> Floats:
    """The errors (N, 2) stated of the answers, mm and body lengths."""
    return expected_error(given.innovation, given.unseen, calibration, changes=given.changes)


def held_out(given: Answers) -> Floats:
    """The same, of each clip by constants that were fitted to the others."""
    errors = np.zeros_like(given.off)
    for clip in np.unique(given.clip):
        mine = given.clip == clip
        errors[mine] = stated(given.part(mine), fit(given.part(~mine)))
    return errors


def compared(given: Answers, errors: Floats) -> dict[str, list[Bin]]:
    """The bins of `errors` (N, 2) stated of the answers, by the unit."""
    units = _units(given.length_px)
    return {
        unit: reliability.bins((errors * units)[:, column], (given.off * units)[:, column])
        for column, unit in enumerate(("mm", "px"))
    }


def by_confidence(given: Answers, errors: Floats) -> list[Bin]:
    """Bins of rising `tracking_confidence`, as `stated`, and the millimetres measured."""
    confident = [confidence(trust, error_mm=mm) for trust, mm in zip(given.trust, errors[:, 0], strict=True)]
    return reliability.bins(np.array(confident), given.off[:, 0])


def show(given: Answers, errors: Floats, *, name: str) -> None:
    """Print how far the stated errors are off, of all answers, and of observed and predicted ones alone."""
    for kind, rows in (
        ("all answers", np.full(len(errors), True)),
        ("observed", given.unseen == 0),
        ("predicted", given.unseen > 0),
    ):
        for unit, found in compared(given.part(rows), errors[rows]).items():
            print(reliability.table(f"{name}: {kind}", found, unit))
    found = by_confidence(given, errors)
    rank = spearmanr([one.stated for one in found], [one.measured for one in found]).statistic
    print(f"{name}: Spearman of tracking_confidence with measured mm over bins {rank:+.2f}")
    print("  " + ", ".join(f"{one.stated:.2f}: {one.measured:.0f} mm" for one in found))


def code(calibration: Calibration) -> str:
    """The constants as `workers.phalp.confidence` has them."""
    lines = ["CALIBRATION: Final = Calibration("]
    for name in ("observed", "predicted"):
        curve = getattr(calibration, name)
        lines += [
            f"    {name}=Curve(",
            *(f"    {_line(curve, field)}" for field in Curve.__slots__),
            "    ),",
        ]
    return "\n".join([*lines, _line(calibration, "growth"), _line(calibration, "change"), ")"])


def main() -> None:
    """Print the tables, or the constants, for the clips that are fetched for the benches."""
    arguments = argparse.ArgumentParser(prog="python -m bench.calibration", description=__doc__)
    arguments.add_argument("--fit", action="store_true", help="print the constants that fit all clips")
    arguments.add_argument("--draw", action="store_true", help=f"draw docs/{PICTURE.name} anew")
    chosen = arguments.parse_args()
    given = answers(followed_clips())
    if chosen.fit:
        print(code(fit(given)))
        return
    built_in, others = stated(given, CALIBRATION), held_out(given)
    show(given, built_in, name="built in")
    show(given, others, name="held out")
    if chosen.draw:
        series = {"as built in": compared(given, built_in), "clips held out": compared(given, others)}
        PICTURE.write_text(
            reliability.picture(
                {unit: {name: found[unit] for name, found in series.items()} for unit in ("mm", "px")}
            )
        )


def _line(numbers: Calibration | Curve, field: str) -> str:
    first, second = getattr(numbers, field)
    return f"    {field}=np.array([{first:.4g}, {second:.4g}]),"


def _units(length_px: Floats) -> Floats:
    """(N, 2): what errors in mm and body lengths are multiplied with to be mm and pixels."""
    return np.stack([np.ones_like(length_px), length_px], axis=-1)


if __name__ == "__main__":
    main()
