"""PHALP for a session: the fold over its frames, with the face of the embedded tracker.

Equal arguments give equal results; the state that is passed in stays as it was. What the networks are asked
of the frames of a batch they are asked together. What differs from the published tracker is listed in
docs/tracking.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workers.phalp import recall
from workers.phalp.confidence import confidence, expected_error, joint_confidence, state_of, trust_of
from workers.phalp.innovation import NEWCOMER
from workers.phalp.learned import life
from workers.phalp.learned.associate import Looks, choose, weigh
from workers.phalp.learned.life import CONFIRMED_HITS, Followed, Poses, Tracks
from workers.phalp.learned.location import HISTORY, translation_at
from workers.phalp.learned.pose import BETAS, ROTATIONS
from workers.phalp.learned.sighting import Sighting, in_picture, lift
from workers.phalp.learned.state import Floats, SessionState, TrackState
from workers.phalp.location import pixel_box
from workers.phalp.pace import Pace
from workers.phalp.recall import Place
from workers.target import aimed_at
from workers.tracker import Expected, FrameFacts, Tracked
from workers.types import BodyPose, Observation, Plan, Proposal, TrackedPerson


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What is known of a frame before anybody looked at it.

    time: of the frame. follows: time went forward, and the picture goes on. tracks: expecting their people
    in it. place: of the picture among those remembered.
    """

    time: int
    follows: bool
    tracks: Tracks
    place: Place | None


class LearnedTracker:
    """Holds the networks and bounds of the fold, and nothing of any session."""

    name = "phalp"

    def __init__(self, *, looks: Looks, poses: Poses, max_people: int) -> None:
        self._looks = looks
        self._poses = poses
        self._max_people = max_people

    def start(self) -> SessionState:
        """The state of a session that has seen nothing."""
        return life.begin()

    def read_state(self, stored: bytes) -> SessionState:
        """The state that became these bytes. Raises `UnreadableState`."""
        return SessionState.from_bytes(stored)

    def expect(self, frames: Sequence[tuple[SessionState, FrameFacts]]) -> list[Expected[SessionState]]:
        """Where each frame's observer should expect the people of its session."""
        times = [_time(state, facts) for state, facts in frames]
        # Where no frame was left out, this was done when the last one was folded.
        late = [row for row, (state, _) in enumerate(frames) if times[row][0] != state.time + state.step]
        tracks = [state.tracks for state, _ in frames]
        again = life.expecting([(tracks[row], times[row][0]) for row in late], self._poses)
        for row, mine in zip(late, again, strict=True):
            tracks[row] = mine
        return [
            _expected(state, facts, mine, time=time, forward=forward)
            for (state, facts), mine, (time, forward) in zip(frames, tracks, times, strict=True)
        ]

    def follow(
        self, seen: Sequence[tuple[Expected[SessionState], Sequence[Observation]]]
    ) -> list[Tracked[SessionState]]:
        """The sessions once people were observed: all looks are compared together, and all poses expected."""
        frames = [frame for frame, _ in seen]
        views: list[View] = [frame.view for frame in frames]
        sightings = [
            lift(observations, width=frame.facts.width, height=frame.facts.height)
            for frame, observations in seen
        ]
        weighed = [weigh(view.tracks, mine) for view, mine in zip(views, sightings, strict=True)]
        distances = self._looks([one.question for one in weighed])
        followed = [
            life.follow(
                replace(frame.state, tracks=view.tracks),
                mine,
                choose(one, found),
                time=view.time,
                most=self._max_people,
            )
            for frame, view, mine, one, found in zip(
                frames, views, sightings, weighed, distances, strict=True
            )
        ]
        states = [one.state for one in followed]
        ahead = life.expecting([(state.tracks, state.time + state.step) for state in states], self._poses)
        return [
            _tracked(frame, mine, one, expecting)
            for frame, mine, one, expecting in zip(frames, sightings, followed, ahead, strict=True)
        ]


def _expected(
    state: SessionState, facts: FrameFacts, tracks: Tracks, *, time: int, forward: bool
) -> Expected[SessionState]:
    place = recall.place(state.memory, facts.thumbnail)
    # Either way people need not be near where they were.
    cut = place is not None and (place.turns_back or place.cut)
    view = View(time, forward and not cut, life.displaced(tracks) if cut else tracks, place)
    proposals = tuple(
        Proposal(
            track.track_id,
            _expected_body(track, facts),
            view.follows and track.placed,
            unseen=time - int(track.times[-1]),
            settled=track.hits >= HISTORY,
            trusted=track.hits >= CONFIRMED_HITS,
        )
        for track in view.tracks
    )
    return Expected(state, facts, view, Plan(proposals, state.turn))


