"""Following people through a session: a pure fold over its frames.

    state', people = track(state, frame, observations)

Call it once for each frame, also when nobody was observed. Equal arguments give equal results, bit by
bit, in whatever order the observations come; the state that is passed in stays as it was. It follows
PHALP (Rajasegaran et al., CVPR 2022): predict -> associate -> update the matched -> age the unmatched
-> start the new -> drop the dead.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from workers.phalp import marks, outlook, recall
from workers.phalp.answer import people_of
from workers.phalp.associate import associate
from workers.phalp.bodies import Bodies, box_of
from workers.phalp.costs import ALL_CUES, Cues
from workers.phalp.doubles import ALIKE, is_part, is_part_box, looks_apart, without_doubles
from workers.phalp.hiding import RECENT, unobstructed
from workers.phalp.location import normalised_box
from workers.phalp.match import SETTLED, Expectation, Verdict, match
from workers.phalp.outlook import Outlook
from workers.phalp.pace import NO_TIMES, Pace
from workers.phalp.predict import out_of_sight
from workers.phalp.primary import choose
from workers.phalp.recall import Place
from workers.phalp.sighting import Sighting, lift
from workers.phalp.skeleton import JointsOf, Skeleton
from workers.phalp.sleep import fall_asleep, woken
from workers.phalp.state import SessionState, TrackState
from workers.phalp.track import CONFIRMED_HITS, begin, is_over, observe
from workers.tracker import Expected, FrameFacts, Tracked
from workers.types import Observation, Plan, Proposal, TrackedPerson

#: Steadiness after a jump, and after a pose that changed at once, as shares of what it was; and the share
#: of what is missing to 1 that a step without either gives back. Below `STEADY` a session is one whose
#: pictures jump.
STEADINESS_AFTER_JUMP: Final = 0.4
STEADINESS_AFTER_CHANGE: Final = 0.7
STEADINESS_REGAINED: Final = 0.04
STEADY: Final = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """How a frame continues a session."""

    step: int  # frames since the last one
    follows: bool  # time went forward, or to a picture whose neighbours are known
    steady: bool  # people are where they are expected
    cut: bool  # another shot begins: where people were tells nothing
    jumps: bool  # the picture shows another part of the video than the last one, or another place
    place: Place | None  # of the picture among those remembered
    outlook: Outlook
    bodies: Bodies  # of those expected


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
        step, in_order = _pace(state).step_to(facts)
        place = recall.place(state.memory, facts.thumbnail)
        turns_back = place is not None and place.turns_back
        seen_from = (
            outlook.back(state, place)
            if place is not None and turns_back
            else outlook.ahead(state, step=step, in_order=in_order)
        )
        return View(
            step=step,
            follows=turns_back or in_order,
            steady=turns_back or (in_order and state.steadiness >= STEADY),
            cut=place is not None and not turns_back and place.cut,
            jumps=place is not None and (turns_back or place.broken),
            place=place,
            outlook=seen_from,
            bodies=Bodies.of(seen_from.expected, self._skeleton),
        )

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

        # predict
        view = view or self.look_ahead(state, facts)
        before, expected = view.outlook.before, view.outlook.expected
        joints = view.bodies.joints()

        # associate
        in_view = [not track.unseen for track in before]
        found = associate(
            expected,
            joints,
            sightings,
            in_view=in_view,
            steady=view.steady,
            cut=view.cut,
            asleep=state.asleep,
            cues=self._cues,
        )

        # update the matched, age the unmatched
        paired = {row for row, _ in found.pairs}
        missed = [track for row, track in enumerate(expected) if row not in paired]
        matches = match(
            found.pairs,
            Expectation(before, expected, view.bodies, joints, view.outlook.continuous, view.steady),
            sightings,
            unobstructed=unobstructed(sightings, missed),
        )
        tracks = [
            replace(track, unseen=old.unseen + view.step)
            for track, old in zip(expected, state.tracks, strict=True)
        ]
        matched = {row for row, _ in found.pairs}
        tracks = out_of_sight(
            tracks,
            lost=[row for row, old in enumerate(state.tracks) if row not in matched and not old.unseen],
        )
        for (row, _), track in zip(found.pairs, observe(matches, skeleton=self._skeleton), strict=True):
            tracks[row] = track
        if view.jumps:
            tracks = [
                replace(track, lasting=True) if shown or not track.unseen else track
                for track, shown in zip(tracks, in_view, strict=True)
            ]

        # start the new, drop the dead
        seen = [one.seen for one in matches]
        tracks = [track for track in tracks if not _is_shadow(track, seen)]
        over = [
            track for track in tracks if track.unseen and is_over(track, inside=_share_inside(track, facts))
        ]
        tracks = [track for track in tracks if track not in over]
        newcomers = [
            sightings[column] for column in found.new_sightings if not is_part(sightings[column], seen)
        ]
        begun = [woken(state.asleep[row], sightings[column]) for row, column in found.woken]
        begun += [begin(state.next_track_id + index, seen) for index, seen in enumerate(newcomers)]
        beginners = [*(sightings[column] for _, column in found.woken), *newcomers]
        seen_as = {one.before.track_id: one.seen for one in matches}
        seen_as |= {track.track_id: seen for track, seen in zip(begun, beginners, strict=True)}
        followed = _make_room(tracks, self._max_people - len(begun), keep=state.primary_id)
        begun = begun[: self._max_people - len(followed)]
        asleep = fall_asleep(
            state.asleep,
            [*over, *(track for track in tracks if track not in followed)],
            awake=begun,
            step=view.step,
        )
        tracks = sorted([*followed, *begun], key=lambda track: track.track_id)

        verdicts = {one.verdict for one in matches}
        jumped = not view.follows or Verdict.JUMPED in verdicts
        wrong = {one.before.track_id: one.contradictions for one in matches}
        people = people_of(tracks, facts, seen_as=seen_as, wrong=wrong, skeleton=self._skeleton)
        first = choose(tracks, people, facts.target, before=state)
        pace = _pace(state).after(facts)
        memory = recall.remember(state.memory, facts.thumbnail, view.place, turn=state.turn, jumped=jumped)
        after = SessionState(
            tracks=tuple(tracks),
            asleep=asleep,
            next_track_id=state.next_track_id + len(newcomers),
            primary_id=first.track_id,
            primary_named=first.named,
            last_frame=pace.last_frame,
            last_ms=pace.last_ms,
            frame_ms=pace.frame_ms,
            turn=state.turn + 1,
            memory=memory,
            marks=marks.remember(state.marks, tracks, turn=state.turn, kept=memory.turns),
            continuous=not jumped,
            steadiness=_steadiness(
                state.steadiness, jumped=jumped, changed=Verdict.CHANGED in verdicts, matched=bool(matches)
            ),
        )
        return after, people, first.index


def _pace(state: SessionState) -> Pace:
    return Pace(state.last_frame, state.last_ms, state.frame_ms)


def _share_inside(track: TrackState, facts: FrameFacts) -> float:
    """The share of a track's box that lies in the picture."""
    box = box_of(track)
    picture = normalised_box(np.array([0, 0, facts.width, facts.height]), facts.width, facts.height)
    shown = np.maximum(np.minimum(box[2:], picture[2:]) - np.maximum(box[:2], picture[:2]), 0)
    return float(np.prod(shown) / max(float(np.prod(box[2:] - box[:2])), 1e-12))


