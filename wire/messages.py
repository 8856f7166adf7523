"""Typed messages, to and from MessagePack frames; no sockets.

A message is a list of frames: the header, a MessagePack map, then the payload, raw bytes that the header
describes (`wire.arrays`). `PROTOCOL.md` is the reference for both.
"""

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from wire.errors import ProtocolError

#: Version of `PROTOCOL.md`; a peer with another major number is refused.
PROTOCOL_VERSION = 1

#: Anything with the buffer protocol: bytes, a zmq frame's buffer, a contiguous array.
Buffer = bytes | bytearray | memoryview

RequestId = Annotated[bytes, Meta(min_length=16, max_length=16)]
SessionId = Annotated[str, Meta(min_length=1, max_length=128)]
FrameNumber = Annotated[int, Meta(ge=0, lt=2**53)]

#: Pixels of the picture sent, upright; finite, since NaN is not within bounds.
Pixels = Annotated[float, Meta(ge=-1e6, le=1e6)]
Box = tuple[Pixels, Pixels, Pixels, Pixels]  # x0 y0 x1 y1
#: Milliseconds; finite, likewise.
Milliseconds = Annotated[float, Meta(ge=-(2.0**53), le=2.0**53)]
#: More boxes than these are no list of people.
MOST_BOXES = 100

PersonState = Literal["detected", "recovered", "predicted"]
History = Literal["complete", "restored", "cold"]


class Message(Struct, frozen=True, kw_only=True, tag_field="type"):
    """A header. Unknown fields are ignored, so that peers may be newer than we are."""

    v: int = PROTOCOL_VERSION


# ------------------------------------------------------------------ client <-> broker


class Options(Struct, frozen=True, kw_only=True):
    """What the caller wants to have beside the pose, and what it knows of the picture."""

    visualize: bool = False  # a PNG of the frame with mesh and skeleton, as a payload frame
    full_people: bool = False  # the mesh of every person, not of the primary one only
    meshes: bool = True  # False: nobody's mesh, whatever `full_people` says
    joined: bool = False  # all arrays of the answer in one payload frame
    #: Where people are: nobody is looked for elsewhere. None: the observer finds them.
    boxes: Annotated[tuple[Box, ...], Meta(max_length=MOST_BOXES)] | None = None
    target: Box | None = None  # the person to be primary from now on; without an area: a point


Origin = tuple[str, int, int]  # address of the caller, width and height of its pictures, pixels


class Source(Struct, frozen=True, kw_only=True):
    """What tells one video from another when the caller names no session."""

    client: Annotated[str, Meta(max_length=256)] = ""  # address of the caller
    width_px: int = 0
    height_px: int = 0
    #: Small grey picture, row-major uint8 (`wire.thumbnail`); None: not made yet, empty: can't be made.
    thumbnail: Annotated[bytes, Meta(max_length=4096)] | None = None

    @property
    def origin(self) -> Origin:
        """Where the picture comes from, as far as it can be told without a session id."""
        return self.client, self.width_px, self.height_px


class Frame(Message, frozen=True, kw_only=True, tag="frame"):
    """Client -> broker: one picture. Payload: the encoded image."""

    request_id: RequestId
    frame_number: FrameNumber
    deadline_ms: Annotated[int, Meta(gt=0)]  # time left for the answer, from arrival
    session_id: SessionId | None = None  # None: the broker decides from `source`
    source: Source = Source()
    options: Options = Options()
    timestamp_ms: Milliseconds | None = None
    fps: Annotated[float, Meta(gt=0, le=100_000.0)] | None = None
    term: int | None = None  # the broker's last one that the client was told; None: it speaks to one alone


