"""Places are expected where PHALP expects them, with its intervals."""

import numpy as np

from tests.parity.recordings import Recording, recorded
from workers.phalp.learned.location import expect, translation_at

#: Among the 99 numbers of a recorded location: the origin's picture, the translation, the doubt.
ORIGIN, TRANSLATION, DOUBT = slice(88, 90), slice(90, 93), slice(93, 96)


def expected(recording: Recording, case: str) -> np.ndarray:
    """The first 96 numbers as PHALP lays them out: the latest points with another origin, and so on."""
    history = recording[f"{case}_loca"]
    places = np.concatenate([history[..., ORIGIN], history[..., 92:93]], axis=-1)
    found = expect(places, recording[f"{case}_time"], recording[f"{case}_ttp"] + 1)
    latest = history[:, -1, : ORIGIN.start]
    return np.concatenate([latest, found.places[:, :2], translation_at(found.places), found.doubts], axis=1)


@recorded("location")
def test_phalp_expects_people_at_the_recorded_places(recording: Recording) -> None:
    for case in ("steady", "young", "ghost"):
        np.testing.assert_allclose(
            expected(recording, case), recording[f"{case}_EQ_019"][:, :96], rtol=1e-5, atol=1e-6
        )


@recorded("location")
def test_phalp_knows_nothing_of_the_motion_of_people_seen_at_one_time_only(recording: Recording) -> None:
    ours, theirs = expected(recording, "sametime"), recording["sametime_EQ_019"]
    np.testing.assert_allclose(ours[:, : DOUBT.start], theirs[:, : DOUBT.start], rtol=1e-5, atol=1e-6)
    assert np.isnan(theirs[:, DOUBT]).all()
    assert np.isinf(ours[:, DOUBT]).all()
