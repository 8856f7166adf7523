"""Who stays who: people who cross, hide, leave and come back, in rendered scenes and across cuts."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.identity import answers_of, judged
from bench.identity_measures import Judged, Score, score, switches
from bench.identity_scene import Script, Studio
from bench.identity_told import told
from body.model import Body
from tests.workers.stick_people import HEIGHT, WIDTH, Person, joints_of
from workers.phalp.appearance import odds_of_others
from workers.phalp.costs import Cues
from workers.phalp.sleep import MAX_ASLEEP, MAX_FRAMES, YOUNG_FRAMES
from workers.phalp.state import SessionState
from workers.phalp.track import MAX_UNSEEN
from workers.phalp.tracker import Tracker
from workers.thumbnail import Thumbnail
from workers.tracker import FrameFacts
from workers.types import BodyPose, Observation, TrackedPerson

THREE_SECONDS = 75
SPLICED = Path(__file__).parent.parent / "fixtures" / "spliced.npz"


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(joints_of=joints_of, max_people=8)


def follow(
    tracker: Tracker,
    frames: list[list[Observation]],
    thumbnails: list[Thumbnail] | None = None,
) -> tuple[SessionState, list[list[TrackedPerson]]]:
    state, answers = tracker.start(), []
    for number, seen in enumerate(frames):
        facts = FrameFacts(number, WIDTH, HEIGHT, thumbnails[number] if thumbnails else None)
        state, people, _ = tracker.track(state, facts, seen)
        answers.append(people)
    return state, answers


def leaver(frame: int) -> list[Observation]:
    """Walks out to the right, and three seconds later in again from there."""
    out = Person(1, start_px=(480.0, 180.0), speed_px=(4.0, 0.0))
    back = Person(1, start_px=(640.0, 180.0), speed_px=(-4.0, 0.0))
    if frame < 40:
        return [out.observed(frame, noise=0.02)]
    came = frame - 40 - THREE_SECONDS
    return [back.observed(came, noise=0.02)] if came >= 0 else []


# ------------------------------------------------------------------ rendered scenes


def test_people_who_cross_and_hide_and_are_missed_a_third_of_the_time_keep_their_ids():
    script = Script(seed=30, people=3, frames=70, alike=False, leavers=0)
    studio = Studio()
    frames = studio.film(script)
    whole = Tracker(joints_of=studio.body.joints, max_people=8)
    blind = Tracker(joints_of=studio.body.joints, max_people=8, cues=Cues(location=0.0, appearance=0.0))
    assert sum(len(frame.present) - len(frame.observed) for frame in frames) > 50
    assert score(judged(frames, answers_of(frames, script, whole))).switches == 0
    assert score(judged(frames, answers_of(frames, script, blind))).switches > 0
    assert score(judged(frames, told(answers_of)(frames, script, blind))).switches == 0


def test_who_was_seen_once_is_not_followed_for_long_but_known_again(tracker):
    person = Person(1)
    frames = [[person.observed(0)], *[[] for _ in range(10)], [person.observed(11)]]
    _, answers = follow(tracker, frames)
    assert [one.track_id for one in answers[0]] == [one.track_id for one in answers[11]]
    assert answers[10] == []


def test_who_was_seen_once_is_forgotten_soon(tracker):
    person = Person(1)
    frames = [[person.observed(0)], *[[] for _ in range(YOUNG_FRAMES + 5)], [person.observed(1)]]
    _, answers = follow(tracker, frames)
    assert [one.track_id for one in answers[0]] != [one.track_id for one in answers[-1]]


def test_a_film_is_what_its_script_says_and_no_more():
    script = Script(seed=5, people=2, frames=3, alike=False)
    film, again = Studio().film(script), Studio().film(script)
    for frame, same in zip(film, again, strict=True):
        assert frame.whose == same.whose
        assert [seen.appearance.tobytes() for seen in frame.observed] == [
            seen.appearance.tobytes() for seen in same.observed
        ]


# ------------------------------------------------------------------ coming out from behind somebody

FRONT = Person(1, start_px=(320.0, 180.0), speed_px=(0.0, 0.0), height_px=160.0)
BEHIND = Person(2, start_px=(320.0, 180.0), speed_px=(0.0, 0.0), height_px=140.0)


def half_hidden(seen: Observation) -> Observation:
    """Half of the body is out of view, and nothing has the colours that the person is known by."""
    visibility = np.where(np.arange(24) % 2, 0.2, 0.9).astype(np.float32)
    return replace(seen, joint_visibility=visibility, appearance=1 - seen.appearance)


def hider(frame: int) -> list[Observation]:
    """Stands beside somebody for 20 frames, behind them for 20, and comes out half, then whole.

    Whoever stands in front is missed from then on.
    """
    beside = replace(BEHIND, start_px=(420.0, 180.0)).observed(frame)
    if frame < 20:
        return [FRONT.observed(frame), beside]
    if frame < 40:
        return [FRONT.observed(frame)]
    coming = replace(BEHIND, start_px=(345.0, 180.0)).observed(frame)
    return [half_hidden(coming) if frame < 43 else coming]


def test_who_comes_out_from_behind_somebody_is_named_when_enough_of_him_shows(tracker):
    _, answers = follow(tracker, [hider(frame) for frame in range(60)])
    assert {one.track_id for people in answers for one in people} == {1, 2}
    shown = {one.track_id: one.box for one in answers[-1] if one.state == "detected"}
    assert shown[2] == pytest.approx(hider(59)[-1].box)


def test_who_is_cut_by_the_edge_and_stands_alone_is_answered_at_once(tracker):
    newcomer = Person(3, start_px=(120.0, 180.0), speed_px=(0.0, 0.0))
    frames = [[FRONT.observed(frame)] for frame in range(20)]
    _, answers = follow(tracker, [*frames, [half_hidden(newcomer.observed(20))]])
    assert [(one.track_id, one.frames_since_detected) for one in answers[-1]] == [(1, 1), (2, 0)]


def either(frame: int) -> list[Observation]:
    """Two stand apart for 20 frames and are missed; one is back between them, in half view and then full."""
    left, right = (replace(BEHIND, start_px=(x, 180.0)) for x in (300.0, 340.0))
    third = replace(FRONT, start_px=(500.0, 180.0)).observed(frame)
    if frame < 20:
        return [left.observed(frame), right.observed(frame), third]
    back = replace(left, start_px=(320.0, 180.0)).observed(frame)
    visibility = np.where(np.arange(24) % 3, 0.9, 0.5).astype(np.float32)
    unclear = replace(back, joint_visibility=visibility)
    return [third, *[[], [unclear], [back]][min(max(frame - 22, 0), 2)]]


def test_who_may_be_either_of_two_who_are_lost_is_named_when_more_of_him_shows(tracker):
    _, answers = follow(tracker, [either(frame) for frame in range(26)])
    seen = [{one.track_id for one in people if one.frames_since_detected == 0} for people in answers]
    assert (len(seen[19]), len(seen[22]), len(seen[23])) == (3, 1, 1)
    assert len(seen[24]) == 2
    assert seen[24] < seen[19]


@pytest.mark.parametrize(("apart", "sign"), [(0.02, -1.0), (0.3, 1.0)])
def test_the_more_of_two_people_shows_the_surer_it_is_whether_they_are_one(apart, sign):
    one, other = np.full((52, 3), 0.3), np.full((52, 3), 0.3 + apart)
    odds = [
        sign * float(odds_of_others(one, shown, other, np.ones(52), most=np.inf))
        for shown in (np.arange(52) < count for count in (0, 3, 12, 52))
    ]
    assert odds == sorted(odds)
    assert odds[0] == 0 < odds[1] < odds[-1]


# ------------------------------------------------------------------ leaving and coming back


def test_who_leaves_and_comes_back_after_three_seconds_has_the_same_id(tracker):
    _, answers = follow(tracker, [leaver(frame) for frame in range(140)])
    assert {one.track_id for people in answers for one in people} == {1}
    assert [one.state for one in answers[-1]] == ["detected"]


def test_somebody_else_who_comes_in_has_another_id(tracker):
    other = Person(2, start_px=(640.0, 180.0), speed_px=(-4.0, 0.0))
    frames = [leaver(frame) if frame < 60 else [other.observed(frame - 60)] for frame in range(80)]
    _, answers = follow(tracker, frames)
    assert [one.track_id for one in answers[-1]] == [2]


def test_who_is_remembered_only_is_neither_answered_nor_looked_for(tracker):
    state, answers = follow(tracker, [leaver(frame) for frame in range(110)])
    assert answers[-1] == []
    assert len(state.asleep) == 1
    assert tracker.plan(state, FrameFacts(110, WIDTH, HEIGHT)).proposals == ()


def test_nobody_is_remembered_for_ever(tracker):
    state, _ = follow(tracker, [leaver(frame) for frame in range(110)])
    state, _, _ = tracker.track(state, FrameFacts(110 + MAX_FRAMES, WIDTH, HEIGHT), [])
    assert state.asleep == ()


def test_a_bounded_number_of_people_is_remembered_in_a_bounded_state(tracker):
    frames: list[list[Observation]] = []
    for seed in range(MAX_ASLEEP + 1):
        person = Person(seed, start_px=(320.0, 180.0), speed_px=(0.0, 0.0))
        frames += [[person.observed(frame)] for frame in range(17)] + [[]] * (MAX_UNSEEN + 1)
    state, _ = follow(tracker, frames)
    assert len(state.asleep) == MAX_ASLEEP
    assert len(state.to_bytes()) < 64 * 1024
    assert SessionState.from_bytes(state.to_bytes()).to_bytes() == state.to_bytes()


# ------------------------------------------------------------------ cuts


def picture(seed: int) -> Thumbnail:
    """What a shot looks like."""
    return np.random.default_rng(seed).integers(0, 256, (16, 16), dtype=np.uint8)


def drifting(seed: int, count: int) -> list[Thumbnail]:
    """The same shot, a little otherwise in every frame."""
    draw = np.random.default_rng(100 + seed)
    return [
        np.clip(picture(seed) + draw.normal(0, 1.5, (16, 16)), 0, 255).astype(np.uint8) for _ in range(count)
    ]


def test_after_a_cut_people_are_known_by_their_looks_wherever_they_are(tracker):
    left, right = (Person(seed, start_px=(x, 180.0), speed_px=(0.0, 0.0)) for seed, x in ((1, 200), (2, 440)))
    changed = [replace(left, start_px=(440.0, 180.0)), replace(right, start_px=(200.0, 180.0))]
    frames = [[one.observed(frame) for one in (left, right)] for frame in range(20)]
    frames += [[one.observed(frame) for one in changed] for frame in range(20, 40)]
    _, answers = follow(tracker, frames, drifting(1, 20) + drifting(2, 20))
    for people in answers[20:]:
        assert {one.track_id: bool(one.box[0] > 300) for one in people} == {1: True, 2: False}


def test_after_a_cut_others_in_the_same_places_are_others_and_back_again_everybody_is_known(tracker):
    first = [Person(seed, start_px=(x, 180.0), speed_px=(0.0, 0.0)) for seed, x in ((1, 200.0), (2, 440.0))]
    other = [Person(seed, start_px=(x, 180.0), speed_px=(0.0, 0.0)) for seed, x in ((3, 200.0), (4, 440.0))]
    shots = [first, other, first]
    frames = [[one.observed(frame) for one in shot] for shot in shots for frame in range(60)]
    _, answers = follow(tracker, frames, drifting(1, 60) + drifting(2, 60) + drifting(1, 60))
    seen = [{one.track_id for one in people if one.state != "predicted"} for people in answers]
    assert set().union(*seen[:60]) == {1, 2}
    assert set().union(*seen[60:120]) == {3, 4}
    assert set().union(*seen[120:]) == {1, 2}


def spliced() -> Iterator[tuple[FrameFacts, list[Observation]]]:
    """Two real clips cut together, as they were observed, see `make_spliced`."""
    with np.load(SPLICED) as stored:
        film = {name: stored[name] for name in stored.files}
    for number, (picture, (width, height)) in enumerate(zip(film["thumbnails"], film["sizes"], strict=True)):
        seen = [
            Observation(
                pose=BodyPose(film["rotations"][row], film["betas"][row], film["translation"][row]),
                box=film["box"][row],
                score=float(film["score"][row]),
                joint_visibility=film["visibility"][row],
                appearance=film["appearance"][row],
                patch_weight=film["patch_weight"][row],
                detected=True,
                proposal=None,
            )
            for row in np.flatnonzero(film["frame"] == number)
        ]
        yield FrameFacts(number, int(width), int(height), picture), seen


def test_no_id_goes_on_across_a_real_cut_and_a_cut_back_brings_everybody_back():
    whole = Tracker(joints_of=Body.open().joints, max_people=8)
    state, seen = whole.start(), []
    for facts, observed in spliced():
        state, people, _ = whole.track(state, facts, observed)
        seen.append({one.track_id for one in people if one.state == "detected"})
    first, other, again = (set().union(*seen[start : start + 20]) for start in (0, 20, 40))
    assert (len(first), len(other)) == (2, 1)
    assert not first & other
    assert again == first


def test_a_light_that_flashes_is_no_cut(tracker):
    state, _ = follow(tracker, [leaver(frame) for frame in range(20)], drifting(1, 20))
    flash = np.clip(picture(1) * 0.6 + 90, 0, 255).astype(np.uint8)
    assert not tracker.look_ahead(state, FrameFacts(20, WIDTH, HEIGHT, flash)).cut
    assert tracker.look_ahead(state, FrameFacts(20, WIDTH, HEIGHT, picture(2))).cut


# ------------------------------------------------------------------ the measures


def named(*frames: dict[int, int]) -> list[Judged]:
    """Frames in which person -> id match in full."""
    return [
        Judged(tuple(frame), tuple(frame.values()), np.eye(len(frame)))
        if frame
        else Judged((), (), np.eye(0))
        for frame in frames
    ]


#: Person 0 under two answers, the one that he had before and a nearer one.
AMBIGUOUS = Judged((0,), (1, 2), np.array([[0.6, 0.9]]))


@pytest.mark.parametrize(
    ("frames", "switched", "matched"),
    [
        (named({0: 1, 1: 2}, {0: 1, 1: 2}), 0, 4),
        (named({0: 1, 1: 2}, {0: 2, 1: 1}), 2, 2),
        (named({0: 1}, {}, {0: 3}, {0: 3}), 1, 2),
        ([*named({0: 1}, {}), AMBIGUOUS], 0, 2),
    ],
    ids=[
        "nobody changes",
        "two are exchanged",
        "somebody comes back as another",
        "a nearer answer is no switch while the one of before still lies there",
    ],
)
def test_switches_and_well_named_frames_are_counted_as_published(frames, switched, matched):
    assert len(switches(frames)) == switched
    assert score(frames).matched == matched


def test_figures_of_scenes_add_up():
    total = Score(1000, 900, 1, 800) + Score(1000, 1000, 2, 900)
    assert total.per_thousand == pytest.approx(1.5)
    assert total.idf1 == pytest.approx(2 * 1700 / 3900)


# ------------------------------------------------------------------ by elimination


def in_another_light(seen: Observation) -> Observation:
    """As an observer sees somebody who stands against the sun."""
    return replace(seen, appearance=np.zeros_like(seen.appearance))


@pytest.mark.parametrize(("away_px", "ids"), [(30.0, {1, 2}), (120.0, {1, 2, 3})])
def test_who_is_left_where_the_only_one_who_is_missing_was_is_that_person_in_another_light(
    tracker, away_px, ids
):
    walker, waiter = Person(1, start_px=(100.0, 180.0)), Person(2, start_px=(450.0, 180.0), speed_px=(0, 0))
    moved = replace(walker, start_px=(100.0 + away_px, 180.0))
    frames = [
        [
            in_another_light(moved.observed(frame)) if frame >= 30 else walker.observed(frame),
            waiter.observed(frame),
        ]
        for frame in range(32)
    ]
    _, answers = follow(tracker, frames)
    assert {one.track_id for people in answers for one in people} == ids