def _tracked(
    frame: Expected[SessionState], sightings: Sequence[Sighting], followed: Followed, expecting: Tracks
) -> Tracked[SessionState]:
    """What a frame gave, and what its session goes on with: tracks that expect the next."""
    state, facts, view = followed.state, frame.facts, frame.view
    people = [
        _person(track, sightings[column] if column >= 0 else None, facts, time=state.time)
        for track, column in zip(state.tracks, followed.sighting_of, strict=True)
    ]
    named = None if facts.target is None else aimed_at(facts.target, people)
    primary = _primary(state.tracks, state.primary_id, time=state.time) if named is None else named
    pace = _pace(frame.state).after(facts)
    after = replace(
        state,
        tracks=expecting,
        primary_id=None if primary is None else state.tracks[primary].track_id,
        last_frame=pace.last_frame,
        last_ms=pace.last_ms,
        frame_ms=pace.frame_ms,
        memory=recall.remember(
            state.memory, facts.thumbnail, view.place, turn=frame.state.turn, jumped=not view.follows
        ),
    )
    return Tracked(after, people, primary, new_shot=view.place is not None and view.place.cut)


def _time(state: SessionState, facts: FrameFacts) -> tuple[int, bool]:
    """The frame's time, and whether time went forward: a repeat or a late frame counts as the next one."""
    if state.last_frame is None:
        return 0, True
    step, in_order = _pace(state).step_to(facts)
    return state.time + step, in_order


def _pace(state: SessionState) -> Pace:
    return Pace(state.last_frame, state.last_ms, state.frame_ms)


def _person(track: TrackState, seen: Sighting | None, facts: FrameFacts, *, time: int) -> TrackedPerson:
    """The person as seen in this frame, or else as expected in it."""
    unseen = time - int(track.times[-1])
    trust = trust_of(score=track.score, visibility=track.visibility, detected=track.detected)
    [[error_mm, error_lengths]] = expected_error(NEWCOMER[None], np.array([unseen])).tolist()
    believed = confidence(trust, error_mm=error_mm)
    size_px = float(track.box[3] - track.box[1]) * max(facts.width, facts.height)
    return TrackedPerson(
        track_id=track.track_id,
        state=state_of(unseen=unseen, detected=track.detected),
        frames_since_detected=unseen,
        tentative=track.hits < CONFIRMED_HITS,
        confidence=believed,
        expected_error_mm=error_mm,
        expected_error_px=error_lengths * size_px,
        pose=_body(seen.pose, seen.translation, facts) if seen else _expected_body(track, facts),
        box=pixel_box(_box(track, unseen=unseen), facts.width, facts.height).astype(np.float32),
        joint_confidence=joint_confidence(believed, track.visibility).astype(np.float32),
        box_index=None if seen is None else seen.box_index,
    )


def _expected_body(track: TrackState, facts: FrameFacts) -> BodyPose:
    return _body(track.expected_pose, translation_at(track.expected_place), facts)


def _body(pose: Floats, translation: Floats, facts: FrameFacts) -> BodyPose:
    return BodyPose(
        rotations=pose[ROTATIONS].reshape(24, 3, 3).astype(np.float32),
        betas=pose[BETAS].astype(np.float32),
        translation=in_picture(translation, facts.width, facts.height).astype(np.float32),
    )


def _box(track: TrackState, *, unseen: int) -> Floats:
    """The box when last seen, moved and resized with the place that is expected now."""
    if not unseen:
        return track.box
    seen, now = track.places[-1], track.expected_place
    # Places lie in the square, boxes around the picture's centre; both in units of its longer side.
    return (track.box - np.tile(seen[:2] - 0.5, 2)) * (seen[2] / now[2]) + np.tile(now[:2] - 0.5, 2)


def _primary(tracks: Tracks, primary_id: int | None, *, time: int) -> int | None:
    """Index of who is shown first: the one who was, while followed; else the most prominent one."""
    rows = range(len(tracks))
    same = [row for row in rows if tracks[row].track_id == primary_id]
    in_view = [row for row in rows if tracks[row].times[-1] == time]
    prominent = max(
        in_view or rows, key=lambda row: (_prominence(tracks[row]), -tracks[row].track_id), default=None
    )
    return same[0] if same else prominent


def _prominence(track: TrackState) -> float:
    """Size x centrality x score."""
    height = float(track.box[3] - track.box[1])
    return height * (1 - min(float(np.hypot(*(track.places[-1, :2] - 0.5))), 0.9)) * track.score
