"""People are followed as PHALP follows them: every id, state, hit count and assignment, and the costs.

`tracker_perrow` was recorded with every pose read at its own time, as ours are. `tracker` is the original
with its mistake (`phalp_follow`), which the same fold makes when its poses are read like that.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np

from tests.fixtures import rules
from tests.parity import phalp_networks
from tests.parity.phalp_follow import Remembered, Step, costs_of, lives_of, matches_of, steps
from tests.parity.recordings import Recording, recorded, recordings
from workers.phalp.learned.associate import MOST_TEXTURE, LooksAsked
from workers.phalp.learned.sighting import Sighting
from workers.phalp.learned.state import SessionState
from workers.texture import Texture

#: What the regressor's corrections were multiplied by, to keep unlearned poses near the mean body.
DAMPING = 0.1

#: Among the 99 numbers of a recorded location.
PLACE, TRANSLATION, DOUBT = [88, 89, 92], slice(90, 93), slice(93, 96)

each_tracker = recorded("tracker", "tracker_perrow")


@cache
def frames(variant: str) -> tuple[list[list[Sighting]], list[int]]:
    """Those seen in each frame, and the frames that begin a shot. They stand in `tracker` alone."""
    (seen,) = (each for each in recordings("tracker") if each.variant == variant)
    found: list[list[Sighting]] = [[] for _ in range(int(seen["n_frames"]))]
    poses, locations, scores = seen["det_pose"], seen["det_loca"], seen["det_conf"]
    people = zip(seen["det_frame"], seen["det_person"], strict=True)
    for row, (frame, person) in enumerate(people):
        found[frame].append(
            Sighting(
                pose=poses[row],
                place=locations[row, PLACE],
                translation=locations[row, TRANSLATION],
                texture=texture(rules.track_uv(variant, int(person), int(frame))),
                score=float(scores[row]),
                box=np.zeros(4, np.float32),
                visibility=np.ones(24, np.float32),
                detected=True,
            )
        )
    return found, seen["shot_frames"].tolist()


def texture(uv: np.ndarray) -> Texture:
    seen = uv[3] > 0
    return Texture.of_seen(uv[:3, seen], seen.ravel())


@cache
def looks(variant: str) -> Remembered:
    return Remembered(phalp_networks.both(variant, damping=DAMPING).looks)


@cache
def followed(name: str, variant: str) -> list[Step]:
    found, new_shots = frames(variant)
    return list(
        steps(
            found,
            new_shots=new_shots,
            looks=looks(variant),
            poses=phalp_networks.both(variant, damping=DAMPING).poses,
            misread=name == "tracker",
        )
    )


@each_tracker
def test_phalp_follows_everyone_as_recorded(recording: Recording) -> None:
    ours, _ = lives_of(followed(recording.name, recording.variant))
    np.testing.assert_array_equal(ours, recording["track_rows"][:, :7])


@each_tracker
def test_phalp_takes_everyone_for_whom_he_was_recorded_as(recording: Recording) -> None:
    ours = matches_of(followed(recording.name, recording.variant))
    np.testing.assert_array_equal(ours, recording["matches"])


@each_tracker
def test_phalp_pays_the_recorded_costs(recording: Recording) -> None:
    ours = costs_of(followed(recording.name, recording.variant))
    np.testing.assert_allclose(ours, recording["cost_flat"], rtol=1e-3)


@each_tracker
def test_phalp_expects_everyone_as_recorded(recording: Recording) -> None:
    _, tracks = lives_of(followed(recording.name, recording.variant))
    locations = recording["pred_loca"]
    for ours, theirs in (
        (np.stack([track.expected_place for track in tracks]), locations[:, PLACE]),
        (np.stack([track.expected_doubt for track in tracks]), locations[:, DOUBT]),
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    poses = np.stack([track.expected_pose for track in tracks])
    np.testing.assert_allclose(poses[:, ::12], recording["pred_pose_sub"], rtol=0, atol=2e-4)
    sums = np.stack([rules.checks(pose) for pose in poses])
    np.testing.assert_allclose(sums, recording["pred_pose_checks"], rtol=0, atol=2e-3)


@recorded("tracker_perrow")
def test_looks_that_can_decide_nothing_need_not_be_compared(recording: Recording) -> None:
    found, new_shots = frames(recording.variant)
    asked = [0]

    def counted(questions: Sequence[LooksAsked]) -> list[np.ndarray]:
        asked[0] += sum(len(one.pairs) for one in questions)
        return looks(recording.variant)(questions)

    poses = phalp_networks.both(recording.variant, damping=DAMPING).poses
    ours = list(steps(found, new_shots=new_shots, looks=counted, poses=poses, most_texture=MOST_TEXTURE))
    np.testing.assert_array_equal(lives_of(ours)[0], recording["track_rows"][:, :7])
    np.testing.assert_array_equal(matches_of(ours), recording["matches"])
    assert 0 < asked[0] < (recording["cost_flat"] <= 100).sum()


@recorded("tracker")
def test_phalp_keeps_the_recorded_textures(recording: Recording) -> None:
    _, tracks = lives_of(followed(recording.name, recording.variant))
    sums = np.stack([[rules.checks(channel) for channel in track.texture.map()] for track in tracks])
    np.testing.assert_allclose(sums, recording["pred_uv_checks"], rtol=0, atol=2.0)


@recorded("tracker")
def test_a_stored_session_goes_on_as_if_it_had_never_stopped(recording: Recording) -> None:
    found, _ = frames(recording.variant)
    expected, known = (
        phalp_networks.both(recording.variant, damping=DAMPING).poses,
        looks(recording.variant),
    )
    never_stopped = list(steps(found[:20], looks=known, poses=expected))
    for step, sightings in zip(never_stopped, found, strict=False):
        stored = step.before.to_bytes()
        (again,) = steps([sightings], start=SessionState.from_bytes(stored), looks=known, poses=expected)
        assert again.after.to_bytes() == step.after.to_bytes()