def _is_shadow(track: TrackState, seen: Sequence[Sighting]) -> bool:
    """Whether a suspicion that nobody confirms lies on someone who is seen: it was a bad look at them."""
    suspicion = track.hits < CONFIRMED_HITS and not track.lasting
    if not track.unseen or not suspicion:
        return False
    box = box_of(track)
    return any(is_part_box(box, [one]) and looks_apart(track, one) <= ALIKE for one in seen)


def _make_room(tracks: Sequence[TrackState], places: int, *, keep: int | None) -> list[TrackState]:
    """Give up those who were out of sight for longest, but not `keep`, until `places` hold the rest."""
    surplus = max(len(tracks) - places, 0)
    idle = [track for track in tracks if track.unseen and track.track_id != keep]
    longest = sorted(idle, key=lambda track: (-track.unseen, -track.track_id))[:surplus]
    given_up = {track.track_id for track in longest}
    return [track for track in tracks if track.track_id not in given_up]


def _steadiness(steadiness: float, *, jumped: bool, changed: bool, matched: bool) -> float:
    if jumped:
        return steadiness * STEADINESS_AFTER_JUMP
    if changed:
        return steadiness * STEADINESS_AFTER_CHANGE
    return steadiness + STEADINESS_REGAINED * (1 - steadiness) if matched else steadiness
