"""The story of a frame: picture, observations, people, bodies, answer.

A frame is an event and a session is a fold: `Pipeline.fold` takes a session's state and
one picture, and gives the next state with the answer. It keeps nothing between calls.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic

import numpy as np

from body.drawing import Figure
from body.model import Body, joint_angles
from wire.camera import project
from wire.errors import PoseError
from wire.messages import MOST_BOXES, Buffer, Note, Options, Person
from wire.skeleton import COCO_KEYPOINTS, SMPL_JOINTS
from workers import images, regions, render
from workers.observer import Observer
from workers.thumbnail import thumbnail
from workers.tracker import FrameFacts, StateT, Tracked, Tracker
from workers.types import Array, Image, Measured, Observation, Plan, Progress, TrackedPerson, unnoticed

#: The SMPL joint nearest to each COCO keypoint: the one whose confidence it takes.
_JOINT_OF_KEYPOINT = np.array(
    [SMPL_JOINTS.index(name if name in SMPL_JOINTS else "head") for name in COCO_KEYPOINTS]
)


@dataclass(frozen=True, slots=True)
class FrameInput:
    """One encoded picture, its number in the session, and what the caller wants beside the pose.

    timestamp_ms, fps: its time in the video and the video's rate, as far as the caller says them. decoded:
    gives what `Pipeline.decode` makes of it, where somebody had that done ahead, or raises as it does.
    """

    frame_number: int
    encoded: Buffer
    options: Options
    timestamp_ms: float | None = None
    fps: float | None = None
    decoded: Callable[[], Image] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class FrameAnswer:
    """The people of one frame: small enough to be kept for a repeat.

    arrays: those that `wire.messages.Result` describes, less the meshes, which follow from them.
    """

    width_px: int
    height_px: int
    people: list[Person]
    primary: int | None
    num_persons_detected: int
    arrays: dict[str, Array]
    stages_ms: dict[str, float]
    notes: list[Note] = field(default_factory=list)
    new_shot: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """What an answer is completed with, as its caller wants it: meshes (F, 6890, 3), and a picture."""

    vertices: Array
    png: bytes | None
    stages_ms: dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Folded(Generic[StateT]):
    """A session's next state, and the answer that came with it."""

    state: StateT
    answer: FrameAnswer
    drawn: Drawn


@dataclass(frozen=True, slots=True, eq=False)
class _Opened(Generic[StateT]):
    """A decoded frame of a session."""

    state: StateT
    options: Options
    facts: FrameFacts
    image: Image
    decode_ms: float