class ArraySpec(Struct, frozen=True, array_like=True):
    """How to read one payload frame as an array, row-major, little-endian."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class Person(Struct, frozen=True, kw_only=True):
    """The scalars of one tracked person; row i of each people array is its numbers."""

    track_id: int
    state: PersonState
    frames_since_detected: int
    confidence: float  # tracking_confidence, 0..1
    expected_error_mm: float | None = None  # mean over the joints, pelvis on pelvis; None: not said
    expected_error_px: float | None = None  # the same in the picture
    tentative: bool = False  # seen too seldom yet to be sure that it is a person, and one and the same
    contradictions: dict[str, int] = {}  # parts of the body observed as they cannot be, by what was wrong
    box_index: int | None = None  # which of the request's boxes showed the person; None: none of them


class Note(Struct, frozen=True, kw_only=True):
    """Something about an answer that its caller should know."""

    code: str
    message: str


class Result(Message, frozen=True, kw_only=True, tag="result"):
    """Worker -> broker -> client: the people of one frame.

    Payload: one frame for each entry of `arrays`, or one for all where `joined`, then the PNG where
    `has_png`.
    With P people, F meshes (the primary person's, or everyone's), all float32, camera
    axes (x right, y down, z away), metres, body-centred:

        joints        (P, 24, 3)     SMPL joints
        joint_confidence (P, 24)     0..1
        keypoints     (P, 17, 3)     COCO keypoints
        keypoints_2d  (P, 17, 2)     the same in pixels of the image sent
        keypoint_confidence (P, 17)  0..1
        angles        (P, 9)         degrees, order of `skeleton.JOINT_ANGLES`
        rotations     (P, 24, 3, 3)  global_orient first, then body_pose
        betas         (P, 10)
        translation   (P, 3)         full-image camera
        boxes         (P, 4)         x0 y0 x1 y1, pixels
        measured_turns  (P, 24, 4)   joint axes to camera axes before smoothing, quaternions x y z w; or 0
        measured_pelvis (P, 3)       where the pelvis was seen, camera axes; or 0
        vertices      (F, 6890, 3)
    """

    request_id: RequestId
    session_id: str
    epoch: int
    frame_number: int
    width_px: int
    height_px: int
    people: list[Person]
    primary: int | None  # index into people; None: nobody to show
    history: History
    skipped: int = 0  # frames of this video that were stepped over so far, and of those
    expired: int = 0  # the ones whose callers' deadlines had passed
    folded: int = 0  # frames in the session's state, with this one; 0: not said
    num_persons_detected: int
    num_tracks: int
    observer: str
    tracker: str
    model_version: str
    stages_ms: dict[str, float]
    arrays: list[ArraySpec]
    has_png: bool = False
    joined: bool = False  # the arrays lie one behind the other in one payload frame
    notes: list[Note] = []
    new_shot: bool = False  # another shot begins: nothing moves over from the frame before


class Failure(Message, frozen=True, kw_only=True, tag="failure"):
    """Worker -> broker -> client: the request failed by name."""

    request_id: RequestId
    code: str
    message: str
    retry_after_s: float | None = None
    session_id: str | None = None
    epoch: int = 0
    superseded_by: int = 0  # worker -> broker: the higher epoch that owns the session; no caller's failure
    term: int | None = None  # broker -> client: send it again under this term; no caller's failure


class StatusRequest(Message, frozen=True, kw_only=True, tag="status"):
    """Client -> broker: a question for `Status`."""

    request_id: RequestId


class WorkerStatus(Struct, frozen=True, kw_only=True):
    """One worker as the broker sees it."""

    name: str
    state: Literal["ready", "draining"]
    sessions: int
    in_flight: int
    device: str
    models: dict[str, str]  # model file -> its digest, `sha256:...`
    observer: str
    tracker: str = ""
    store: dict[str, int] = {}  # its part of the store, as its last `Heartbeat` said
    memory: str = ""  # as `Ready` said


class Status(Message, frozen=True, kw_only=True, tag="status_reply"):
    """Broker -> client: workers, queues, counters, and what keeps workers from loading."""

    request_id: RequestId
    workers: list[WorkerStatus]
    sessions: int
    queued_frames: int
    queued_bytes: int
    in_flight: int
    counters: dict[str, int]
    limits: dict[str, float]
    streams: int = 0  # sessions whose callers did not name them and are still told apart
    load_error: str | None = None  # the last worker's reason for not becoming ready
    uptime_s: float = 0.0


# ------------------------------------------------------------------ broker <-> worker


class SeenFrame(Struct, frozen=True, array_like=True):
    """A frame that was folded: enough to know it again."""

    frame_number: FrameNumber
    digest: int  # CRC-32 of the picture as it was sent
    thumbnail: bytes | None = None  # of its `Source`


class HeldSession(Struct, frozen=True, kw_only=True):
    """A session as the store knows it: what a broker that has just started must learn of it."""

    session_id: str
    generation: int
    epoch: int
    frames: list[SeenFrame]  # the last ones that were folded, oldest first
    quiet_s: float = 0.0  # since then, seconds
    source: Source | None = None  # of a session that its caller did not name
    skipped: int = 0
    expired: int = 0


class Ready(Message, frozen=True, kw_only=True, tag="ready"):
    """Worker -> broker: my networks are loaded and a self-test frame came through."""

    name: str
    credits: Annotated[int, Meta(gt=0)]  # frames I can hold at a time
    device: str
    models: dict[str, str]  # model file -> its digest, `sha256:...`
    observer: str
    tracker: str = ""
    memory: str = ""  # whose memory files it can open (`wire.lending.memory`); empty: nobody's
    sessions: list[HeldSession] = []  # all that are in the store, whoever folded them


class LoadFailed(Message, frozen=True, kw_only=True, tag="load_failed"):
    """Worker -> broker: I cannot serve, and this is why. The worker ends after it."""

    name: str
    reason: str


class Heartbeat(Message, frozen=True, kw_only=True, tag="heartbeat"):
    """Either way between broker and worker: I am alive, and my loop turns."""

    #: Worker -> broker: how full the worker's part of the store is, and what happened to it (`PROTOCOL.md`).
    store: dict[str, int] = {}


class WhoAreYou(Message, frozen=True, kw_only=True, tag="who_are_you"):
    """Broker -> worker: I do not know you (I restarted, or gave you up); say READY again."""


class Goodbye(Message, frozen=True, kw_only=True, tag="goodbye"):
    """Worker -> broker: no more frames, please; I answer what I hold and then end.

    The broker sends it back: after it no frame follows, so the worker knows what it holds.
    """


class Work(Message, frozen=True, kw_only=True, tag="work"):
    """Broker -> worker: fold this frame into that session. Payload: the encoded image."""

    request_id: RequestId
    session_id: str
    generation: int  # which video of the session: a restart from frame 0 begins a new one
    epoch: int  # fences former owners of the session
    continues: bool  # frames of this video went out before; who has not folded them starts cold
    frame_number: FrameNumber
    deadline_ms: int
    options: Options = Options()
    timestamp_ms: float | None = None
    fps: float | None = None
    source: Source | None = None  # where the caller named no session: to be stored with the frame
    skipped: int = 0  # as in `Result`
    expired: int = 0
    folded: int = 0  # of the last result of this video; a state with fewer lacks answered frames
    folded_under: int = 0  # the epoch of that result
    known_epoch: int | None = None  # of the last owner whose results the broker knows; None: not said
    tried_epochs: tuple[int, ...] = ()  # of owners after that one, who gave none


class Forget(Message, frozen=True, kw_only=True, tag="forget"):
    """Broker -> worker: nobody will ask for this session any more; drop its state."""

    session_id: str
    generation: int
    epoch: int | None = None  # under which it was owned last: one with a higher epoch is another broker's


class Recall(Message, frozen=True, kw_only=True, tag="recall"):
    """Broker -> worker: say what the store knows of a session, or of the videos from one place.

    Where there are several brokers, one that sees a session for the first time may not be the first.
    """

    session_id: str | None = None  # None: the videos of callers at `origin` who name no session
    origin: Origin | None = None


class Recalled(Message, frozen=True, kw_only=True, tag="recalled"):
    """Worker -> broker: what the store knows of what was asked for, which comes back; none: nothing."""

    session_id: str | None = None
    origin: Origin | None = None
    sessions: list[HeldSession] = []


ToBroker = Frame | StatusRequest
FromBroker = Result | Failure | Status
WorkerToBroker = Ready | LoadFailed | Heartbeat | Goodbye | Result | Failure | Recalled
BrokerToWorker = Work | Heartbeat | WhoAreYou | Goodbye | Forget | Recall

_encoder = msgspec.msgpack.Encoder()

M = TypeVar("M", bound=Message)


class Decoder(Generic[M]):
    """Reads the headers that one socket may receive, and refuses every other."""

    def __init__(self, kinds: Any) -> None:
        # `Any`: the type of a union such as `ToBroker` has no name in the type system.
        self._decoder = msgspec.msgpack.Decoder(kinds)

    def __call__(self, header: Buffer) -> M:
        """The typed message of a header frame. Raises `ProtocolError`."""
        try:
            message: M = self._decoder.decode(header)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise ProtocolError(f"unreadable header: {error}") from None
        if message.v != PROTOCOL_VERSION:
            raise ProtocolError(f"protocol version {message.v}, this peer speaks {PROTOCOL_VERSION}")
        return message


def encode(message: Message) -> bytes:
    """The header frame of `message`."""
    return _encoder.encode(message)
