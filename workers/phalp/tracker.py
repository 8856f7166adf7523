"""Following people through a session: a pure fold over its frames.

    state', people = track(state, frame, observations)

Call it once for each frame, also when nobody was observed. Equal arguments give equal results, bit by
bit, in whatever order the observations come; the state that is passed in stays as it was. It follows
PHALP (Rajasegaran et al., CVPR 2022): predict -> associate -> update the matched, age the others -> start
the new -> end the dead.
"""

from collections.abc import Sequence
from dataclasses import replace

from workers.phalp import marks, recall
from workers.phalp.answer import people_of
from workers.phalp.associate import Association, associate
from workers.phalp.continuity import View, continued, look_ahead
from workers.phalp.costs import ALL_CUES, Cues
from workers.phalp.doubles import without_doubles
from workers.phalp.hiding import RECENT, unobstructed
from workers.phalp.match import SETTLED, Expectation, Match, match
from workers.phalp.pace import NO_TIMES
from workers.phalp.predict import out_of_sight
from workers.phalp.primary import choose
from workers.phalp.sighting import Sighting, lift
from workers.phalp.skeleton import JointsOf, Skeleton
from workers.phalp.state import SessionState, TrackState
from workers.phalp.track import CONFIRMED_HITS, observe
from workers.phalp.turnover import Started, end, start
from workers.tracker import Expected, FrameFacts, Tracked
from workers.types import Observation, Plan, Proposal, TrackedPerson


