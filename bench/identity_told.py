"""A tracker that is told whom every observation shows: what is left of a count is the measure's own.

Only the choice is taken from it: tracks begin, move, are lost and end as they do.
"""

from collections.abc import Callable, Sequence
from unittest.mock import patch

from bench.identity_scene import Frame, Script
from workers.phalp import tracker as tracking
from workers.phalp.associate import Association
from workers.phalp.location import normalised_box
from workers.phalp.sighting import Sighting
from workers.phalp.state import Floats, TrackState
from workers.phalp.tracker import Tracker
from workers.types import TrackedPerson

Answers = Sequence[Sequence[TrackedPerson]]
Follow = Callable[[Sequence[Frame], Script, Tracker], Answers]


def told(follow: Follow) -> Follow:
    """`follow`, by a tracker that is told."""

    def following(frames: Sequence[Frame], script: Script, tracker: Tracker) -> Answers:
        # No two observations have one box, and each track keeps that of its last one.
        shown = {
            normalised_box(seen.box, script.width, script.height).tobytes(): person
            for frame in frames
            for seen, person in zip(frame.observed, frame.whose, strict=True)
        }

        def associate(
            tracks: Sequence[TrackState],
            _joints: Floats,
            sightings: Sequence[Sighting],
            *,
            asleep: Sequence[TrackState] = (),
            **_views: object,
        ) -> Association:
            rows = {shown[track.seen_box.tobytes()]: row for row, track in enumerate(tracks)}
            beds = {shown[track.seen_box.tobytes()]: row for row, track in enumerate(asleep)}
            whose = [shown[seen.box.tobytes()] for seen in sightings]
            return Association(
                pairs=tuple(sorted((rows[one], column) for column, one in enumerate(whose) if one in rows)),
                woken=tuple(
                    (beds[one], column) for column, one in enumerate(whose) if one in beds and one not in rows
                ),
                new_sightings=tuple(
                    column for column, one in enumerate(whose) if one not in rows and one not in beds
                ),
            )

        with patch.object(tracking, "associate", associate):
            return follow(frames, script, tracker)

    return following