class Pipeline(Generic[StateT]):
    """Observer, tracker and body, in the order in which a frame meets them."""

    def __init__(
        self,
        *,
        observer: Observer,
        tracker: Tracker[StateT],
        body: Body,
        max_image_pixels: int,
        max_boxes: int = MOST_BOXES,
    ) -> None:
        """max_boxes: most that a caller may give with a frame."""
        self.observer = observer
        self.tracker = tracker
        self._body = body
        self._face = body.restricted_to(list(body.points.values()))  # all that keypoints need of a surface
        self._max_image_pixels = max_image_pixels
        self._max_boxes = max_boxes

    def start(self) -> StateT:
        """The state of a session that has seen nothing."""
        return self.tracker.start()

    def decode(self, encoded: Buffer) -> Image:
        """The picture (height, width, 3), uint8, RGB; for any thread. Raises `InvalidImage` and its like."""
        return images.decode(encoded, max_pixels=self._max_image_pixels)

    def fold(
        self, batch: Sequence[tuple[StateT, FrameInput]], *, on_progress: Progress = unnoticed
    ) -> list[Folded[StateT] | PoseError]:
        """Fold one frame into each of several sessions; a frame that fails leaves its session as it was.

        The sessions of a batch are different ones. A frame's answer does not depend on its company.
        `on_progress` is called from time to time while networks work.
        """
        frames = [self._open(state, frame) for state, frame in batch]
        opened = [frame for frame in frames if isinstance(frame, _Opened)]
        started = time.perf_counter()
        expected = self.tracker.expect([(frame.state, frame.facts) for frame in opened])
        expected_at = time.perf_counter()
        observed = self.observer.observe(
            [
                (frame.image, _with_boxes(ahead.plan, frame.options))
                for frame, ahead in zip(opened, expected, strict=True)
            ],
            on_progress,
        )
        observed_at = time.perf_counter()
        tracked = self.tracker.follow(list(zip(expected, observed, strict=True)))
        followed_at = time.perf_counter()
        share = 1e3 / max(len(opened), 1)
        stages_ms = {
            "observe": (observed_at - expected_at) * share,
            "track": (expected_at - started + followed_at - observed_at) * share,
        }
        told = iter(zip(tracked, observed, strict=True))
        return [
            self._told(frame, *next(told), stages_ms) if isinstance(frame, _Opened) else frame
            for frame in frames
        ]

    def _open(self, state: StateT, frame: FrameInput) -> _Opened[StateT] | PoseError:
        """Decode the picture, and check what is asked of it."""
        started = time.perf_counter()
        try:
            image = self._image(frame)
            height, width = image.shape[:2]
            regions.check(frame.options, width=width, height=height, most=self._max_boxes)
        except PoseError as error:
            return error
        facts = FrameFacts(
            frame.frame_number,
            width,
            height,
            thumbnail(image),
            timestamp_ms=frame.timestamp_ms,
            fps=frame.fps,
            target=frame.options.target,
        )
        return _Opened(state, frame.options, facts, image, _since(started))

    def _image(self, frame: FrameInput) -> Image:
        return frame.decoded() if frame.decoded else self.decode(frame.encoded)

    def _told(
        self,
        frame: _Opened[StateT],
        tracked: Tracked[StateT],
        observations: list[Observation],
        stages_ms: dict[str, float],
    ) -> Folded[StateT]:
        """Pose the bodies of the people who were tracked."""
        started = time.perf_counter()
        arrays = self._bodies(tracked.people, frame.facts)
        answer = FrameAnswer(
            width_px=frame.facts.width,
            height_px=frame.facts.height,
            people=[_scalars(person) for person in tracked.people],
            primary=tracked.primary,
            num_persons_detected=len(observations),
            arrays=arrays,
            stages_ms={"decode": frame.decode_ms, **stages_ms, "pose": _since(started)},
            notes=regions.notes(frame.options, tracked.people, observations),
            new_shot=tracked.new_shot,
        )
        return Folded(tracked.state, answer, self._draw(answer, frame.options, frame.image))

    def repeat(self, answer: FrameAnswer, frame: FrameInput) -> Drawn:
        """Complete an answer that was given before: nothing is folded, only drawn as it is wanted now."""
        return self._draw(answer, frame.options, self._image(frame) if frame.options.visualize else None)

    def _bodies(self, people: Sequence[TrackedPerson], facts: FrameFacts) -> dict[str, Array]:
        rotations = _stacked([person.pose.rotations for person in people], (24, 3, 3))
        betas = _stacked([person.pose.betas for person in people], (10,))
        translation = _stacked([person.pose.translation for person in people], (3,))
        joint_confidence = _stacked([person.joint_confidence for person in people], (24,))
        faces = self._face.mesh(rotations, betas)
        keypoints = self._face.keypoints(faces)
        return {
            "joints": faces.joints,
            "joint_confidence": joint_confidence,
            "keypoints": keypoints,
            "keypoints_2d": project(keypoints, translation, facts.width, facts.height),
            "keypoint_confidence": joint_confidence[:, _JOINT_OF_KEYPOINT],
            "angles": joint_angles(faces.joints),
            "rotations": rotations,
            "betas": betas,
            "translation": translation,
            "boxes": _stacked([person.box for person in people], (4,)),
            **_measured(people),
        }

    def _draw(self, answer: FrameAnswer, options: Options, image: Image | None) -> Drawn:
        """The meshes that are wanted, and the picture, drawn over `image`, if one is."""
        started = time.perf_counter()
        everyone = list(range(len(answer.people)))
        wanted = [
            row for row in everyone if options.meshes and (options.full_people or row == answer.primary)
        ]
        under = image if options.visualize else None
        posed = wanted if under is None else everyone
        arrays = answer.arrays
        vertices = self._body.mesh(arrays["rotations"][posed], arrays["betas"][posed]).vertices
        stages_ms = {"mesh": _since(started)}
        if under is None:
            return Drawn(vertices, None, stages_ms)
        started = time.perf_counter()
        figures = [
            Figure(*parts) for parts in zip(vertices, arrays["joints"], arrays["translation"], strict=True)
        ]
        png = render.visualization_png(under, figures, self._body.faces)
        return Drawn(vertices[wanted], png, stages_ms | {"render": _since(started)})


def _with_boxes(plan: Plan, options: Options) -> Plan:
    """`plan`, with the boxes that the caller gives, if he does."""
    if options.boxes is None:
        return plan
    return replace(plan, boxes=np.array(options.boxes, np.float32).reshape(-1, 4))


def _scalars(person: TrackedPerson) -> Person:
    return Person(
        track_id=person.track_id,
        state=person.state,
        frames_since_detected=person.frames_since_detected,
        confidence=person.confidence,
        expected_error_mm=person.expected_error_mm,
        expected_error_px=person.expected_error_px,
        tentative=person.tentative,
        contradictions=dict(person.contradictions),
        box_index=person.box_index,
    )


def _measured(people: Sequence[TrackedPerson]) -> dict[str, Array]:
    """How each person was seen before smoothing; 0 where there is nothing to say."""
    nothing = Measured(np.zeros((24, 4), np.float32), np.zeros(3, np.float32))
    measured = [person.measured or nothing for person in people]
    return {
        "measured_turns": _stacked([one.turns for one in measured], (24, 4)),
        "measured_pelvis": _stacked([one.pelvis for one in measured], (3,)),
    }


def _stacked(rows: list[Array], shape: tuple[int, ...]) -> Array:
    """`rows` as one array; (0, *shape) where there are none."""
    return np.stack(rows, dtype=np.float32) if rows else np.zeros((0, *shape), dtype=np.float32)


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1e3