class Tracker:
    """Holds the parts and bounds of the fold, and nothing of any session."""

    name = "phalp-embedded"

    def __init__(self, *, joints_of: JointsOf, max_people: int, cues: Cues = ALL_CUES) -> None:
        self._skeleton = Skeleton(joints_of)
        self._max_people = max_people
        self._cues = cues

    def start(self) -> SessionState:
        """The state of a session that has seen nothing."""
        return SessionState(
            tracks=(),
            asleep=(),
            next_track_id=1,
            primary_id=None,
            primary_named=False,
            last_frame=None,
            last_ms=None,
            frame_ms=NO_TIMES,
            turn=0,
            memory=recall.blank(),
            marks=marks.none(),
            continuous=True,
            steadiness=1.0,
        )

    def read_state(self, stored: bytes) -> SessionState:
        """The state that became these bytes. Raises `UnreadableState`."""
        return SessionState.from_bytes(stored)

    def expect(self, frames: Sequence[tuple[SessionState, FrameFacts]]) -> list[Expected[SessionState]]:
        """What `plan` says of each frame, with the view by which it says so."""
        views = [self.look_ahead(*frame) for frame in frames]
        return [
            Expected(state, facts, view, self.plan(state, facts, view))
            for (state, facts), view in zip(frames, views, strict=True)
        ]

    def follow(
        self, seen: Sequence[tuple[Expected[SessionState], Sequence[Observation]]]
    ) -> list[Tracked[SessionState]]:
        """What `track` says of each frame."""
        return [
            Tracked(*self.track(frame.state, frame.facts, observations, frame.view), new_shot=frame.view.cut)
            for frame, observations in seen
        ]

    def look_ahead(self, state: SessionState, facts: FrameFacts) -> View:
        """What is known of a frame before anybody looked at it: `plan` and `track` both go by it."""
        return look_ahead(state, facts, skeleton=self._skeleton)

    def plan(self, state: SessionState, facts: FrameFacts, view: View | None = None) -> Plan:
        """Where the observer should expect the people of `state` in this frame.

        `view` is what `look_ahead` gives for the same arguments, for those who need it more than once.
        """
        view = view or self.look_ahead(state, facts)
        return Plan(
            tuple(
                Proposal(
                    track.track_id,
                    pose,
                    continuous,
                    unseen=track.unseen,
                    settled=track.known >= SETTLED,
                    trusted=track.hits >= CONFIRMED_HITS,
                    anywhere=view.jumps or (track.lasting and 1 < track.unseen <= RECENT),
                )
                for track, pose, continuous in zip(
                    view.outlook.expected, view.bodies.poses(), view.outlook.continuous, strict=True
                )
            ),
            state.turn,
        )

    def track(
        self,
        state: SessionState,
        facts: FrameFacts,
        observations: Sequence[Observation],
        view: View | None = None,
    ) -> tuple[SessionState, list[TrackedPerson], int | None]:
        """The next state, everyone who is followed (by rising id), and the index of the primary person.

        `view`: as for `plan`.
        """
        lifted = lift(observations, skeleton=self._skeleton, width=facts.width, height=facts.height)
        sightings = without_doubles(lifted)

        view = view or self.look_ahead(state, facts)
        expected = _predict(view)
        found = self._associate(state, view, expected, sightings)
        matches, tracks = self._update(state, view, expected, found, sightings)
        seen = [one.seen for one in matches]
        started = start(found, sightings, seen, state=state)
        tracks, asleep = end(
            tracks, started, seen, state=state, facts=facts, step=view.step, max_people=self._max_people
        )

        people = self._answer(tracks, facts, matches, started)
        first = choose(tracks, people, facts.target, before=state)
        after = continued(
            state,
            facts,
            view,
            matches,
            tracks=tracks,
            asleep=asleep,
            next_track_id=started.next_track_id,
            first=first,
        )
        return after, people, first.index

    def _associate(
        self, state: SessionState, view: View, expected: Expectation, sightings: Sequence[Sighting]
    ) -> Association:
        """Who of those expected, or asleep, each sighting shows."""
        return associate(
            expected.tracks,
            expected.joints,
            sightings,
            in_view=[not track.unseen for track in expected.before],
            steady=view.steady,
            cut=view.cut,
            asleep=state.asleep,
            cues=self._cues,
        )

    def _update(
        self,
        state: SessionState,
        view: View,
        expected: Expectation,
        found: Association,
        sightings: Sequence[Sighting],
    ) -> tuple[list[Match], list[TrackState]]:
        """What was seen of the tracks; and the tracks: the matched as seen, the others one step older."""
        matched = {row for row, _ in found.pairs}
        missed = [row for row in range(len(expected.tracks)) if row not in matched]
        matches = match(
            found.pairs,
            expected,
            sightings,
            unobstructed=unobstructed(sightings, [expected.tracks[row] for row in missed]),
        )
        tracks = _age(expected.tracks, missed, state=state, step=view.step)
        for (row, _), track in zip(found.pairs, observe(matches, skeleton=self._skeleton), strict=True):
            tracks[row] = track
        if view.jumps:
            tracks = [
                track if old.unseen and track.unseen else replace(track, lasting=True)
                for track, old in zip(tracks, expected.before, strict=True)
            ]
        return matches, tracks

    def _answer(
        self, tracks: Sequence[TrackState], facts: FrameFacts, matches: Sequence[Match], started: Started
    ) -> list[TrackedPerson]:
        """The people of `tracks`, each beside what was seen of them."""
        seen_as = {one.before.track_id: one.seen for one in matches}
        seen_as |= {track.track_id: seen for track, seen in zip(started.tracks, started.seen, strict=True)}
        wrong = {one.before.track_id: one.contradictions for one in matches}
        return people_of(tracks, facts, seen_as=seen_as, wrong=wrong, skeleton=self._skeleton)


def _predict(view: View) -> Expectation:
    """The tracks as the frame should show them."""
    return Expectation(
        view.outlook.before,
        view.outlook.expected,
        view.bodies,
        view.bodies.joints(),
        view.outlook.continuous,
        view.steady,
    )


def _age(
    tracks: Sequence[TrackState], missed: Sequence[int], *, state: SessionState, step: int
) -> list[TrackState]:
    """`tracks`, expected in the order of `state`, `step` frames after it; nobody saw those `missed`."""
    aged = [replace(track, unseen=old.unseen + step) for track, old in zip(tracks, state.tracks, strict=True)]
    return out_of_sight(aged, lost=[row for row in missed if not state.tracks[row].unseen])
