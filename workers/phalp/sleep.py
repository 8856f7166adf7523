"""Who was followed and is no more: remembered for a while by their looks, and known again on coming back.

Nobody asleep is answered or looked for. A newcomer who looks like one of them is that person, by the same id.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from workers.phalp import appearance
from workers.phalp.sighting import Sighting
from workers.phalp.state import TrackState
from workers.phalp.track import begin

#: Sightings that make a person worth remembering for long; who was seen less often may have been nobody, and
#: is remembered for so many frames, where there is room.
KNOWN_HITS: Final = 10
YOUNG_FRAMES: Final = 60
#: Most frames without a sighting, a minute of usual video, and most people remembered in one session.
MAX_FRAMES: Final = 1500
MAX_ASLEEP: Final = 8


def fall_asleep(
    asleep: Sequence[TrackState], over: Sequence[TrackState], *, awake: Sequence[TrackState], step: int
) -> tuple[TrackState, ...]:
    """Those asleep `step` frames later: with those whose life is `over`, without those `awake` again."""
    risen = {track.track_id for track in awake}
    older = [replace(track, unseen=track.unseen + step) for track in asleep if track.track_id not in risen]
    kept = [track for track in [*older, *over] if track.unseen <= _longest(track)]
    latest = sorted(kept, key=lambda track: (track.hits < KNOWN_HITS, track.unseen, track.track_id))
    latest = latest[:MAX_ASLEEP]
    return tuple(sorted(latest, key=lambda track: track.track_id))


def woken(track: TrackState, seen: Sighting) -> TrackState:
    """A track that was asleep, as it is seen again: its motion begins anew, who the person is, it knows."""
    colours, weights = appearance.remember(
        track.appearance, track.patch_weight, seen.appearance, seen.patch_weight
    )
    return replace(
        begin(track.track_id, seen),
        hits=track.hits + 1,
        betas=track.betas,
        appearance=colours,
        patch_weight=weights,
    )


def _longest(track: TrackState) -> int:
    """Frames for which a track is remembered at most."""
    return MAX_FRAMES if track.hits >= KNOWN_HITS else YOUNG_FRAMES
