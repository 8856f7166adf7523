"""A whole video is seen and followed as PHALP does it: from pictures to who is where in each frame."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest

from tests.fixtures import rules
from tests.parity import phalp_networks, phalp_rounding, phalp_scene
from tests.parity.phalp_follow import Remembered, Step, costs_of, lives_of, steps
from tests.parity.phalp_scene import Seen, seen
from tests.parity.recordings import Recording, recorded
from workers.phalp.learned.life import CONFIRMED_HITS
from workers.phalp.learned.sighting import Sighting

#: Texels that rounding may show or hide.
MAY_DIFFER = 50

#: In which a texture keeps a colour's numbers, one over it.
STEPS_OF_A_COLOUR = 16384


@cache
def followed(variant: str) -> list[Step]:
    networks = phalp_networks.both(variant)
    frames = [[each.sighting for each in frame] for frame in seen(variant)]
    return list(steps(frames, looks=Remembered(networks.looks), poses=networks.poses, misread=True))


@cache
def as_it_rounds(recording: Recording) -> list[list[Sighting]]:
    """The sightings from the recorded bodies. Skips where none can be the same to the last bit."""
    if not phalp_rounding.rounds_alike():
        pytest.skip("this processor's sums round otherwise than those of the recording")
    return phalp_scene.as_recorded(recording)


def everyone(variant: str) -> list[Seen]:
    return [each for frame in seen(variant) for each in frame]


@recorded("e2e_track")
def test_phalp_sees_the_recorded_people(recording: Recording) -> None:
    ours = everyone(recording.variant)
    numbers = [number for number, frame in enumerate(seen(recording.variant)) for _ in frame]
    np.testing.assert_array_equal(numbers, recording["det_frame"])
    corners = np.stack([each.box for each in ours])
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    np.testing.assert_array_equal(boxes, recording["det_bbox"])
    locations = np.stack([each.location for each in ours])
    np.testing.assert_allclose(locations, recording["det_loca"], rtol=1e-4, atol=2e-4)
    poses = np.stack([each.sighting.pose for each in ours])
    np.testing.assert_allclose(poses, recording["det_pose"], rtol=0, atol=2e-4)


@recorded("e2e_track")
def test_phalp_unfolds_the_recorded_surfaces(recording: Recording) -> None:
    textures = [each.sighting.texture for each in everyone(recording.variant)]
    counts = np.array([texture.colours.shape[1] for texture in textures])
    assert (np.abs(counts - recording["det_uv_mask_count"]) <= MAY_DIFFER).all()
    sums = np.stack([[rules.checks(channel) for channel in texture.map()] for texture in textures])
    np.testing.assert_allclose(sums, recording["det_uv_checks"], rtol=0, atol=2 * MAY_DIFFER)


@recorded("e2e_track")
def test_phalp_unfolds_the_recorded_bodies_texel_by_texel(recording: Recording) -> None:
    textures = [each.texture for frame in as_it_rounds(recording) for each in frame]
    counts = [texture.colours.shape[1] for texture in textures]
    np.testing.assert_array_equal(counts, recording["det_uv_mask_count"])
    sums = np.stack([[rules.checks(channel) for channel in texture.map()] for texture in textures])
    np.testing.assert_array_equal(sums[:, 3], recording["det_uv_checks"][:, 3])
    # The mask is exact; colours are kept in whole steps, and may each be half a one off.
    half_steps = max(counts) / 2 / STEPS_OF_A_COLOUR
    np.testing.assert_allclose(sums[:, :3], recording["det_uv_checks"][:, :3], rtol=0, atol=half_steps)


@recorded("e2e_track")
def test_phalp_follows_them_as_recorded(recording: Recording) -> None:
    ours, _ = lives_of(followed(recording.variant))
    np.testing.assert_array_equal(ours, recording["live"])


@recorded("e2e_track")
def test_phalp_pays_the_recorded_costs_for_them(recording: Recording) -> None:
    ours, theirs = costs_of(followed(recording.variant)), recording["cost_flat"]
    # Bodies that differ by last bits show other texels, which stay in the textures: a few costs move more.
    off = np.abs(ours / theirs - 1)
    assert np.mean(off < 1e-3) > 0.8
    assert off.max() < 1e-2


@recorded("e2e_track")
def test_phalp_pays_the_recorded_costs_for_the_recorded_bodies(recording: Recording) -> None:
    networks = phalp_networks.both(recording.variant)
    taken = list(steps(as_it_rounds(recording), looks=networks.looks, poses=networks.poses, misread=True))
    np.testing.assert_array_equal(lives_of(taken)[0], recording["live"])
    np.testing.assert_allclose(costs_of(taken), recording["cost_flat"], rtol=1e-3, atol=0)


@dataclass(frozen=True)
class Row:
    """A line of the original's results: who is said to be in a frame, as last seen so many frames ago."""

    track_id: int
    unseen: int
    last: Seen


def results(variant: str) -> list[list[Row]]:
    """The original's results of each frame: a track that is sure of itself is told four frames back."""
    frames: list[list[Row]] = []
    history: dict[int, list[Seen]] = {}
    for step, people in zip(followed(variant), seen(variant), strict=True):
        frames.append([])
        for track, column in zip(step.after.tracks, step.followed.sighting_of, strict=True):
            mine = history.setdefault(track.track_id, [])
            mine += [people[column]] if column >= 0 else []
            if track.hits >= CONFIRMED_HITS:
                frames[-1].append(Row(track.track_id, step.time - int(track.times[-1]), mine[-1]))
            if track.hits == CONFIRMED_HITS and column >= 0:
                for frame, last in zip(frames[-5:-1], mine[-5:-1], strict=True):
                    frame.append(Row(track.track_id, 0, last))
    return frames


@recorded("e2e_track")
def test_what_the_original_says_of_a_frame_follows_from_ours(recording: Recording) -> None:
    frames = results(recording.variant)
    rows = [(number, slot, row) for number, frame in enumerate(frames) for slot, row in enumerate(frame)]
    told = [(number, slot, row.track_id, row.unseen) for number, slot, row in rows]
    theirs = [recording[f"row_{name}"] for name in ("frame", "slot", "tid", "time")]
    np.testing.assert_array_equal(told, np.stack(theirs, axis=1))

    last = [row.last for _, _, row in rows]
    longer = max(rules.SCENE_HW)
    for name, ours in {
        "conf": [each.score for each in last],
        "bbox": [[*each.box[:2], *(each.box[2:] - each.box[:2])] for each in last],
        "center": [each.center for each in last],
        "scale": [each.side / longer for each in last],
        "camera": [each.sighting.translation for each in last],
        "camera_bbox": [each.camera for each in last],
        "j2d": [each.location[:90] for each in last],
        "betas": [each.betas for each in last],
        "j3d_checks": [rules.checks(each.joints) for each in last],
        "smpl_checks": [
            np.append(rules.checks(each.rotations[:1]), rules.checks(each.rotations[1:])) for each in last
        ],
    }.items():
        theirs = recording[f"row_{name}"]
        np.testing.assert_allclose(np.array(ours), theirs, rtol=1e-4, atol=5e-4, err_msg=name)
