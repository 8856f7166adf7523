"""The bench of stated errors says what it promises, on answers whose errors are drawn."""

import xml.etree.ElementTree

import numpy as np
import pytest

from bench import calibration, reliability
from bench.error_model import Answers, fit
from bench.reliability import BINS, MIN_SAMPLES
from workers.phalp import confidence
from workers.phalp.confidence import CALIBRATION, expected_error


def drawn(count: int = 4000, *, scale: float = 1.0, known: bool = True) -> Answers:
    """Answers of five clips whose errors are those of the built-in constants in the mean, times `scale`.

    known: whether it is known how much the people change who are predicted.
    """
    random = np.random.default_rng(3)
    unseen = np.where(random.random(count) < 0.3, 0, random.integers(1, 31, count))
    innovation = np.stack([random.lognormal(3.2, 0.7, count), random.lognormal(-4.5, 0.7, count)], axis=-1)
    once = innovation[:, 0] * random.lognormal(0.3, 0.4, count)
    changes = np.stack([once, once * unseen ** random.uniform(0.1, 0.4, count)], axis=-1)
    changes[(unseen == 0) | (not known)] = np.nan
    return Answers(
        clip=np.array(["a", "b", "c", "d", "e"])[random.integers(0, 5, count)],
        unseen=unseen,
        trust=np.full(count, 0.95),
        innovation=innovation,
        changes=changes,
        length_px=random.uniform(200, 900, count),
        off=scale * expected_error(innovation, unseen, changes=changes) * random.gamma(4, 1 / 4, (count, 2)),
    )


@pytest.mark.parametrize("known", [True, False])
def test_constants_are_found_again_from_the_errors_that_they_tell(known):
    given = drawn(known=known)
    told, true = calibration.stated(given, fit(given)), calibration.stated(given, CALIBRATION)
    assert np.quantile(np.abs(told / true - 1), 0.95) < 0.1


def test_errors_that_are_half_as_large_again_are_told_by_other_constants_and_miss_by_the_built_in_ones():
    given = drawn(scale=1.5)
    for found in calibration.compared(given, calibration.held_out(given)).values():
        assert len(found) == BINS and reliability.worst(found) < 0.15
    for found in calibration.compared(given, calibration.stated(given, CALIBRATION)).values():
        assert reliability.worst(found) > 0.25


def test_confidence_falls_with_the_error():
    given = drawn()
    found = calibration.by_confidence(given, calibration.stated(given, CALIBRATION))
    measured = [one.measured for one in found]
    assert measured == sorted(measured, reverse=True)


def test_a_bin_of_few_answers_is_left_out():
    few = np.arange(1.0, BINS * MIN_SAMPLES)
    assert len(reliability.bins(few, few)) == BINS - 1
    assert reliability.bins(few[:20], few[:20]) == []


def test_the_printed_constants_are_the_code_that_they_replace():
    names = {"np": np, "Calibration": confidence.Calibration, "Curve": confidence.Curve, "Final": float}
    exec(calibration.code(CALIBRATION), names)
    built = names["CALIBRATION"]
    given = drawn(100)
    assert calibration.stated(given, built) == pytest.approx(calibration.stated(given, CALIBRATION), rel=1e-2)


def test_the_picture_is_an_svg_with_a_mark_for_every_bin():
    given = drawn()
    found = calibration.compared(given, calibration.stated(given, CALIBRATION))
    svg = xml.etree.ElementTree.fromstring(
        reliability.picture({unit: {"as built in": bins} for unit, bins in found.items()})
    )
    marks = [one for one in svg.iter() if one.tag.endswith("circle")]
    assert len(marks) == 2 * (BINS + 1)  # and one in the legend of each panel
