"""How a frame continues a session: its `View` before anybody looked at it, the next state after."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from workers.phalp import marks, outlook, recall
from workers.phalp.bodies import Bodies
from workers.phalp.match import Match, Verdict
from workers.phalp.outlook import Outlook
from workers.phalp.pace import Pace
from workers.phalp.primary import Primary
from workers.phalp.recall import Place
from workers.phalp.skeleton import Skeleton
from workers.phalp.state import SessionState, TrackState
from workers.tracker import FrameFacts

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


def look_ahead(state: SessionState, facts: FrameFacts, *, skeleton: Skeleton) -> View:
    """What is known of a frame before anybody looked at it."""
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
        bodies=Bodies.of(seen_from.expected, skeleton),
    )


def continued(
    state: SessionState,
    facts: FrameFacts,
    view: View,
    matches: Sequence[Match],
    *,
    tracks: Sequence[TrackState],
    asleep: tuple[TrackState, ...],
    next_track_id: int,
    first: Primary,
) -> SessionState:
    """The state after a frame in which there were these matches."""
    verdicts = {one.verdict for one in matches}
    jumped = not view.follows or Verdict.JUMPED in verdicts
    pace = _pace(state).after(facts)
    memory = recall.remember(state.memory, facts.thumbnail, view.place, turn=state.turn, jumped=jumped)
    return SessionState(
        tracks=tuple(tracks),
        asleep=asleep,
        next_track_id=next_track_id,
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


def _pace(state: SessionState) -> Pace:
    return Pace(state.last_frame, state.last_ms, state.frame_ms)


def _steadiness(steadiness: float, *, jumped: bool, changed: bool, matched: bool) -> float:
    if jumped:
        return steadiness * STEADINESS_AFTER_JUMP
    if changed:
        return steadiness * STEADINESS_AFTER_CHANGE
    return steadiness + STEADINESS_REGAINED * (1 - steadiness) if matched else steadiness
